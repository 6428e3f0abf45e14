// What inspect shows of a value, for readers who did not ask for it: what was thrown may be an HTTP client's whole
// state. Formatting is bounded in size, depth and time. It runs no accessors and no traps of a Proxy.
import { inspect } from './inspect.js';

const { kindOf, nonIndexNames, proxyDetails } = host;
const { beginning, describeInstance, mostRead, show, withoutOwnFrames } = runtime;
const { apply, ownKeys } = Reflect;
const { create, defineProperty, getOwnPropertyDescriptor, getPrototypeOf, hasOwn } = Object;
const { min } = Math;
const { entries: mapEntries } = Map.prototype;
const { values: setValues } = Set.prototype;
const stringValueOf = String.prototype.valueOf;
const nextOfMap = getPrototypeOf(new Map().entries()).next;
const nextOfSet = getPrototypeOf(new Set().values()).next;

// Numbers of Kind in native_structured_clone.cc.
const ARRAY = 1, STRING_OBJECT = 7, TYPED_ARRAY = 10, MAP = 12, SET = 13;

// Elements of arrays and other collections; inspect's own default.
const mostElements = 100;
// Properties of an object that has more than can be shown.
const mostProperties = 100;
// Characters of a text inside the value.
const mostCharacters = 2000;

const isObject = (value) => typeof value === 'object' && value !== null || typeof value === 'function';

// The value of a data property; otherwise undefined.
runtime.dataOf = (object, key) => {
  const descriptor = getOwnPropertyDescriptor(object, key);
  return descriptor !== undefined && hasOwn(descriptor, 'value') ? descriptor.value : undefined;
};
const { dataOf } = runtime;

// How many objects and properties inspect looks at, or a number beyond `most`. Of collections, counts what inspect
// shows. `rootKeys` are the own keys of `root`, if they are known.
function countParts(root, rootKeys, depth, most) {
  let count = 0;
  const visitEntries = (iterator, next, left) => {
    for (let i = 0; i < mostElements && count <= most; i++) {
      const { done, value } = apply(next, iterator, []);
      if (done) return;
      visit(value, left);
    }
  };
  const visit = (value, left) => {
    if (++count > most || !isObject(value)) return;
    const proxied = proxyDetails(value);
    if (proxied !== undefined) ({ 0: value } = proxied);
    if (value === null || left < 0) return;
    const kind = kindOf(value);
    if (kind === ARRAY) {
      const shown = min(value.length, mostElements);
      for (let i = 0; i < shown && count <= most; i++) visit(dataOf(value, i), left - 1);
    } else if (kind === TYPED_ARRAY) {
      count += mostElements;
    } else if (kind === MAP) {
      visitEntries(apply(mapEntries, value, []), nextOfMap, left);  // a pair is an array
    } else if (kind === SET) {
      visitEntries(apply(setValues, value, []), nextOfSet, left - 1);
    } else if (kind === STRING_OBJECT) {
      count += apply(stringValueOf, value, []).length;  // each character is a property
      if (count > most) return;
    }
    const keys = value === root && rootKeys !== undefined ? rootKeys : nonIndexNames(value) ?? ownKeys(value);
    if (keys.length > most) count += keys.length;
    for (let i = 0; i < keys.length && count <= most; i++) visit(dataOf(value, keys[i]), left - 1);
  };
  visit(root, depth);
  return count;
}

function inspectAll(value, depth, options) {
  const all = { ...options, depth, maxArrayLength: mostElements, maxStringLength: mostCharacters };
  let text;
  try {
    text = inspect(value, all);
  } catch {
    text = inspect(value, { ...all, customInspect: false });  // the module's own inspection function threw
  }
  return withoutOwnFrames(text.length > mostRead ? beginning(text) : text, true);
}

function inspectFirstProperties(value, keys, options) {
  const part = create(getPrototypeOf(value));
  for (let i = 0; i < mostProperties; i++) {
    const descriptor = getOwnPropertyDescriptor(value, keys[i]);
    if (descriptor !== undefined) defineProperty(part, keys[i], { __proto__: null, ...descriptor });
  }
  const text = inspectAll(part, 0, { ...options, customInspect: false });
  return `${text} and ${keys.length - mostProperties} more properties`;
}

const depths = [5, 2, 1, 0];

// The value as text, to the greatest depth, up to `deepest`, at which it has at most `budget.left` parts. Subtracts
// them from the budget. `options` are inspect's. `keys` are the value's own keys, if they are known: listing those of
// a very large object takes long. Never throws.
runtime.inspectWithin = (value, budget, deepest, options, keys) => {
  try {
    if (!isObject(value)) return inspectAll(value, 0, options);
    for (let i = 0; i < depths.length; i++) {
      if (depths[i] > deepest || keys !== undefined && keys.length > budget.left) continue;
      const count = countParts(value, keys, depths[i], budget.left);
      if (count > budget.left) continue;
      budget.left -= count;
      return inspectAll(value, depths[i], options);
    }
    const target = proxyDetails(value)?.[0] ?? value;
    if (keys !== undefined && keys.length > mostProperties && budget.left >= mostProperties) {
      budget.left -= mostProperties;
      return inspectFirstProperties(target, keys, options);
    }
    return `[${describeInstance(getPrototypeOf(target))}]`;
  } catch {
    return show(value);
  }
};
