// structuredClone (HTML Standard, 2.7 and 8.10). The standard first makes a record and then values of it; here values
// are copied in one go. No module can see the difference, because making the values runs none of its code.
//
// V8's serializer would write a record and read it again. It is not used here, for these reasons:
// - It knows no classes that are made of JavaScript. It would turn a Blob, a DOMException or a CryptoKey into an empty
//   object, where the standard wants a copy or an error. Here they take part, or are refused.
// - Its reader accepts no cause that leads back to its error. Here errors keep any cause.
// - It would hold the values a second time, as bytes; here buffers are copied once.
// - It would work for long in one native function. This is JavaScript: the limits of a module's time and memory hold in
//   it as in the module's own code.
//
// Other files register their classes: serializable ones with runtime.cloneable, transferable ones with
// runtime.transferable.
//
// Evaluated after web_idl.js (conversions, publishing globals); dom_exception.js (the error that is thrown; objects of
// the class can be cloned).
'use strict';

const {
  kindOf, namedKeys, copyRegExp, copyWasmModule, shareBuffer, detachBuffer, isDetached,
} = host;
const { DOMException, isDOMException } = runtime;
const { checkGlobal, publishOperations, isObject, needArguments, toDictionary } = runtime.webIdl;
const { keys, hasOwn, defineProperty, getOwnPropertyDescriptor, getPrototypeOf } = Object;
const { apply, deleteProperty } = Reflect;
const { iterator, toStringTag } = Symbol;
const ObjectConstructor = Object;
const ObjectPrototype = Object.prototype;
const ArrayPrototype = Array.prototype;
const TypeErrorConstructor = TypeError;
const DateConstructor = Date;
const dateGetTime = Date.prototype.getTime;
const booleanValueOf = Boolean.prototype.valueOf;
const numberValueOf = Number.prototype.valueOf;
const stringValueOf = String.prototype.valueOf;
const bigintValueOf = BigInt.prototype.valueOf;
const MapConstructor = Map;
const mapGet = Map.prototype.get;
const mapHas = Map.prototype.has;
const mapSet = Map.prototype.set;
const mapForEach = Map.prototype.forEach;
const SetConstructor = Set;
const setAdd = Set.prototype.add;
const setForEach = Set.prototype.forEach;
const ArrayBufferConstructor = ArrayBuffer;
const Uint8ArrayConstructor = Uint8Array;
const DataViewConstructor = DataView;
const getter = (holder, name) => getOwnPropertyDescriptor(holder, name).get;
const TypedArrayPrototype = getPrototypeOf(Uint8Array.prototype);
const typedArraySet = TypedArrayPrototype.set;
const typedArrayName = getter(TypedArrayPrototype, toStringTag);
const typedArrayBuffer = getter(TypedArrayPrototype, 'buffer');
const typedArrayOffset = getter(TypedArrayPrototype, 'byteOffset');
const typedArrayLength = getter(TypedArrayPrototype, 'length');
const viewBuffer = getter(DataView.prototype, 'buffer');
const viewOffset = getter(DataView.prototype, 'byteOffset');
const viewLength = getter(DataView.prototype, 'byteLength');
const bufferLength = getter(ArrayBuffer.prototype, 'byteLength');

const typedArrays = { __proto__: null };
for (const type of [
  Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, Float32Array,
  Float64Array, BigInt64Array, BigUint64Array,
]) typedArrays[type.name] = type;

const errors = { __proto__: null };
for (const type of [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError]) {
  errors[type.name] = type;
}

// In the order of Kind in native_structured_clone.cc.
const ORDINARY = 0, ARRAY = 1, UNCLONEABLE = 2, DATE = 3, REGULAR_EXPRESSION = 4, BOOLEAN_OBJECT = 5, NUMBER_OBJECT = 6,
  STRING_OBJECT = 7, BIGINT_OBJECT = 8, ARRAY_BUFFER = 9, TYPED_ARRAY = 10, DATA_VIEW = 11, MAP = 12, SET = 13,
  ERROR = 14, WASM_MODULE = 15;

