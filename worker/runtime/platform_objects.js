// structuredClone refuses objects of classes that have internal slots and are not registered as cloneable; it would
// turn them into empty objects.
//
// Evaluated after structured_clone.js (runtime.cloneable); all files that publish classes (it goes through the classes
// of the global object, so it is the last file).
'use strict';

const { forbid } = runtime.cloneable;
const { getPrototypeOf, getOwnPropertyNames } = Object;

// Classes without slots, and those that structured_clone.js tells apart by their slots.
const known = new Set([
  'Object', 'Function', 'Array', 'Number', 'Boolean', 'String', 'Symbol', 'BigInt', 'Date', 'Promise', 'RegExp', 'Map',
  'Set', 'WeakMap', 'WeakSet', 'Proxy', 'ArrayBuffer', 'DataView', 'Error', 'AggregateError', 'EvalError', 'RangeError',
  'ReferenceError', 'SyntaxError', 'TypeError', 'URIError', 'Int8Array', 'Uint8Array', 'Uint8ClampedArray',
  'Int16Array', 'Uint16Array', 'Int32Array', 'Uint32Array', 'Float32Array', 'Float64Array', 'BigInt64Array',
  'BigUint64Array',
]);

function forbidAllOf(holder) {
  for (const name of getOwnPropertyNames(holder)) {
    const { value } = Object.getOwnPropertyDescriptor(holder, name);
    if (typeof value === 'function' && typeof value.prototype === 'object' && !known.has(name)) {
      forbid(value.prototype, name);
    }
  }
}
forbidAllOf(globalThis);
forbidAllOf(Intl);
if (typeof WebAssembly === 'object') forbidAllOf(WebAssembly);
for (const made of [[].values(), ''[Symbol.iterator](), 'a'.matchAll(/a/g)]) forbid(getPrototypeOf(made), 'Iterator');
