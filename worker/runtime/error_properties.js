// The properties of a thrown value, as data for its caller (protocol.capnp, Error.properties).
//
// Evaluated after calls.js (how values are told apart and cut); errors.js (which properties are shown elsewhere). It
// calls the bundle of web/, which is evaluated later, when an error is shown.
'use strict';

const { isWellFormed, kindOf, proxyDetails, utf8Length } = host;
const { beginning, isError, isShownElsewhere, mostRead } = runtime;
const { apply, getOwnPropertyDescriptor, ownKeys } = Reflect;
const { getPrototypeOf, hasOwn } = Object;
const { stringify } = JSON;
const ObjectPrototype = Object.prototype;
const stringReplace = String.prototype.replace;
const stringSlice = String.prototype.slice;

// As kMaxPropertiesBytes in ipc/error.h.
const mostBytes = 4096;
const mostBytesOfOne = 2048;
const mostProperties = 32;
const mostCharacters = 1024;  // of one text
const mostDeep = 8;
const mostParts = 100;   // arrays and objects inside of one property
const mostElements = 100;  // of each of them
const mostShown = 1000;  // parts of all values that are shown as text
const mostKeys = 1000;   // that are looked at

// Number of Kind in native_structured_clone.cc.
const ARRAY = 1;

// With the flag "u" it matches surrogates that stand alone, and no others.
const loneSurrogates = /\p{Surrogate}/gu;

// The JSON text contains only characters that UTF-8 has: many readers refuse the escape of half a character.
function jsonOfText(text) {
  if (text.length > mostRead) text = beginning(text);
  if (text.length > mostCharacters) text = `${apply(stringSlice, text, [0, mostCharacters - 1])}\u2026`;
  if (!isWellFormed(text)) text = apply(stringReplace, text, [loneSurrogates, '\ufffd']);
  return stringify(text);
}

const inOneLine = { __proto__: null, breakLength: Infinity, compact: true };

// Shows, as the console does, a value for which JSON has no form.
function jsonOfShown(value, budget) {
  return jsonOfText(runtime.inspectWithin(value, budget.shown, 1, inOneLine));
}

const isPlain = (prototype) => prototype === null || prototype === ObjectPrototype;

// The JSON text of a data property's value; undefined if there is none.
function jsonOf(value, depth, above, budget) {
  switch (typeof value) {
    case 'string': return jsonOfText(value);
    case 'boolean': return value ? 'true' : 'false';
    case 'number': return value - value === 0 ? stringify(value) : jsonOfShown(value, budget);
    case 'undefined': return undefined;
    case 'object': break;
    default: return jsonOfShown(value, budget);
  }
  if (value === null) return 'null';
  if (--budget.left < 0) return undefined;  // its property is left out
  for (let at = above; at !== undefined; at = at.next) if (at.value === value) return '"[Circular]"';
  if (proxyDetails(value) !== undefined) return jsonOfShown(value, budget);
  if (isError(value)) return jsonOfText(runtime.headline(value));
  const inside = { __proto__: null, value, next: above };
  if (kindOf(value) === ARRAY) {
    if (depth >= mostDeep || value.length > mostElements) return jsonOfShown(value, budget);
    let text = '';
    for (let i = 0; i < value.length; i++) {
      const descriptor = getOwnPropertyDescriptor(value, i);
      const isData = descriptor !== undefined && hasOwn(descriptor, 'value');
      text += `${i === 0 ? '' : ','}${(isData ? jsonOf(descriptor.value, depth + 1, inside, budget) : undefined) ?? 'null'}`;
    }
    return `[${text}]`;
  }
  if (!isPlain(getPrototypeOf(value)) || depth >= mostDeep) return jsonOfShown(value, budget);
  const keys = ownKeys(value);
  if (keys.length > mostElements) return jsonOfShown(value, budget);
  let text = '';
  for (let i = 0; i < keys.length; i++) {
    const member = memberOf(value, keys[i], depth, inside, budget);
    if (member !== undefined) text += `${text === '' ? '' : ','}${member}`;
  }
  return `{${text}}`;
}

// `"key":value` for an own, enumerable data property whose key is a text; otherwise undefined.
function memberOf(object, key, depth, above, budget) {
  if (typeof key !== 'string') return undefined;
  const descriptor = getOwnPropertyDescriptor(object, key);
  if (descriptor === undefined || !descriptor.enumerable || !hasOwn(descriptor, 'value')) return undefined;
  const value = jsonOf(descriptor.value, depth + 1, above, budget);
  return value === undefined ? undefined : `${jsonOfText(key)}:${value}`;
}

// Like memberOf(), but shows a value that is too large for data as text.
function propertyOf(object, key, above, shown) {
  const budget = { __proto__: null, left: mostParts, shown };
  const member = memberOf(object, key, 0, above, budget);
  if (member === undefined || budget.left >= 0 && utf8Length(member) <= mostBytesOfOne) return member;
  return `${jsonOfText(key)}:${jsonOfShown(getOwnPropertyDescriptor(object, key).value, budget)}`;
}

// The JSON text of an object with the properties; '' if there are none. For an Error, leaves out what its message and
// stack contain. `keys` are the own keys of the thrown value; undefined if it has none that are names.
runtime.propertiesOf = (thrown, keys, isAnError) => {
  if (keys === undefined) return '';
  try {
    const above = { __proto__: null, value: thrown, next: undefined };
    const shown = { __proto__: null, left: mostShown };
    let text = '', bytes = 2, count = 0;
    for (let i = 0; i < keys.length && i < mostKeys && count < mostProperties; i++) {
      if (isAnError && isShownElsewhere(keys[i])) continue;
      const member = propertyOf(thrown, keys[i], above, shown);
      if (member === undefined) continue;
      const size = utf8Length(member) + (text === '' ? 0 : 1);
      if (bytes + size > mostBytes) continue;
      text += `${text === '' ? '' : ','}${member}`;
      bytes += size;
      count++;
    }
    return text === '' ? '' : `{${text}}`;
  } catch {
    return '';  // its stack is used up
  }
};