// --- classes -------------------------------------------------------------------------------------------------------

// By the prototype of a class. There is no `copy` if objects of the class cannot be cloned.
const classes = new Map();

runtime.cloneable = {
  // `has` tells whether a value really is such an object. `copy(value, clone)` makes another one; clone(part) returns
  // the copy of any value in it. Neither may call what a module can replace.
  register(Interface, has, copy) {
    classes.set(Interface.prototype, { __proto__: null, name: Interface.name, has, copy });
  },
  // Only before any module exists. No object with this prototype can be cloned, unless its class is registered.
  forbid(prototype, name) {
    if (!classes.has(prototype)) classes.set(prototype, { __proto__: null, name, has: undefined, copy: undefined });
  },
};

const transferables = [];

runtime.transferable = {
  // `has` tells whether a value really is such an object, and isDetached(value) whether it was transferred already.
  // receive(value) makes an object that transfer(value, received) can make the value's successor. arrive(received) is
  // called when the module has got that.
  register(has, isDetached, receive, transfer, arrive) {
    transferables.push({ __proto__: null, has, isDetached, receive, transfer, arrive });
  },
};

function defineHidden(holder, key, value) {
  defineProperty(holder, key, { __proto__: null, value, writable: true, enumerable: false, configurable: true });
}

const copyStack = (from, to) => {
  const { stack } = from;
  if (typeof stack === 'string') {
    defineHidden(to, 'stack', stack);
  } else {
    deleteProperty(to, 'stack');
  }
};

const exceptionMessage = getter(DOMException.prototype, 'message');
const exceptionName = getter(DOMException.prototype, 'name');
runtime.cloneable.register(DOMException, isDOMException, (exception) => {
  const copy = new DOMException(apply(exceptionMessage, exception, []), apply(exceptionName, exception, []));
  copyStack(exception, copy);
  return copy;
});
// --- copying -------------------------------------------------------------------------------------------------------

const describe = (value) => typeof value === 'function' ? 'a function' : 'an object of this kind';

// The Standard's CreateDataProperty, on an object or array that has no such property yet.
function put(holder, prototype, key, value) {
  if (key in prototype) {
    defineProperty(holder, key, { __proto__: null, value, writable: true, enumerable: true, configurable: true });
  } else {
    holder[key] = value;
  }
}

// The entry in `classes` of an ordinary object; undefined if it is not one of the platform's.
function classOf(value) {
  const prototype = getPrototypeOf(value);
  if (prototype === ObjectPrototype || prototype === null) return undefined;
  for (let at = prototype; at !== null && at !== ObjectPrototype && kindOf(at) === ORDINARY; at = getPrototypeOf(at)) {
    const entry = apply(mapGet, classes, [at]);
    if (entry !== undefined) return entry;
  }
  return undefined;
}

// Copies values. `where` is a function's name for messages.
class Copier {
  // From each object that was seen to its copy.
  #memory = new MapConstructor();
  #where;

