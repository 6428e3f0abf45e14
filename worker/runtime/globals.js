// The globals that modules see beyond ECMAScript: timers, queueMicrotask. Evaluated after calls.js, in the
// same way and under the same rule: nothing that a module may change is looked up later.
'use strict';

const { setTimer, clearTimer, enqueueMicrotask } = host;
const { show } = runtime;
const { defineProperty } = Object;
const { apply } = Reflect;
const TypeErrorConstructor = TypeError;

function defineGlobal(name, value) {
  defineProperty(globalThis, name, { value, writable: true, enumerable: false, configurable: true });
}

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
