// The globals that modules see beyond ECMAScript: timers, queueMicrotask, self.
//
// Evaluated after calls.js (how values are shown); web_idl.js (publishing globals).
'use strict';

const { setTimer, clearTimer, enqueueMicrotask } = host;
const { show } = runtime;
const { checkGlobal, publishOperations, publishReplaceable } = runtime.webIdl;
const { apply } = Reflect;
const TypeErrorConstructor = TypeError;
const globalObject = globalThis;

function checkCallback(callback, name) {
  if (typeof callback === 'function') return;
  throw new TypeErrorConstructor(`${name}: the callback must be a function, but it is ${show(callback)}`);
}

// HTML Standard, 8.6. The delay is Web IDL's `long`; a callback is called on the global object.
function set(callback, delay, values, repeat) {
  return setTimer(values.length === 0 ? callback : () => apply(callback, globalObject, values), delay | 0, repeat);
}

publishOperations({
  setTimeout(callback, delay = 0, ...values) {
    checkGlobal(this);
    checkCallback(callback, 'setTimeout');
    return set(callback, delay, values, false);
  },
  setInterval(callback, delay = 0, ...values) {
    checkGlobal(this);
    checkCallback(callback, 'setInterval');
    return set(callback, delay, values, true);
  },
  clearTimeout(id = 0) {
    checkGlobal(this);
    clearTimer(id | 0);
  },
  clearInterval(id = 0) {
    checkGlobal(this);
    clearTimer(id | 0);
  },
  // HTML Standard, 8.7.
  queueMicrotask(callback) {
    checkGlobal(this);
    checkCallback(callback, 'queueMicrotask');
    enqueueMicrotask(callback);
  },
});

publishReplaceable('self', () => globalObject);
