// What there is in a worker: the names of the global object, and the members of each of its classes and objects, those
// that they inherit included. For tests/types/check.mjs.
'use strict';

function nameOf(key) {
  return typeof key === 'string' ? key : key.description;
}

// Symbols other than the well-known ones belong to nobody but who made them.
const wellKnown = new Set(Object.getOwnPropertyNames(Symbol).map((name) => Symbol[name]).filter((value) => typeof value === 'symbol'));

function members(object, end) {
  const names = new Set();
  for (let at = object; at !== null && at !== end; at = Object.getPrototypeOf(at)) {
    for (const key of Reflect.ownKeys(at)) {
      if (typeof key === 'string' || wellKnown.has(key)) names.add(nameOf(key));
    }
  }
  return [...names].sort();
}

function inventory(object, prefix, found) {
  for (const name of Object.getOwnPropertyNames(object)) {
    const value = object[name];
    if (typeof value === 'function') {
      found[prefix + name] = { members: members(value, Function.prototype) };
      if (value.prototype && /^[A-Z]/.test(name)) found[prefix + name].instance = members(value.prototype, Object.prototype);
    } else if (typeof value === 'object' && value !== null && value !== globalThis) {
      found[prefix + name] = { members: members(value, Object.prototype) };
    } else {
      found[prefix + name] = {};
    }
  }
  return found;
}

// What can be named without its object: the global object's own properties, and what it inherits.
function globals() {
  const all = {};
  for (let at = globalThis; at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const name of Object.getOwnPropertyNames(at)) if (name !== 'constructor') all[name] = globalThis[name];
  }
  return all;
}

exports.list = () => ({
  ...inventory(globals(), '', {}),
  ...inventory(typeof WebAssembly === 'object' ? WebAssembly : {}, 'WebAssembly.', {}),
});
exports.context = (payload, context) => members(context, Object.prototype);
