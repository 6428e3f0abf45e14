// Injected into every file of the bundle: gives free names the value that they had before any module could change
// them.
const {
  Array, ArrayBuffer, BigInt, BigInt64Array, BigUint64Array, Boolean, DataView, Date, Error, FinalizationRegistry,
  Float32Array, Float64Array, Function, Int8Array, Int16Array, Int32Array, JSON, Map, Math, Number, Object, Promise,
  Proxy, RangeError, Reflect, RegExp, Set, String, Symbol, SyntaxError, TypeError, Uint8Array, Uint8ClampedArray,
  Uint16Array, Uint32Array, WeakMap, WeakRef, WeakSet, decodeURIComponent, encodeURIComponent, isFinite, isNaN,
  parseFloat, parseInt,
  AbortController, AbortSignal, DOMException, Event, EventTarget, TextDecoder, TextEncoder, clearTimeout,
  queueMicrotask, setTimeout, structuredClone,
} = globalThis;

export {
  Array, ArrayBuffer, BigInt, BigInt64Array, BigUint64Array, Boolean, DataView, Date, Error, FinalizationRegistry,
  Float32Array, Float64Array, Function, Int8Array, Int16Array, Int32Array, JSON, Map, Math, Number, Object, Promise,
  Proxy, RangeError, Reflect, RegExp, Set, String, Symbol, SyntaxError, TypeError, Uint8Array, Uint8ClampedArray,
  Uint16Array, Uint32Array, WeakMap, WeakRef, WeakSet, decodeURIComponent, encodeURIComponent, isFinite, isNaN,
  parseFloat, parseInt,
  AbortController, AbortSignal, DOMException, Event, EventTarget, TextDecoder, TextEncoder, clearTimeout,
  queueMicrotask, setTimeout, structuredClone,
};
