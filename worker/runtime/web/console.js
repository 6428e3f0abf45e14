// The console (Console Standard), with Node's formatting and the methods that Node adds.
//
// Whatever a module logs, its console does not throw. Text that says so takes the place of a value that cannot be
// formatted. The exceptions are those that the standard demands: a label that cannot be converted to a string, and
// console.table's properties if they are not an array.
import { format, inspect } from './inspect.js';
import { renderTable } from './console_table.js';

const { log, currentCall, promiseDetails, previewEntries } = host;
const { mostShown, mostRead, beginning, withoutOwnFrames, show } = runtime;
const { apply } = Reflect;
const { create, defineProperty, getPrototypeOf } = Object;
const { captureStackTrace } = Error;
const { now } = Date;
const NumberConstructor = Number;
const numberToFixed = Number.prototype.toFixed;
const stringIndexOf = String.prototype.indexOf;
const stringRepeat = String.prototype.repeat;
const stringSlice = String.prototype.slice;
const MapConstructor = Map;
const { get: mapGet, set: mapSet, has: mapHas, delete: mapDelete, keys: mapKeys } = Map.prototype;
const mapSize = Object.getOwnPropertyDescriptor(Map.prototype, 'size').get;
const nextKey = getPrototypeOf(new Map().keys()).next;

// Numbers of LogLevel in worker.capnp.
const DEBUG = 0, INFO = 1, WARNING = 2, ERROR = 3;

// --- lines ---------------------------------------------------------------------------------------------------------

// How far each call has indented its lines with console.group. Kept by call, so that one that fails inside a group
// does not indent the lines of all later ones.
const groups = new MapConstructor();
const mostGroups = 256;
const mostIndentation = 40;

function indentationOf(call) { return apply(mapGet, groups, [call]) ?? 0; }

function indent(by) {
  const call = currentCall();
  const indentation = indentationOf(call) + by;
  apply(mapDelete, groups, [call]);
  if (indentation <= 0) return;
  if (apply(mapSize, groups, []) >= mostGroups) {
    const oldest = apply(nextKey, apply(mapKeys, groups, []), []).value;
    apply(mapDelete, groups, [oldest]);
  }
  apply(mapSet, groups, [call, indentation]);
}

// `text` with `prefix` before each of its lines.
function prefixLines(text, prefix) {
  let result = '';
  for (let begin = 0; begin <= text.length;) {
    let end = apply(stringIndexOf, text, ['\n', begin]);
    if (end < 0) end = text.length;
    result += `${prefix}${apply(stringSlice, text, [begin, end])}${end < text.length ? '\n' : ''}`;
    begin = end + 1;
  }
  return result;
}

function write(level, text) {
  if (text.length > mostShown) text = beginning(text);
  if (apply(mapSize, groups, []) > 0) {
    const indentation = indentationOf(currentCall());
    if (indentation > 0) {
      const columns = indentation < mostIndentation ? indentation : mostIndentation;
      text = prefixLines(text, apply(stringRepeat, ' ', [columns]));
    }
  }
  log(level, text);
}

// Cuts texts that are far longer than what is shown before they are joined to others.
function cutTexts(values) {
  for (let i = 0; i < values.length; i++) {
    if (typeof values[i] === 'string' && values[i].length > mostShown) values[i] = beginning(values[i]);
  }
}

// Formats values that are all texts or numbers, as most of what is logged is; undefined if there is anything else.
function formatSimple(values) {
  let text = '';
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (typeof value === 'string') {
      if (i === 0 && values.length > 1 && apply(stringIndexOf, value, ['%']) >= 0) return undefined;
    } else if (typeof value !== 'number' || value === 0) {
      return undefined;  // -0 is shown as such
    }
    text += i === 0 ? value : ` ${value}`;
  }
  return `${text}`;
}

function formatAll(values) {
  cutTexts(values);
  const simple = formatSimple(values);
  if (simple !== undefined) return simple;
  try {
    const text = apply(format, undefined, values);
    return withoutOwnFrames(text.length > mostRead ? beginning(text) : text, true);
  } catch {
    let text = '';
    for (let i = 0; i < values.length && text.length < mostShown; i++) text += `${i === 0 ? '' : ' '}${show(values[i])}`;
    return text;
  }
}

