// Injected like ecmascript_globals.js: the web platform's classes that the bundle itself uses.
export { URL, URLSearchParams } from '../url.js';
export { ReadableStream, TransformStream, WritableStream } from '../streams.js';
export { Blob, File } from '../blob.js';

// undici only asks whether a value is one, and none exists.
export class MessagePort {}
