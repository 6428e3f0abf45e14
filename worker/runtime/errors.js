// How errors are shown to callers and in the log, and to the module itself where it has a source map. Evaluated after
// calls.js, in the same way and under the same rule: nothing that a module may change is looked up later. What is shown
// is the module's, though, and may be anything: it throws, lies and never ends.
'use strict';

const { originalPlace, originalFunctionName, originalLine, sourceText } = host;
const { show, isError, beginning, mostRead } = runtime;
const { apply, defineProperty, getOwnPropertyDescriptor } = Reflect;
const { getPrototypeOf } = Object;
const { isArray } = Array;
const { max, min } = Math;
const ErrorConstructor = Error;
const errorToString = Error.prototype.toString;
const stringEndsWith = String.prototype.endsWith;
const stringIndexOf = String.prototype.indexOf;
const stringLastIndexOf = String.prototype.lastIndexOf;
const stringRepeat = String.prototype.repeat;
const stringReplaceAll = String.prototype.replaceAll;
const stringSlice = String.prototype.slice;
const stringStartsWith = String.prototype.startsWith;
const stringTrimStart = String.prototype.trimStart;
const regExpExec = RegExp.prototype.exec;
const toNumber = Number;

// In one description; beyond, it says how many there are.
const mostNested = 32;
const mostDeep = 8;

// --- the runtime's own frames, on which nobody can act --------------------------------------------------------------

// "at timer (holdfast:globals.js:1:2)", or "at holdfast:globals.js:1:2" where the function has no name.
function isOwnFrame(line) {
  return apply(stringIndexOf, line, ['(holdfast:']) >= 0 || apply(stringIndexOf, line, [' holdfast:']) >= 0;
}

// A text that has a headline keeps it, whatever it says.
function withoutOwnFrames(text, hasHeadline) {
  if (apply(stringIndexOf, text, ['holdfast:']) < 0) return text;
  let kept;
  for (let begin = 0; begin <= text.length;) {
    let end = apply(stringIndexOf, text, ['\n', begin]);
    if (end < 0) end = text.length;
    const line = apply(stringSlice, text, [begin, end]);
    const isFrame = (begin > 0 || !hasHeadline) && apply(stringStartsWith, apply(stringTrimStart, line, []), ['at ']);
    if (!isFrame || !isOwnFrame(line)) kept = kept === undefined ? line : `${kept}\n${line}`;
    begin = end + 1;
  }
  return kept ?? '';
}

// --- errors as text -------------------------------------------------------------------------------------------------

function headline(error) {
  let name, text;
  try { name = beginning(`${error.name}`); } catch { name = 'an error whose name cannot be shown'; }
  try { text = beginning(`${error.message}`); } catch { text = 'its message cannot be shown'; }
  return text === '' ? name : `${name}: ${text}`;
}

// Without the message, which V8 puts in front of them.
function framesOf(error, message) {
  let stack;
  try { ({ stack } = error); } catch { return ''; }
  if (typeof stack !== 'string' || stack.length > mostRead) return '';
  if (stack === message) return '';
  if (apply(stringStartsWith, stack, [`${message}\n`])) {
    stack = apply(stringSlice, stack, [message.length + 1]);
  } else {
    // It has changed since.
    const frames = apply(stringIndexOf, stack, ['\n    at ']);
    if (frames >= 0) stack = apply(stringSlice, stack, [frames + 1]);
    else if (apply(stringStartsWith, stack, [message])) return '';
  }
  return withoutOwnFrames(beginning(stack), false);
}

// An own property as [its name as Node.js shows it, its value].
function ownProperty(error, name) {
  try {
    const property = getOwnPropertyDescriptor(error, name);
    if (property === undefined) return undefined;
    return [property.enumerable ? name : `[${name}]`, error[name]];
  } catch {
    return undefined;
  }
}

const indented = (text, indent) => apply(stringReplaceAll, text, ['\n', `\n${indent}`]);

// `state` says how many more are shown, and which contain this one: errors may have themselves for a cause.
function nestedText(value, indent, state) {
  if (state.left-- <= 0 || state.depth >= mostDeep) return '[...]';
  for (let at = state.above; at !== undefined; at = at.next) if (at.value === value) return '[Circular]';
  let isOne = false;
  try { isOne = isError(value); } catch { /* it is none that can be shown */ }
  if (!isOne) return typeof value === 'string' ? `'${indented(show(value), indent)}'` : indented(show(value), indent);
  const message = headline(value);
  const { 0: frames, 1: inner } = partsOf(value, message, indent, state);
  const shown = frames === '' ? `[${message}]` : `${message}\n${frames}`;
  return indented(shown, indent) + inner;
}