  constructor(where) { this.#where = where; }

  refuse(what) { throw new DOMException(`${this.#where}: ${what} could not be cloned`, 'DataCloneError'); }

  remember(value, copy) {
    apply(mapSet, this.#memory, [value, copy]);
    return copy;
  }
  hasSeen(value) { return apply(mapHas, this.#memory, [value]); }

  copy(value) {
    if (typeof value === 'symbol') this.refuse('a symbol');
    if (!isObject(value)) return value;
    const seen = apply(mapGet, this.#memory, [value]);
    if (seen !== undefined) return seen;
    const kind = kindOf(value);
    switch (kind) {
      case ORDINARY: return this.#copyOrdinary(value);
      case ARRAY: return this.#copyArray(value);
      case MAP: return this.#copyMap(value);
      case SET: return this.#copySet(value);
      case ERROR: return this.#copyError(value);
      default: return this.copyWhole(value, kind);
    }
  }

  // Copies a value that has no parts of its own, except for a view's buffer.
  copyWhole(value, kind) {
    switch (kind) {
      case DATE: return this.remember(value, new DateConstructor(apply(dateGetTime, value, [])));
      case REGULAR_EXPRESSION: return this.remember(value, copyRegExp(value));
      case BOOLEAN_OBJECT: return this.remember(value, ObjectConstructor(apply(booleanValueOf, value, [])));
      case NUMBER_OBJECT: return this.remember(value, ObjectConstructor(apply(numberValueOf, value, [])));
      case STRING_OBJECT: return this.remember(value, ObjectConstructor(apply(stringValueOf, value, [])));
      case BIGINT_OBJECT: return this.remember(value, ObjectConstructor(apply(bigintValueOf, value, [])));
      case ARRAY_BUFFER: return this.#copyBuffer(value);
      case TYPED_ARRAY: return this.#copyTypedArray(value);
      case DATA_VIEW: return this.#copyDataView(value);
      case WASM_MODULE: return this.remember(value, copyWasmModule(value));
      default: return this.refuse(describe(value));
    }
  }

  #copyOrdinary(value) {
    const entry = classOf(value);
    if (entry !== undefined) {
      if (entry.copy === undefined || !entry.has(value)) this.refuse(`an object of class ${entry.name}`);
      return this.remember(value, entry.copy(value, (part) => this.copy(part)));
    }
    const copy = this.remember(value, {});
    this.#copyProperties(value, copy, ObjectPrototype, keys(value), 0);
    return copy;
  }

  #copyProperties(value, copy, prototype, names, from) {
    for (let i = from; i < names.length; i++) {
      const name = names[i];
      // An earlier getter may have deleted it.
      if (hasOwn(value, name)) put(copy, prototype, name, this.copy(value[name]));
    }
  }

  #copyArray(value) {
    const copy = this.remember(value, []);
    const { length } = value;
    let dense = 0;
    for (; dense < length && hasOwn(value, dense); dense++) put(copy, ArrayPrototype, dense, this.copy(value[dense]));
    if (dense === length) {
      const names = namedKeys(value);
      if (names.length !== 0) this.#copyProperties(value, copy, ArrayPrototype, names, 0);
      return copy;
    }
    copy.length = length;
    const names = keys(value);
    let rest = 0;
    while (rest < names.length && +names[rest] < dense) rest++;
    this.#copyProperties(value, copy, ArrayPrototype, names, rest);
    return copy;
  }

  #copyBuffer(value) {
    if (isDetached(value)) this.refuse('a detached ArrayBuffer');
    const copy = new ArrayBufferConstructor(apply(bufferLength, value, []));
    apply(typedArraySet, new Uint8ArrayConstructor(copy), [new Uint8ArrayConstructor(value)]);
    return this.remember(value, copy);
  }

  #copyTypedArray(value) {
    const Type = typedArrays[apply(typedArrayName, value, [])];
    const buffer = this.copy(apply(typedArrayBuffer, value, []));
    return this.remember(
      value, new Type(buffer, apply(typedArrayOffset, value, []), apply(typedArrayLength, value, [])));
  }

  #copyDataView(value) {
    const buffer = this.copy(apply(viewBuffer, value, []));
    return this.remember(
      value, new DataViewConstructor(buffer, apply(viewOffset, value, []), apply(viewLength, value, [])));
  }

  #copyMap(value) {
    const copy = this.remember(value, new MapConstructor());
    // Entries that a getter adds meanwhile do not count.
    const entries = [];
    apply(mapForEach, value, [(element, key) => {
      put(entries, ArrayPrototype, entries.length, key);
      put(entries, ArrayPrototype, entries.length, element);
    }]);
    for (let i = 0; i < entries.length; i += 2) {
      apply(mapSet, copy, [this.copy(entries[i]), this.copy(entries[i + 1])]);
    }
    return copy;
  }

  #copySet(value) {
    const copy = this.remember(value, new SetConstructor());
    const elements = [];
    apply(setForEach, value, [(element) => put(elements, ArrayPrototype, elements.length, element)]);
    for (let i = 0; i < elements.length; i++) apply(setAdd, copy, [this.copy(elements[i])]);
    return copy;
  }

  #copyError(value) {
    const name = `${value.name}`;
    const message = getOwnPropertyDescriptor(value, 'message');
    const copy = this.remember(value, new (errors[name] ?? errors.Error)());
    if (message !== undefined && hasOwn(message, 'value')) defineHidden(copy, 'message', `${message.value}`);
    copyStack(value, copy);
    this.copyDetails(value, copy, name);
    return copy;
  }

  // Copies the properties of an error that the standard does not keep.
  copyDetails(error, copy, name) {
    if (hasOwn(error, 'cause')) defineHidden(copy, 'cause', this.copy(error.cause));
  }
}

