// The properties of interfaces and functions on the global object (Web IDL, 3.7.1 and 3.7.7). Functions, which have
// no prototype, are enumerable. The bundler may have given a class another name.
export function defineGlobals(values) {
  for (const [name, value] of Object.entries(values)) {
    Object.defineProperty(value, 'name', { value: name, writable: false, enumerable: false, configurable: true });
    const enumerable = !Object.hasOwn(value, 'prototype');
    Object.defineProperty(globalThis, name, { value, writable: true, enumerable, configurable: true });
  }
}
