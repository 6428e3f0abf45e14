// The globals that modules see beyond ECMAScript: timers, queueMicrotask. Evaluated after calls.js, in the
// same way and under the same rule: nothing that a module may change is looked up later.
'use strict';

const { setTimer, clearTimer, enqueueMicrotask } = host;
const { show } = runtime;
const { defineProperty } = Object;
const { apply } = Reflect;
const TypeErrorConstructor = TypeError;

function defineGlobal(name, value) {
  // Operations can be enumerated (Web IDL, 3.7.7).
  defineProperty(globalThis, name, { value, writable: true, enumerable: typeof value === 'function', configurable: true });
}

// --- timers (HTML Standard, 8.6) -----------------------------------------------------------------------------------

function timer(name, repeat) {
  return (callback, delay = 0, ...values) => {
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
// Methods, as what follows: functions of the platform are no constructors.
const { clearTimeout, clearInterval } = {
  clearTimeout(id = 0) { clearTimer(+id); },
  clearInterval(id = 0) { clearTimer(+id); },
};
defineGlobal('clearTimeout', clearTimeout);
defineGlobal('clearInterval', clearInterval);

// --- queueMicrotask (HTML Standard, 8.7) ---------------------------------------------------------------------------

const { queueMicrotask } = {
  queueMicrotask(callback) {
    if (typeof callback !== 'function') {
      throw new TypeErrorConstructor(`queueMicrotask: the callback must be a function, but it is ${show(callback)}`);
    }
    enqueueMicrotask(callback);
  },
};
defineGlobal('queueMicrotask', queueMicrotask);

// --- self ----------------------------------------------------------------------------------------------------------

defineGlobal('self', globalThis);
