// Comes before the bundle of packages (see untouched.py). Keeps what the packages' code looks up on JavaScript's own
// objects while it runs, as it was before any module could change it. A function that a module put in the place of
// one of these would be handed the functions and objects of the packages and of the runtime.
'use strict';

const untouched = (() => {
  const { apply, defineProperty, getOwnPropertyDescriptor, getPrototypeOf, ownKeys } = Reflect;
  const { freeze, getOwnPropertyNames } = Object;
  const { isArray } = Array;
  const { isView } = ArrayBuffer;
  const { apply: functionApply, bind, call } = Function.prototype;
  const { iterator } = Symbol;

  // The functions of `holder`, which need no receiver.
  const staticsOf = (holder) => {
    const copy = { __proto__: null };
    for (const name of ownKeys(holder)) {
      const { value } = getOwnPropertyDescriptor(holder, name);
      if (typeof name === 'string' && typeof value === 'function' && name !== 'prototype') {
        defineProperty(copy, name, { __proto__: null, value: apply(bind, value, [holder]) });
      }
    }
    return freeze(copy);
  };

  // Methods by their names, for any receiver. Arrays, typed arrays and functions get the original methods; all other
  // receivers, including instances of subclasses, get their own. No list is spread, which would use the present
  // iterator of arrays.
  const methods = { __proto__: null };
  const TypedArrayPrototype = getPrototypeOf(Uint8Array.prototype);
  const ArrayPrototype = Array.prototype;
  const isPlainTypedArray = (value) => isView(value) && getPrototypeOf(getPrototypeOf(value)) === TypedArrayPrototype;
  for (const name of getOwnPropertyNames(ArrayPrototype)) {
    const ofArray = ArrayPrototype[name];
    if (typeof ofArray !== 'function' || name === 'constructor') continue;
    const ofTypedArray = TypedArrayPrototype[name];
    methods[name] = (receiver, ...list) => {
      const method = isArray(receiver) && getPrototypeOf(receiver) === ArrayPrototype ? ofArray
        : ofTypedArray !== undefined && isPlainTypedArray(receiver) ? ofTypedArray
        : receiver[name];
      return apply(method, receiver, list);
    };
  }
  for (const [name, method] of [['apply', functionApply], ['bind', bind], ['call', call]]) {
    methods[name] = (receiver, ...list) => apply(typeof receiver === 'function' ? method : receiver[name], receiver, list);
  }
  const isInstance = (value, prototype) => {
    for (let at = value; at !== null && at !== undefined; at = getPrototypeOf(at)) if (at === prototype) return true;
    return false;
  };
  for (const { prototype } of [EventTarget, FinalizationRegistry]) {
    for (const name of ['addEventListener', 'removeEventListener', 'register', 'unregister']) {
      const method = prototype[name];
      if (method === undefined) continue;
      methods[name] = (receiver, ...list) => apply(isInstance(receiver, prototype) ? method : receiver[name], receiver, list);
    }
  }

  // What a loop iterates over: an array, without using its present iterator.
  const each = (list) => {
    if (!isArray(list)) return list;
    let at = 0;
    return {
      __proto__: null,
      [iterator]() { return this; },
      next() {
        return at < list.length ? { __proto__: null, done: false, value: list[at++] } : { __proto__: null, done: true };
      },
    };
  };

  return freeze({
    __proto__: null,
    Array: staticsOf(Array),
    JSON: staticsOf(JSON),
    Object: staticsOf(Object),
    Promise: staticsOf(Promise),
    Reflect: staticsOf(Reflect),
    apply,
    each,
    hasOwn: Object.hasOwn,
    methods: freeze(methods),
  });
})();

