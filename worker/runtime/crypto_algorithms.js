// Algorithms of the Web Cryptography API: what parameters each operation takes, and how they are read
// (https://w3c.github.io/webcrypto/, 18; its dictionaries are converted as Web IDL says).
//
// Evaluated after web_idl.js (isObject); dom_exception.js (what failures throw).
'use strict';

const { isArrayBuffer, copyBytes } = host.crypto;
const { DOMException } = runtime;
const { isObject } = runtime.webIdl;
const { getOwnPropertyDescriptor, getPrototypeOf, hasOwn } = Object;
const { apply } = Reflect;
const { isView } = ArrayBuffer;
const { trunc } = Math;
const TypeErrorConstructor = TypeError;
const toLowerCase = String.prototype.toLowerCase;
const charCodeAt = String.prototype.charCodeAt;
const typedArrayName = getOwnPropertyDescriptor(getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag).get;

function fail(name, message) { throw new DOMException(message, name); }

// Returns a native function's result. Throws if it is the reason why the function failed.
function orFail(result, name = 'OperationError') {
  if (typeof result === 'string') fail(name, result);
  return result;
}

// --- conversions (Web IDL, 3.2) ------------------------------------------------------------------------------------

// Each converter takes a value and its name for a message. If it has a `then`, its result is complete only after all
// members were read and `then` was called with it. Only its own `then` counts: a module could give one to all
// functions, and so have native functions called with values of unexpected types.

const isBytes = (value) => isView(value) || isArrayBuffer(value);

function toBytes(value, what) {
  if (!isBytes(value)) throw new TypeErrorConstructor(`${what} must be an ArrayBuffer or a view of one`);
  return value;
}
toBytes.then = (value) => copyBytes(value);

function toBigInteger(value, what) {
  if (!isView(value) || apply(typedArrayName, value, []) !== 'Uint8Array') {
    throw new TypeErrorConstructor(`${what} must be a Uint8Array`);
  }
  return value;
}
toBigInteger.then = (value) => copyBytes(value);

function toInteger(most) {
  return (value, what) => {
    const number = trunc(+value);
    // NaN is out of every range.
    if (!(number >= 0 && number <= most)) {
      throw new TypeErrorConstructor(`${what} must be a number from 0 to ${most}`);
    }
    return number + 0;  // no -0
  };
}
const toOctet = toInteger(0xff), toUnsignedShort = toInteger(0xffff), toUnsignedLong = toInteger(0xffffffff);

const toText = (value) => `${value}`;

const toIdentifier = (value) => (isObject(value) ? value : `${value}`);

const toHash = (value) => toIdentifier(value);
toHash.then = (value) => normalize(value, 'digest');

// crypto_keys.js sets `convert`.
const keyConverter = { __proto__: null, convert: undefined };
const toKey = (value, what) => keyConverter.convert(value, what);

// --- parameters ----------------------------------------------------------------------------------------------------

// The members of each dictionary, in the order in which they are read, after `name`.
const parameters = {
  __proto__: null,
  none: null,
  aesCbc: [['iv', toBytes, true]],
  aesCtr: [['counter', toBytes, true], ['length', toOctet, true]],
  aesGcm: [['additionalData', toBytes, false], ['iv', toBytes, true], ['tagLength', toOctet, false]],
  aesLength: [['length', toUnsignedShort, true]],
  hmac: [['hash', toHash, true], ['length', toUnsignedLong, false]],
  hkdf: [['hash', toHash, true], ['info', toBytes, true], ['salt', toBytes, true]],
  pbkdf2: [['hash', toHash, true], ['iterations', toUnsignedLong, true], ['salt', toBytes, true]],
  hashed: [['hash', toHash, true]],
  rsaGenerate: [['modulusLength', toUnsignedLong, true], ['publicExponent', toBigInteger, true], ['hash', toHash, true]],
  rsaPss: [['saltLength', toUnsignedLong, true]],
  rsaOaep: [['label', toBytes, false]],
  curve: [['namedCurve', toText, true]],
  agreement: [['public', toKey, true]],
  ed448: [['context', toBytes, false]],
};

// --- the registry and normalization (18.4) -------------------------------------------------------------------------

// By name: the parameters of each operation, and under `run` the functions that carry them out.
const registry = { __proto__: null };
const namesInLowerCase = { __proto__: null };

// `operations` has a pair of parameters and function for each. The functions take what their callers in crypto.js
// pass.
function define(name, operations) {
  const definition = { __proto__: null, parameters: { __proto__: null }, run: { __proto__: null } };
  for (const operation of Object.keys(operations)) {
    definition.parameters[operation] = operations[operation][0];
    definition.run[operation] = operations[operation][1];
  }
  registry[name] = definition;
  namesInLowerCase[apply(toLowerCase, name, [])] = name;
}

// Ignores the case of ASCII letters only: some other letters become ASCII in lower case.
function findName(text) {
  if (registry[text] !== undefined) return text;
  for (let i = 0; i < text.length; i++) if (apply(charCodeAt, text, [i]) > 0x7f) return undefined;
  return namesInLowerCase[apply(toLowerCase, text, [])];
}

function supports(name, operation) { return registry[name].run[operation] !== undefined; }

// `algorithm` is a result of toIdentifier(). Runs the module's getters.
function normalize(algorithm, operation) {
  let text = algorithm;
  if (typeof algorithm !== 'string') {
    text = algorithm.name;
    if (text === undefined) throw new TypeErrorConstructor('an algorithm must have a name');
    text = `${text}`;
  }
  const name = findName(text);
  if (name === undefined || !supports(name, operation)) {
    fail('NotSupportedError', `there is no algorithm "${text}" for ${operation}`);
  }
  const normalized = { __proto__: null, name };
  const members = registry[name].parameters[operation];
  if (members === null) return normalized;
  if (typeof algorithm !== 'string') `${algorithm.name}`;  // the dictionary reads this member again
  for (let i = 0; i < members.length; i++) {
    const { 0: member, 1: convert, 2: required } = members[i];
    const value = typeof algorithm === 'string' ? undefined : algorithm[member];
    if (value !== undefined) {
      normalized[member] = convert(value, `${name}: ${member}`);
    } else if (required) {
      throw new TypeErrorConstructor(`${name}: ${member} is missing`);
    } else {
      normalized[member] = undefined;
    }
  }
  for (let i = 0; i < members.length; i++) {
    const { 0: member, 1: convert } = members[i];
    if (hasOwn(convert, 'then') && normalized[member] !== undefined) normalized[member] = convert.then(normalized[member]);
  }
  return normalized;
}

// The hashes, with their numbers in the native functions.
const digests = { __proto__: null, 'SHA-1': 0, 'SHA-256': 1, 'SHA-384': 2, 'SHA-512': 3 };
for (const name of Object.keys(digests)) {
  const { digest } = host.crypto;
  define(name, { digest: [parameters.none, (algorithm, data) => orFail(digest(digests[name], data))] });
}

runtime.crypto = {
  __proto__: null, fail, orFail, isBytes, toBytes, toText, toIdentifier, toUnsignedLong, keyConverter, parameters,
  registry, define, supports, normalize, digests,
};
