// To find what properties an array or a typed array has besides its elements, node-inspect-extracted asks for the
// descriptors of all of them, which takes some hundred bytes for each. It takes the function for that from Object when it
// is evaluated, which is now made another: one that leaves the elements out. inspect.js puts back what was there.
const { nonIndexNames } = host;
const { defineProperty, getOwnPropertyDescriptor } = Object;

export const { getOwnPropertyDescriptors } = Object;

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