// [the frames, the causes and errors inside as Node.js shows them, or ''].
function partsOf(error, message, indent, state) {
  const frames = framesOf(error, message);
  const inside = `${indent}  `;
  let inner = '';
  const below = {
    __proto__: null, left: state.left, depth: state.depth + 1,
    above: { __proto__: null, value: error, next: state.above },
  };
  const cause = ownProperty(error, 'cause');
  if (cause !== undefined) inner += `\n${inside}${cause[0]}: ${nestedText(cause[1], inside, below)}`;
  const errors = ownProperty(error, 'errors');
  if (errors !== undefined && isArray(errors[1])) {
    if (inner !== '') inner += ',';
    inner += `\n${inside}${errors[0]}: [`;
    const { length } = errors[1];
    for (let i = 0; i < length; i++) {
      if (below.left <= 0) {
        inner += `\n${inside}  ... ${length - i} more`;
        break;
      }
      inner += `\n${inside}  ${nestedText(errors[1][i], `${inside}  `, below)}${i + 1 < length ? ',' : ''}`;
    }
    inner += `\n${inside}]`;
  }
  state.left = below.left;
  return [frames, inner === '' ? '' : ` {${inner}\n${indent}}`];
}

// A module may look whether there is WebAssembly, and do without; one that does not look is told why there is none.
const withoutWebAssembly = typeof WebAssembly === 'object' ? undefined : 'ReferenceError: WebAssembly is not defined';
const withReason = (message) => message === withoutWebAssembly
  ? `${message}: modules run in the strict profile here, which has none`
  : message;

// [message, stack] of anything that was thrown. Never throws itself.
const describeError = (thrown) => {
  try {
    if (!isError(thrown)) return [`a value that is not an Error was thrown: ${show(thrown)}`, ''];
    const message = headline(thrown);
    let parts;
    try {
      parts = partsOf(thrown, message, '', { __proto__: null, left: mostNested, depth: 0, above: undefined });
    } catch {
      parts = [framesOf(thrown, message), ''];  // an array of errors that throws, say
    }
    const { 0: frames, 1: inner } = parts;
    return [withReason(message), frames === '' && inner !== '' ? apply(stringSlice, inner, [1]) : frames + inner];
  } catch {
    return ['an error that cannot be shown was thrown: its own properties throw', ''];
  }
};
runtime.describeError = describeError;
runtime.withoutOwnFrames = withoutOwnFrames;

// --- loads that fail ------------------------------------------------------------------------------------------------

const framePlace = /^ {4}at (?:.*\()?(.+):(\d+):(\d+)\)?(?:\n|$)/;

function lineOf(text, number) {
  let begin = 0;
  for (let line = 1; line < number; line++) {
    begin = apply(stringIndexOf, text, ['\n', begin]) + 1;
    if (begin === 0) return undefined;
  }
  const end = apply(stringIndexOf, text, ['\n', begin]);
  const line = apply(stringSlice, text, [begin, end < 0 ? text.length : end]);
  return apply(stringEndsWith, line, ['\r']) ? apply(stringSlice, line, [0, -1]) : line;
}

// The line with a mark under its column, as Node.js prints it; of a long line, the part around that.
function marked(line, column) {
  const room = 160;
  const begin = line.length <= room ? 0 : max(0, min(column - 1 - room / 2, line.length - room));
  const part = apply(stringSlice, line, [begin, begin + room]);
  let indent = '';
  // A broken source map may say any column.
  const before = min(column - 1 - begin, part.length);
  for (let i = 0; i < before; i++) indent += part[i] === '\t' ? '\t' : ' ';
  return [part, `${part}\n${indent}^`];
}

