// Injected like ecmascript_globals.js: what undici takes for granted in Node.js.
export { Buffer } from './buffer.js';

export const process = { versions: { node: '20.18.1' }, platform: 'linux', emitWarning() {} };
