// Outgoing and incoming values in the encoding `structured`. V8's format has no place for the errors of an
// AggregateError, and its reader accepts no cause that leads back to its error. If there is one of these, the errors of
// all AggregateErrors and all causes follow the value as a second value: an array in which references to errors in the
// first value alternate with objects of what belongs to each.
//
// Evaluated after calls.js (how parts of a value are described); web_idl.js (isObject); structured_clone.js (Copier,
// the superclass of PayloadCopier).
'use strict';

const { kindOf, namedKeys, isDetached } = host;
const { step, adviceOn, describeInstance, describeOther, kindOfIterator } = runtime;
const { Copier, put, classOf, kinds } = runtime.copying;
const { isObject } = runtime.webIdl;
const { defineProperty, getOwnPropertyDescriptor, getPrototypeOf, hasOwn, keys, setPrototypeOf } = Object;
const { apply } = Reflect;
const { stringify } = JSON;
const { isArray } = Array;
const ArrayPrototype = Array.prototype;
const SetConstructor = Set;
const setAdd = Set.prototype.add;
const setHas = Set.prototype.has;
const setDelete = Set.prototype.delete;
const setForEach = Set.prototype.forEach;
const mapForEach = Map.prototype.forEach;
const ObjectPrototype = Object.prototype;
const AggregateErrorPrototype = AggregateError.prototype;
const typedArrayBuffer = getOwnPropertyDescriptor(getPrototypeOf(Uint8Array.prototype), 'buffer').get;
const viewBuffer = getOwnPropertyDescriptor(DataView.prototype, 'buffer').get;

// --- out -----------------------------------------------------------------------------------------------------------

function describe(value) {
  try {
    return describeInstance(getPrototypeOf(value));
  } catch {
    return 'an object of a kind that cannot be cloned';
  }
}

function showKey(key) {
  if (isObject(key)) return 'an object';
  return typeof key === 'string' ? stringify(key) : typeof key === 'bigint' ? `${key}n` : `${key}`;
}

// [what it is, path] of a detached ArrayBuffer or a view of one; undefined for all others.
function describeBuffer(value, buffer) {
  if (kindOf(buffer) !== kinds.ARRAY_BUFFER || !isDetached(buffer)) return undefined;
  return [value === buffer ? 'a detached ArrayBuffer' : 'a view of a detached ArrayBuffer', ''];
}

