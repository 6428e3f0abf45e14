// How errors are shown to callers and in the log, and to the module itself if it has a source map. What is shown is the
// module's and may be anything: it throws, lies and never ends.
//
// Evaluated after calls.js (how values are shown and cut). Errors that are shown use modules.js, error_properties.js
// and the bundle of web/, which are evaluated later.
'use strict';

const { kindOf, originalPlace, originalFunctionName, originalLine, proxyDetails, sourceText } = host;
const { show, isError, beginning, mostRead } = runtime;
const { apply, defineProperty, getOwnPropertyDescriptor, ownKeys } = Reflect;
const { getPrototypeOf, hasOwn } = Object;
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
const toText = String;

// Nested errors in one description; for further ones, only their number is given.
const mostNested = 32;
const mostDeep = 8;
// Properties of one error.
const mostProperties = 32;
// Objects and properties inside the values in one description.
const mostParts = 4000;
const deepestCause = 5;
const deepestProperty = 2;
// Properties that take more characters are not put on one line.
const mostInLine = 72;

// --- the runtime's own frames, which an author cannot act on ---------------------------------------------------------

// "at timer (holdfast:globals.js:1:2)", or "at holdfast:globals.js:1:2" where the function has no name.
function isOwnFrame(line) {
  return apply(stringIndexOf, line, ['(holdfast:']) >= 0 || apply(stringIndexOf, line, [' holdfast:']) >= 0;
}

// Keeps the headline of a text that has one, whatever it says.
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

// The frames without the message, which V8 puts in front of them.
function framesOf(error, message) {
  let stack;
  try { ({ stack } = error); } catch { return ''; }
  if (typeof stack !== 'string' || stack.length > mostRead) return '';
  if (stack === message) return '';
  if (apply(stringStartsWith, stack, [`${message}\n`])) {
    stack = apply(stringSlice, stack, [message.length + 1]);
  } else {
    // The message has changed since.
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

// A Proxy's target, or the value itself: showing a Proxy must run none of its traps.
function withoutProxy(value) {
  const details = proxyDetails(value);
  return details === undefined || details[0] === null ? value : details[0];
}

const indented = (text, indent) => apply(stringReplaceAll, text, ['\n', `\n${indent}`]);

// Numbers of Kind in native_structured_clone.cc.
const ARRAY = 1, STRING_OBJECT = 7, TYPED_ARRAY = 10;

// Options of inspect.
const inLines = { __proto__: null };
const inOneLine = { __proto__: null, breakLength: Infinity, compact: true };

// `state` has how much more may be shown, and which errors contain this one: an error may be its own cause.
function nestedText(value, indent, state) {
  if (state.left-- <= 0 || state.depth >= mostDeep) return '[...]';
  const target = withoutProxy(value);
  for (let at = state.above; at !== undefined; at = at.next) if (at.value === target) return '[Circular]';
  if (!isError(target)) return indented(runtime.inspectWithin(value, state.budget, deepestCause, inLines), indent);
  const message = headline(target);
  const { 0: frames, 1: inner } = partsOf(target, message, indent, state);
  const shown = frames === '' ? `[${message}]` : `${message}\n${frames}`;
  return indented(shown, indent) + inner;
}

// The headline and the stack show the first three, and the others are shown after the rest.
const shownElsewhere = { __proto__: null, name: true, message: true, stack: true, cause: true, errors: true };
runtime.isShownElsewhere = (key) => typeof key === 'string' && shownElsewhere[key] === true;
const { isShownElsewhere } = runtime;

const isIdentifier = /^[A-Za-z_$][A-Za-z0-9_$]*$/;

function keyText(key, state) {
  if (typeof key === 'symbol') return `[${beginning(toText(key))}]`;
  return apply(regExpExec, isIdentifier, [key]) !== null ? key : runtime.inspectWithin(key, state.budget, 0, inOneLine);
}

// Not an array: the module may have put setters for indices on arrays' prototypes.
const newList = () => ({ __proto__: null, length: 0 });
function append(list, value) { list[list.length++] = value; }

// The error's own enumerable properties as texts. Accessors are not called.
function propertyTexts(error, keys, indent, state) {
  const texts = newList();
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i];
    if (isShownElsewhere(key)) continue;
    const property = getOwnPropertyDescriptor(error, key);
    if (property === undefined || !property.enumerable) continue;
    if (texts.length >= mostProperties) {
      append(texts, '...');
      break;
    }
    let text;
    if (hasOwn(property, 'value')) {
      const { value } = property;
      text = isError(withoutProxy(value)) ? nestedText(value, indent, state)
        : indented(runtime.inspectWithin(value, state.budget, deepestProperty, inLines), indent);
    } else {
      text = property.get === undefined ? '[Setter]' : property.set === undefined ? '[Getter]' : '[Getter/Setter]';
    }
    append(texts, `${keyText(key, state)}: ${text}`);
  }
  return texts;
}

// Puts the texts in braces, on one line if they are properties alone, and short.
function bracedTexts(texts, areProperties, indent) {
  if (texts.length === 0) return '';
  let line = '', isShort = areProperties;
  for (let i = 0; i < texts.length && isShort; i++) {
    line += `${i === 0 ? '' : ', '}${texts[i]}`;
    isShort = line.length <= mostInLine && apply(stringIndexOf, texts[i], ['\n']) < 0;
  }
  if (isShort) return ` { ${line} }`;
  let lines = '';
  for (let i = 0; i < texts.length; i++) lines += `${i === 0 ? '' : ','}\n${indent}  ${texts[i]}`;
  return ` {${lines}\n${indent}}`;
}

