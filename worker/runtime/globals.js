// The globals that modules see beyond ECMAScript: console, timers, queueMicrotask. Evaluated after calls.js, in the
// same way and under the same rule: nothing that a module may change is looked up later.
'use strict';

const { log, setTimer, clearTimer, enqueueMicrotask } = host;
const { show, describeError, isError, mostShown } = runtime;
const { defineProperty } = Object;
const { apply } = Reflect;
const TypeErrorConstructor = TypeError;

function defineGlobal(name, value) {
  defineProperty(globalThis, name, { value, writable: true, enumerable: false, configurable: true });
}

// --- console -------------------------------------------------------------------------------------------------------

function format(values) {
  let text = '';
  for (let i = 0; i < values.length && text.length < mostShown; i++) {
    if (i > 0) text += ' ';
    const value = values[i];
    if (isError(value)) {
      const { 0: message, 1: stack } = describeError(value);
      text += stack === '' ? message : `${message}\n${stack}`;
    } else {
      text += show(value);
    }
  }
  return text;
}

// Numbers of LogLevel in worker.capnp.
const DEBUG = 0, INFO = 1, WARNING = 2, ERROR = 3;

const console = {};
for (const { 0: name, 1: level } of [
  ['debug', DEBUG], ['log', INFO], ['info', INFO], ['warn', WARNING], ['error', ERROR], ['trace', DEBUG],
]) {
  // A method, not an arrow function, so that its name is right and `new console.log()` throws.
  const { [name]: method } = { [name](...values) { log(level, format(values)); } };
  defineProperty(console, name, { value: method, writable: true, enumerable: true, configurable: true });
}
defineProperty(console, Symbol.toStringTag, { value: 'console', configurable: true });
defineGlobal('console', console);

// --- timers (HTML Standard, 8.6) -----------------------------------------------------------------------------------

function timer(name, repeat) {
  return (callback, delay, ...values) => {
    if (typeof callback !== 'function') {
      throw new TypeErrorConstructor(`${name}: the callback must be a function, but it is ${show(callback)}`);
    }
    return setTimer(values.length === 0 ? callback : () => apply(callback, undefined, values), +delay, repeat);
  };
}

const setTimeout = timer('setTimeout', false);
const setInterval = timer('setInterval', true);
defineProperty(setTimeout, 'name', { value: 'setTimeout', configurable: true });
defineProperty(setInterval, 'name', { value: 'setInterval', configurable: true });
defineGlobal('setTimeout', setTimeout);
defineGlobal('setInterval', setInterval);
defineGlobal('clearTimeout', function clearTimeout(id) { clearTimer(+id); });
defineGlobal('clearInterval', function clearInterval(id) { clearTimer(+id); });

// --- queueMicrotask (HTML Standard, 8.7) ---------------------------------------------------------------------------

defineGlobal('queueMicrotask', function queueMicrotask(callback) {
  if (typeof callback !== 'function') {
    throw new TypeErrorConstructor(`queueMicrotask: the callback must be a function, but it is ${show(callback)}`);
  }
  enqueueMicrotask(callback);
});

// --- self ----------------------------------------------------------------------------------------------------------

defineGlobal('self', globalThis);