// [message, stack with the line of code in front, that line]. `file`, `line`, `column` and `code` are what V8 tells of
// the place, or ''.
runtime.describeLoadFailure = (thrown, file, line, column, code) => {
  let { 0: message, 1: stack } = describeError(thrown);
  if (file === '' || apply(stringStartsWith, file, ['holdfast:'])) {
    const found = apply(regExpExec, framePlace, [stack]);
    if (found === null) return [message, stack, ''];
    file = found[1];
    line = toNumber(found[2]);
    column = toNumber(found[3]);
    code = originalLine(file, line) ?? lineOf(sourceText(file), line);
  } else {
    const original = originalPlace(file, line, column);
    if (original !== undefined) {
      ({ 0: file, 1: line, 2: column } = original);
      code = originalLine(file, line);
    } else if (code === '') {
      code = lineOf(sourceText(file), line);
    }
  }
  if (stack === '') stack = `    at ${file}:${line}:${column}`;
  if (code === undefined || code === '') return [message, stack, ''];
  const { 0: part, 1: lines } = marked(code, column);
  return [message, `${file}:${line}\n${lines}\n${stack}`, part];
};

// --- source maps ----------------------------------------------------------------------------------------------------

const CallSite = (() => {
  ErrorConstructor.prepareStackTrace = (error, sites) => sites;
  const prototype = getPrototypeOf(new ErrorConstructor().stack[0]);
  delete ErrorConstructor.prepareStackTrace;
  const methods = { __proto__: null };
  for (const name of [
    'toString', 'getScriptNameOrSourceURL', 'getLineNumber', 'getColumnNumber', 'getEnclosingLineNumber',
    'getEnclosingColumnNumber', 'getFunctionName', 'isAsync', 'isConstructor',
  ]) methods[name] = prototype[name];
  return methods;
})();

// What the function was called where it was written; '' if that is not known. V8 tells where the function begins, which
// is not where its name is.
function nameOf(site) {
  const name = apply(CallSite.getFunctionName, site, []);
  const line = apply(CallSite.getEnclosingLineNumber, site, []);
  const column = apply(CallSite.getEnclosingColumnNumber, site, []);
  if (typeof name !== 'string' || typeof line !== 'number' || typeof column !== 'number') return '';
  return originalFunctionName(name, line, column);
}

function frameText(site) {
  const text = apply(CallSite.toString, site, []);
  const file = apply(CallSite.getScriptNameOrSourceURL, site, []);
  if (typeof file !== 'string') return text;
  const line = apply(CallSite.getLineNumber, site, []), column = apply(CallSite.getColumnNumber, site, []);
  const place = originalPlace(file, line, column);
  if (place === undefined) return text;
  const shown = `${place[0]}:${place[1]}:${place[2]}`;
  const at = apply(stringLastIndexOf, text, [`${file}:${line}:${column}`]);
  if (at < 0) return text;
  const name = nameOf(site);
  if (name === '') return apply(stringSlice, text, [0, at]) + shown + (apply(stringEndsWith, text, [')']) ? ')' : '');
  const kind = apply(CallSite.isAsync, site, []) ? 'async ' : apply(CallSite.isConstructor, site, []) ? 'new ' : '';
  return `${kind}${name} (${shown})`;
}

// What `error.stack` is in a module with a source map; V8 makes it in all others. V8 asks no Error.prepareStackTrace
// where it asks this, which therefore does.
let takesSites = false;
runtime.prepareStackTrace = (error, sites) => {
  if (takesSites) return sites;
  const { prepareStackTrace } = ErrorConstructor;
  if (typeof prepareStackTrace === 'function') return apply(prepareStackTrace, ErrorConstructor, [error, sites]);
  let text;
  try { text = apply(errorToString, error, []); } catch { text = '<error>'; }
  for (let i = 0; i < sites.length; i++) {
    const frame = frameText(sites[i]);
    if (!isOwnFrame(` ${frame}`)) text += `\n    at ${frame}`;
  }
  return text;
};

// For the last words of the process, in a module with a source map: [line, column, line where the function begins,
// column there] of each frame, the innermost first; undefined where the module does not let V8 take a stack.
runtime.functionPlaces = () => {
  const limit = { __proto__: null, value: 32, writable: true, enumerable: true, configurable: true };
  if (!defineProperty(ErrorConstructor, 'stackTraceLimit', limit)) return undefined;
  takesSites = true;
  const sites = new ErrorConstructor().stack;
  takesSites = false;
  if (!isArray(sites)) return undefined;
  for (let i = 0; i < sites.length; i++) {
    const site = sites[i];
    defineProperty(sites, i, {
      __proto__: null,
      value: [
        apply(CallSite.getLineNumber, site, []), apply(CallSite.getColumnNumber, site, []),
        apply(CallSite.getEnclosingLineNumber, site, []), apply(CallSite.getEnclosingColumnNumber, site, []),
      ],
    });
  }
  return sites;
};