function inspectSafely(value, options) {
  try {
    return withoutOwnFrames(inspect(value, { customInspect: false, ...options }), true);
  } catch {
    return show(value);
  }
}

// For the console's view of undici's classes.
runtime.inspect = inspect;

// For values that are shown without running their getters.
runtime.inspectSafely = inspectSafely;

// --- counts and timers ---------------------------------------------------------------------------------------------

const counts = new MapConstructor();
const timers = new MapConstructor();

function labelText(label) { return label === undefined ? 'default' : `${label}`; }

function formatDuration(milliseconds) {
  if (milliseconds < 1000) return `${NumberConstructor(apply(numberToFixed, milliseconds, [3]))}ms`;
  const fraction = (value) => apply(numberToFixed, value, [3]);
  if (milliseconds < 60_000) return `${fraction(milliseconds / 1000)}s`;
  const whole = (value) => value - value % 1;
  const two = (value) => (value < 10 ? `0${value}` : `${value}`);
  const minutes = whole(milliseconds / 60_000);
  const seconds = milliseconds / 1000 % 60;
  if (minutes < 60) return `${minutes}:${seconds < 10 ? '0' : ''}${fraction(seconds)} (m:ss.mmm)`;
  return `${whole(minutes / 60)}:${two(minutes % 60)}:${two(whole(seconds))} (h:mm:ss)`;
}

// The line of a running timer; undefined, with a warning, if there is none.
function timerLine(method, label) {
  const start = apply(mapGet, timers, [label]);
  if (start === undefined) {
    write(WARNING, `Warning: No such label '${label}' for console.${method}()`);
    return undefined;
  }
  return `${label}: ${formatDuration(now() - start)}`;
}

// --- the methods ---------------------------------------------------------------------------------------------------

// Methods, so that each has a name, and a length of 0: all their parameters are optional.
const methods = {
  debug(...values) { write(DEBUG, formatAll(values)); },
  error(...values) { write(ERROR, formatAll(values)); },
  info(...values) { write(INFO, formatAll(values)); },
  log(...values) { write(INFO, formatAll(values)); },
  warn(...values) { write(WARNING, formatAll(values)); },
  dirxml(...values) { write(INFO, formatAll(values)); },

  trace(...values) {
    const trace = { name: 'Trace', message: formatAll(values) };
    let stack;
    try {
      captureStackTrace(trace, methods.trace);
      ({ stack } = trace);
    } catch { /* what the module has put into Error.prepareStackTrace */ }
    write(DEBUG, typeof stack === 'string' ? withoutOwnFrames(stack, true) : `Trace: ${trace.message}`);
  },

  assert(condition = false, ...values) {
    if (condition) return;
    if (values.length === 0) return write(ERROR, 'Assertion failed');
    if (typeof values[0] === 'string') {
      values[0] = `Assertion failed: ${beginning(values[0])}`;
      return write(ERROR, formatAll(values));
    }
    write(ERROR, `Assertion failed: ${formatAll(values)}`);
  },

  dir(value = undefined, options = undefined) {
    write(INFO, inspectSafely(value, options));
  },

  table(data = undefined, properties = undefined) {
    if (data === null || typeof data !== 'object') return write(INFO, formatAll([data]));
    let text;
    try {
      text = renderTable(data, properties);
    } catch (error) {
      if (error?.isUsageError) throw error.error;
      text = show(data);
    }
    write(INFO, text);
  },

  count(label = undefined) {
    label = labelText(label);
    const count = (apply(mapGet, counts, [label]) ?? 0) + 1;
    apply(mapSet, counts, [label, count]);
    write(INFO, `${label}: ${count}`);
  },
  countReset(label = undefined) {
    label = labelText(label);
    if (!apply(mapDelete, counts, [label])) write(WARNING, `Warning: Count for '${label}' does not exist`);
  },

  group(...values) {
    if (values.length > 0) write(INFO, formatAll(values));
    indent(2);
  },
  groupCollapsed(...values) {
    if (values.length > 0) write(INFO, formatAll(values));
    indent(2);
  },
  groupEnd() { indent(-2); },
  // Lines that were written stay: the log belongs to the operator.
  clear() { indent(-indentationOf(currentCall())); },

  time(label = undefined) {
    label = labelText(label);
    if (apply(mapHas, timers, [label])) {
      return write(WARNING, `Warning: Label '${label}' already exists for console.time()`);
    }
    apply(mapSet, timers, [label, now()]);
  },
  timeLog(label = undefined, ...values) {
    label = labelText(label);
    const line = timerLine('timeLog', label);
    if (line !== undefined) write(INFO, values.length === 0 ? line : `${line} ${formatAll(values)}`);
  },
  timeEnd(label = undefined) {
    label = labelText(label);
    const line = timerLine('timeEnd', label);
    if (line === undefined) return;
    apply(mapDelete, timers, [label]);
    write(INFO, line);
  },
};

