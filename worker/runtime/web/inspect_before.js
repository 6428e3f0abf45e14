// node-inspect-extracted takes what it needs from the global object when it is evaluated. For that moment, two things
// there are others; inspect.js puts back what was there.
//
// - To find what properties an array or a typed array has besides its elements, it asks for the descriptors of all of
//   them, which takes some hundred bytes for each. Here, Object.getOwnPropertyDescriptors leaves the elements out.
// - It shows the target of a Proxy, and runs none of its traps, if it finds the Proxy in a WeakMap. Here, every WeakMap
//   has all Proxies.
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

// The package looks at own properties of the prototype alone.
class WeakMapWithProxies extends OriginalWeakMap {}
Object.defineProperties(WeakMapWithProxies.prototype, {
  ...getOwnPropertyDescriptors(OriginalWeakMap.prototype),
  constructor: { value: WeakMapWithProxies },
  get: { value: function get(key) { return proxyDetails(key) ?? apply(weakMapGet, this, [key]); } },
});
globalThis.WeakMap = WeakMapWithProxies;
