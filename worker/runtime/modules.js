// The errors for a module that asks for another module.
//
// Evaluated after calls.js (how values are shown).
'use strict';

const { show } = runtime;
const { apply } = Reflect;
const stringEndsWith = String.prototype.endsWith;
const stringStartsWith = String.prototype.startsWith;
const setHas = Set.prototype.has;
const regExpExec = RegExp.prototype.exec;
const ErrorConstructor = Error;

const ofNode = new Set([
  'assert', 'async_hooks', 'buffer', 'child_process', 'cluster', 'console', 'constants', 'crypto', 'dgram',
  'diagnostics_channel', 'dns', 'domain', 'events', 'fs', 'fs/promises', 'http', 'http2', 'https', 'inspector',
  'module', 'net', 'os', 'path', 'path/posix', 'perf_hooks', 'process', 'punycode', 'querystring', 'readline', 'repl', 'stream',
  'stream/promises', 'stream/web', 'string_decoder', 'sys', 'timers', 'timers/promises', 'tls', 'trace_events', 'tty',
  'url', 'util', 'util/types', 'v8', 'vm', 'wasi', 'worker_threads', 'zlib',
]);

// Numbers of ImportedBy in module_loader.h.
const REQUIRE_CALL = 0;

// The command of docs/modules.md. Without a target, esbuild writes what only newer engines have.
const bundleCommand = (name, extension, format, outputExtension) =>
  `npx esbuild ${name}${extension} --bundle --format=${format} --target=es2022 --outfile=${name}-v1${outputExtension}`;

runtime.missingModule = (specifier, by) => {
  const name = show(specifier);
  const format = by === REQUIRE_CALL ? 'cjs' : 'esm';
  let text = `Cannot find module '${name}': a Holdfast module is one file. `;
  if (apply(setHas, ofNode, [name]) || apply(stringStartsWith, name, ['node:'])) {
    text += 'This one is a part of Node.js, which is not here: code that needs it runs only with a package that ' +
      'replaces it. Bundle that in, with the rest: ';
  } else {
    text += 'Bundle its dependencies into it, for example with: ';
  }
  text += bundleCommand('app', '.js', format, by === REQUIRE_CALL ? '.cjs' : '.mjs');
  const error = new ErrorConstructor(text);
  error.code = by === REQUIRE_CALL ? 'MODULE_NOT_FOUND' : 'ERR_MODULE_NOT_FOUND';
  return error;
};

const compiledFile = /^([\w.+-]+?)(\.(?:[cm]?ts|tsx|jsx))$/;
const compiledName = /\.(?:[cm]?ts|tsx|jsx)$/;

// Advice for a file that V8 cannot read; '' if there is none. `message` is that of the SyntaxError.
runtime.syntaxAdvice = (file, message) => {
  const found = apply(regExpExec, compiledName, [file]);
  if (found !== null) {
    const { 0: extension } = found;
    const { 1: name } = apply(regExpExec, compiledFile, [file]) ?? { 1: 'app' };
    const isJsx = apply(stringEndsWith, extension, ['x']);
    return `this is ${extension === '.jsx' ? 'JSX' : 'TypeScript'}, which V8 cannot run as it is; bundle it, for example with: ` +
      bundleCommand(name, extension, 'esm', '.mjs') + (isJsx ? ' --jsx=automatic' : '');
  }
  if (message !== 'SyntaxError: Unexpected token \'<\'') return '';
  return 'if this is JSX, bundle it, for example with: ' +
    `${bundleCommand('app', '.js', 'esm', '.mjs')} --loader:.js=jsx --jsx=automatic`;
};

// The `require` of CommonJS modules.
const { missingModule } = runtime;
runtime.require = { require(specifier) { throw missingModule(specifier, REQUIRE_CALL); } }.require;