// A namespace object (Web IDL, 3.13), whose prototype is an object of its own (Console Standard, 1).
const console = create(create(Object.prototype));
for (const name of Object.keys(methods)) {
  defineProperty(console, name, { value: methods[name], writable: true, enumerable: true, configurable: true });
}
defineProperty(console, Symbol.toStringTag, { value: 'console', writable: false, enumerable: false, configurable: true });
defineProperty(globalThis, 'console', { value: console, writable: true, enumerable: false, configurable: true });

// --- what inspect does not know by itself --------------------------------------------------------------------------

const custom = Symbol.for('nodejs.util.inspect.custom');

// As Node does, whose own classes have this symbol.
function defineInspection(prototype, inspection) {
  defineProperty(prototype, custom, { value: inspection, writable: true, enumerable: false, configurable: true });
}

// Shows `entries` as inspect shows those of a collection inside other values.
function joined(prefix, entries, isKeyValue, depth, options) {
  if (entries.length === 0) return `${prefix} {  }`;
  if (depth < 0) return `[${prefix}]`;
  const inner = { ...options, depth: options.depth === null ? null : depth - 1 };
  let text = '';
  const step = isKeyValue ? 2 : 1;
  const most = options.maxArrayLength ?? 100;
  for (let i = 0; i < entries.length; i += step) {
    if (i > 0) text += ', ';
    if (i / step >= most) {
      text += '...';
      break;
    }
    text += isKeyValue ? `[ ${inspect(entries[i], inner)}, ${inspect(entries[i + 1], inner)} ]` : inspect(entries[i], inner);
  }
  return `${prefix} { ${text} }`;
}

defineInspection(Promise.prototype, function (depth, options) {
  const details = promiseDetails(this);
  const name = typeof this.constructor?.name === 'string' ? this.constructor.name : 'Promise';
  if (details === undefined) return this;
  if (depth < 0) return `[${name}]`;
  const { 0: state, 1: result } = details;
  if (state === 0) return `${name} { <pending> }`;
  const inner = { ...options, depth: options.depth === null ? null : depth - 1 };
  return `${name} { ${state === 2 ? '<rejected> ' : ''}${inspect(result, inner)} }`;
});

for (const [iterator, name] of [[new Map().entries(), 'Map'], [new Set().values(), 'Set']]) {
  defineInspection(getPrototypeOf(iterator), function (depth, options) {
    const preview = previewEntries(this);
    if (preview === undefined) return this;
    return joined(`[${name} ${preview[1] ? 'Entries' : 'Iterator'}]`, preview[0], preview[1], depth, options);
  });
}

defineInspection(ReadableStream.prototype, function (depth, options) {
  if (this === ReadableStream.prototype) return this;
  return depth < 0 ? '[ReadableStream]' : `ReadableStream ${inspect({ locked: this.locked, state: this._state }, options)}`;
});

defineInspection(URL.prototype, function (depth, options) {
  if (this === URL.prototype) return this;
  if (depth < 0) return '[URL]';
  const parts = {};
  for (const name of ['href', 'origin', 'protocol', 'username', 'password', 'host', 'hostname', 'port', 'pathname',
    'search', 'searchParams', 'hash']) {
    parts[name] = this[name];
  }
  return `URL ${inspect(parts, options)}`;
});

defineInspection(URLSearchParams.prototype, function (depth, options) {
  if (this === URLSearchParams.prototype) return this;
  if (depth < 0) return '[Object]';
  let text = '';
  for (const { 0: name, 1: value } of this) {
    text += `${text === '' ? '' : ', '}${inspect(name, options)} => ${inspect(value, options)}`;
  }
  return text === '' ? 'URLSearchParams {}' : `URLSearchParams { ${text} }`;
});