// Checks what V8's serializer wrote or refused: it writes an object of the platform's own, such as a Blob, as an
// empty one. Returns [path, what it is, what to do or undefined] of the first part that cannot be expressed; true if
// there are errors that V8 would not read or keep whole; undefined if all is well. A getter may show this other
// things than it showed V8; then it deceives only the module's own caller.
runtime.checkStructured = (root) => {
  const seen = new SetConstructor();
  // Errors whose cause is being looked at: V8 cannot read a reference back to them.
  const open = new SetConstructor();
  let needsDetails = false;

  // [what, path behind this value]
  function visit(value) {
    if (typeof value !== 'object') {
      return typeof value === 'function' || typeof value === 'symbol' ? [describeOther(value), ''] : undefined;
    }
    if (value === null) return undefined;
    if (apply(setHas, seen, [value])) {
      if (apply(setHas, open, [value])) needsDetails = true;
      return undefined;
    }
    apply(setAdd, seen, [value]);
    const prototype = getPrototypeOf(value);
    if (prototype === ObjectPrototype || prototype === null) return visitProperties(value);
    if (isArray(value)) return visitArray(value);
    switch (kindOf(value)) {
      case kinds.ORDINARY: {
        const entry = classOf(value);
        const iterator = kindOfIterator(prototype);
        if (iterator !== undefined && (entry !== undefined || keys(value).length === 0)) return [iterator, ''];
        return entry === undefined ? visitProperties(value) : [`an instance of ${entry.name}`, ''];
      }
      case kinds.MAP: return visitMap(value);
      case kinds.SET: return visitSet(value);
      case kinds.ERROR: return visitError(value);
      case kinds.UNCLONEABLE: case kinds.WASM_MODULE: return [describe(value), ''];
      case kinds.ARRAY_BUFFER: return describeBuffer(value, value);
      case kinds.TYPED_ARRAY: return describeBuffer(value, apply(typedArrayBuffer, value, []));
      case kinds.DATA_VIEW: return describeBuffer(value, apply(viewBuffer, value, []));
      default: return undefined;
    }
  }

  function visitNamed(value, names, inArray) {
    for (let i = 0; i < names.length; i++) {
      const found = visit(value[names[i]]);
      if (found !== undefined) return [found[0], step('', names[i], inArray) + found[1]];
    }
    return undefined;
  }

  const visitProperties = (value) => visitNamed(value, keys(value), false);

  function visitArray(value) {
    const { length } = value;
    for (let i = 0; i < length; i++) {
      const item = value[i];
      // The rest of an array with holes may be far away.
      if (item === undefined && !hasOwn(value, i)) return visitNamed(value, keys(value), true);
      const found = visit(item);
      if (found !== undefined) return [found[0], step('', i, true) + found[1]];
    }
    return visitNamed(value, namedKeys(value), false);
  }

  function visitMap(value) {
    let index = 0, first;
    apply(mapForEach, value, [(element, key) => {
      if (first !== undefined) return;
      const inKey = visit(key);
      if (inKey !== undefined) {
        first = [inKey[0], `.keys()[${index}]${inKey[1]}`];
      } else {
        const found = visit(element);
        if (found !== undefined) first = [found[0], `.get(${showKey(key)})${found[1]}`];
      }
      index++;
    }]);
    return first;
  }

  function visitSet(value) {
    let index = 0, first;
    apply(setForEach, value, [(element) => {
      if (first !== undefined) return;
      const found = visit(element);
      if (found !== undefined) first = [found[0], `.values()[${index}]${found[1]}`];
      index++;
    }]);
    return first;
  }

  function visitError(value) {
    if (hasOwn(value, 'cause')) {
      apply(setAdd, open, [value]);
      const found = visit(value.cause);
      if (found !== undefined) return [found[0], `.cause${found[1]}`];
      apply(setDelete, open, [value]);
    }
    if (`${value.name}` === 'AggregateError' && hasOwn(value, 'errors')) {
      needsDetails = true;
      const found = visit(value.errors);
      if (found !== undefined) return [found[0], `.errors${found[1]}`];
    }
    return undefined;
  }

  try {
    const found = visit(root);
    return found === undefined ? needsDetails || undefined : [`$${found[1]}`, found[0], adviceOn(found[0])];
  } catch {
    return ['$', 'nested too deeply to be checked, or has properties that throw'];
  }
};

// Leaves the details of errors to the second value, and parts without references to V8.
class PayloadCopier extends Copier {
  details = [];

  copyWhole(value) { return this.remember(value, value); }

  copyDetails(error, copy, name) {
    const details = { __proto__: null };
    if (hasOwn(error, 'cause')) details.cause = this.copy(error.cause);
    if (name === 'AggregateError' && hasOwn(error, 'errors')) details.errors = this.copy(error.errors);
    if (keys(details).length === 0) return;
    put(this.details, ArrayPrototype, this.details.length, copy);
    put(this.details, ArrayPrototype, this.details.length, details);
  }
}

// For values of which checkStructured() returned true: [what V8 is to write, what is to follow it].
runtime.splitStructured = (value) => {
  const copier = new PayloadCopier('structured');
  return [copier.copy(value), copier.details];
};

// --- in ------------------------------------------------------------------------------------------------------------

const ownElement = (array, at) => hasOwn(array, at) ? array[at] : undefined;

// Gives errors the details that came behind the value. They may be anything that V8 reads, but have no getters.
// Returns whether they had the form that splitStructured() makes.
runtime.restoreErrors = (details) => {
  if (!isArray(details)) return false;
  for (let at = 0; at < details.length; at += 2) {
    const error = ownElement(details, at), parts = ownElement(details, at + 1);
    if (!isObject(error) || kindOf(error) !== kinds.ERROR) return false;
    if (!isObject(parts) || kindOf(parts) !== kinds.ORDINARY) return false;
    const restore = (name) => {
      defineProperty(
        error, name, { __proto__: null, value: parts[name], writable: true, enumerable: false, configurable: true });
    };
    if (hasOwn(parts, 'cause')) restore('cause');
    if (hasOwn(parts, 'errors')) {
      setPrototypeOf(error, AggregateErrorPrototype);
      restore('errors');
    }
  }
  return true;
};