function errorsText(errors, name, inside, below) {
  let text = `${name}: [`;
  const { length } = errors;
  for (let i = 0; i < length; i++) {
    if (below.left <= 0) {
      text += `\n${inside}  ... ${length - i} more`;
      break;
    }
    text += `\n${inside}  ${nestedText(errors[i], `${inside}  `, below)}${i + 1 < length ? ',' : ''}`;
  }
  return `${text}\n${inside}]`;
}

// [the frames; the properties, causes and errors inside as Node.js shows them, or ''].
function partsOf(error, message, indent, state, keys) {
  const frames = framesOf(error, message);
  const inside = `${indent}  `;
  const below = {
    __proto__: null, left: state.left, depth: state.depth + 1, budget: state.budget,
    above: { __proto__: null, value: error, next: state.above },
  };
  const texts = propertyTexts(error, keys ?? ownKeys(error), inside, below);
  const { length } = texts;
  const cause = ownProperty(error, 'cause');
  if (cause !== undefined) append(texts, `${cause[0]}: ${nestedText(cause[1], inside, below)}`);
  const errors = ownProperty(error, 'errors');
  if (errors !== undefined && isArray(errors[1])) append(texts, errorsText(errors[1], errors[0], inside, below));
  state.left = below.left;
  return [frames, bracedTexts(texts, texts.length === length, indent)];
}

// A module may test for WebAssembly and do without. A module that does not test is told why there is none.
const withoutWebAssembly = typeof WebAssembly === 'object' ? undefined : 'ReferenceError: WebAssembly is not defined';
const withReason = (message) => message === withoutWebAssembly
  ? `${message}: modules run in the strict profile here, which has none`
  : message;

// The keys of an object whose keys are names; undefined for arrays, for objects with indices, and for what is no
// object.
function keysOf(value) {
  if (typeof value !== 'object' || value === null) return undefined;
  const kind = kindOf(value);
  if (kind === ARRAY || kind === STRING_OBJECT || kind === TYPED_ARRAY) return undefined;
  try {
    return ownKeys(value);
  } catch {
    return undefined;  // a Proxy that is revoked
  }
}

// The text of a thrown value that is not an Error.
function thrownText(value, keys) {
  if (typeof value === 'string') return beginning(value);
  return beginning(runtime.inspectWithin(value, { __proto__: null, left: mostParts }, deepestCause, inOneLine, keys));
}

// [message, stack, properties as JSON or ''] of anything that was thrown. Never throws.
const describeError = (value) => {
  try {
    const thrown = withoutProxy(value);
    const keys = keysOf(thrown);
    if (!isError(thrown)) {
      const text = thrownText(value, keys);
      return [`a value that is not an Error was thrown: ${text}`, '', runtime.propertiesOf(thrown, keys, false)];
    }
    const message = headline(thrown);
    const state = {
      __proto__: null, left: mostNested, depth: 0, above: undefined, budget: { __proto__: null, left: mostParts },
    };
    let parts;
    try {
      parts = partsOf(thrown, message, '', state, keys);
    } catch {
      parts = [framesOf(thrown, message), ''];  // an array of errors that throws, say
    }
    const { 0: frames, 1: inner } = parts;
    const stack = frames === '' && inner !== '' ? apply(stringSlice, inner, [1]) : frames + inner;
    return [withReason(message), stack, runtime.propertiesOf(thrown, keys, true)];
  } catch {
    return ['an error that cannot be shown was thrown: its own properties throw', '', ''];
  }
};
runtime.describeError = describeError;
runtime.headline = headline;
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

// The line with a mark under its column, as Node.js prints it. Of a long line, only the part around the column.
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

// [message, stack with the line of code in front, that line, properties]. `file`, `line`, `column` and `code` are
// V8's information on the place, or ''.
runtime.describeLoadFailure = (thrown, file, line, column, code) => {
  let { 0: message, 1: stack, 2: properties } = describeError(thrown);
  // V8 could not compile the module: no code has run, so there is no stack.
  if (stack === '' && apply(stringStartsWith, message, ['SyntaxError: '])) {
    const advice = runtime.syntaxAdvice(file, message);
    if (advice !== '') message += `: ${advice}`;
  }
  if (file === '' || apply(stringStartsWith, file, ['holdfast:'])) {
    const found = apply(regExpExec, framePlace, [stack]);
    if (found === null) return [message, stack, '', properties];
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
  // No code has run, but there may be properties.
  const hasFrames = stack !== '' && !apply(stringStartsWith, stack, ['{']);
  if (!hasFrames) stack = `    at ${file}:${line}:${column}${stack === '' ? '' : ` ${stack}`}`;
  if (code === undefined || code === '') return [message, stack, '', properties];
  const { 0: part, 1: lines } = marked(code, column);
  return [message, `${file}:${line}\n${lines}\n${stack}`, part, properties];
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

// The function's original name; '' if it is not known. V8 tells where the function begins, which is not where its
// name is.
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

// Makes `error.stack` in a module with a source map; V8 makes it in all others. V8 does not ask
// Error.prepareStackTrace if it asks this, so this does.
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

// For the fatal report of the process, in a module with a source map: [line, column, line where the function begins,
// column there] of each frame, the innermost first; undefined if the module does not let V8 take a stack.
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
