// What a module gets that asks for another one. Evaluated after errors.js, in the same way and under the same rule.
'use strict';

const { show } = runtime;
const { apply } = Reflect;
const stringStartsWith = String.prototype.startsWith;
const setHas = Set.prototype.has;
const ErrorConstructor = Error;

const ofNode = new Set([
  'assert', 'async_hooks', 'buffer', 'child_process', 'cluster', 'console', 'constants', 'crypto', 'dgram',
  'diagnostics_channel', 'dns', 'domain', 'events', 'fs', 'fs/promises', 'http', 'http2', 'https', 'inspector',
  'module', 'net', 'os', 'path', 'path/posix', 'perf_hooks', 'process', 'punycode', 'querystring', 'readline', 'repl', 'stream',
  'stream/promises', 'stream/web', 'string_decoder', 'sys', 'timers', 'timers/promises', 'tls', 'trace_events', 'tty',
  'url', 'util', 'util/types', 'v8', 'vm', 'wasi', 'worker_threads', 'zlib',
]);

// Numbers of ImportedBy in module_loader.h.
const REQUIRE_CALL = 0, STATIC_IMPORT = 1;

runtime.missingModule = (specifier, by) => {
  const name = show(specifier);
  const format = by === REQUIRE_CALL ? 'cjs' : 'esm';
  let text = `Cannot find module '${name}': a Holdfast module is one file. `;
  if (apply(setHas, ofNode, [name]) || apply(stringStartsWith, name, ['node:'])) {
    text += 'This one is a part of Node.js, which is not here: what needs it cannot run, unless a package that ' +
      'replaces it is bundled in, with the rest: ';
  } else {
    text += 'Bundle its dependencies into it, for example with: ';
  }
  const extension = by === STATIC_IMPORT ? 'mjs' : 'js';
  text += `npx esbuild app.js --bundle --format=${format} --outfile=app-v1.${extension}`;
  const error = new ErrorConstructor(text);
  error.code = by === REQUIRE_CALL ? 'MODULE_NOT_FOUND' : 'ERR_MODULE_NOT_FOUND';
  return error;
};

// The `require` of CommonJS modules.
const { missingModule } = runtime;
runtime.require = { require(specifier) { throw missingModule(specifier, REQUIRE_CALL); } }.require;
