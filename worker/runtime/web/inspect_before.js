// node-inspect-extracted takes what it needs from the global object when it is evaluated. Two things there are
// replaced for that moment; inspect.js puts the originals back.
//
// Object.getOwnPropertyDescriptors: to find the properties of an array or a typed array besides its elements, the
// package asks for the descriptors of all properties, which takes some hundred bytes each. The replacement leaves the
// elements out.
//
// WeakMap: the package shows the target of a Proxy, and runs none of its traps, if it finds the Proxy in a WeakMap.
// In the replacement, every WeakMap contains all Proxies.
const { nonIndexNames, proxyDetails } = host;
const { defineProperty, getOwnPropertyDescriptor } = Object;
const { apply } = Reflect;
const { get: weakMapGet } = WeakMap.prototype;

export const { getOwnPropertyDescriptors } = Object;
export const { WeakMap: OriginalWeakMap } = globalThis;

Object.getOwnPropertyDescriptors = (value) => {
  const names = nonIndexNames(value);
  if (names === undefined) return getOwnPropertyDescriptors(value);
  const descriptors = {};
  for (let i = 0; i < names.length; i++) {
    const descriptor = getOwnPropertyDescriptor(value, names[i]);
    if (descriptor === undefined) continue;
    defineProperty(descriptors, names[i], { __proto__: null, value: descriptor, enumerable: true });
  }
  return descriptors;
};

// The package looks only at own properties of the prototype.
class WeakMapWithProxies extends OriginalWeakMap {}
Object.defineProperties(WeakMapWithProxies.prototype, {
  ...getOwnPropertyDescriptors(OriginalWeakMap.prototype),
  constructor: { value: WeakMapWithProxies },
  get: { value: function get(key) { return proxyDetails(key) ?? apply(weakMapGet, this, [key]); } },
});
globalThis.WeakMap = WeakMapWithProxies;
