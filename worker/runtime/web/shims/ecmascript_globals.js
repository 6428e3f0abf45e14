// Injected into every file of the bundle: what is a free name there is what it was before any module could change it.
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
