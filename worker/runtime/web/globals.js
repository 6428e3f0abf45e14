// What interfaces are on the global object (Web IDL, 3.7.1).
export function defineGlobals(interfaces) {
  for (const [name, value] of Object.entries(interfaces)) {
    Object.defineProperty(globalThis, name, { value, writable: true, enumerable: false, configurable: true });
  }
}