runtime.copying = {
  Copier, put, classOf,
  kinds: {
    __proto__: null, ORDINARY, UNCLONEABLE, ARRAY_BUFFER, TYPED_ARRAY, DATA_VIEW, MAP, SET, ERROR, WASM_MODULE,
  },
};

// --- transfer ------------------------------------------------------------------------------------------------------

// put() would not do: native functions take what is read from here, and a Proxy behind arrays could show something
// else.
function append(array, value) {
  defineProperty(array, array.length, { __proto__: null, value, writable: true, enumerable: true, configurable: true });
}

const methodOf = (value) => isObject(value) ? value[iterator] : undefined;

// Web IDL's sequence<object>, called `what` in messages. If the value is undefined, an empty one.
function toObjects(value, what, method = methodOf(value)) {
  const sequence = [];
  if (value === undefined) return sequence;
  if (typeof method !== 'function') throw new TypeErrorConstructor(`${what} must be an iterable`);
  for (const element of { __proto__: null, [iterator]: () => apply(method, value, []) }) {
    if (!isObject(element)) throw new TypeErrorConstructor(`${what} must contain only objects`);
    append(sequence, element);
  }
  return sequence;
}

function transferableOf(value) {
  for (let i = 0; i < transferables.length; i++) if (transferables[i].has(value)) return transferables[i];
  return undefined;
}

// StructuredSerializeWithTransfer and StructuredDeserializeWithTransfer. Returns the copy, and the successor of each
// object of `transfer`, which must be an array of the caller's own.
function cloneWithTransfer(value, transfer, where) {
  const copier = new Copier(where);
  const entries = [], received = [];
  for (let i = 0; i < transfer.length; i++) {
    const object = transfer[i];
    const isBuffer = kindOf(object) === ARRAY_BUFFER;
    const entry = isBuffer ? undefined : transferableOf(object);
    if (!isBuffer && entry === undefined) copier.refuse(`${describe(object)} listed in transfer`);
    if (copier.hasSeen(object)) copier.refuse('an object listed twice in transfer');
    append(entries, entry);
    append(received, copier.remember(object, isBuffer ? shareBuffer(object) : entry.receive(object)));
  }
  const copy = copier.copy(value);
  for (let i = 0; i < transfer.length; i++) {
    if (entries[i] === undefined) {
      if (!detachBuffer(transfer[i])) copier.refuse('a detached ArrayBuffer');
    } else {
      if (entries[i].isDetached(transfer[i])) copier.refuse('an object that was transferred before');
      entries[i].transfer(transfer[i], received[i]);
    }
  }
  return { __proto__: null, copy, received };
}

runtime.copying.toObjects = toObjects;
runtime.copying.cloneWithTransfer = cloneWithTransfer;

publishOperations({
  structuredClone(value, options = undefined) {
    checkGlobal(this);
    needArguments(arguments.length, 1, 'structuredClone');
    const transfer = toObjects(toDictionary(options, 'structuredClone').transfer, 'structuredClone: transfer');
    const { copy, received } = cloneWithTransfer(value, transfer, 'structuredClone');
    for (let i = 0; i < received.length; i++) transferableOf(received[i])?.arrive(received[i]);
    return copy;
  },
});
