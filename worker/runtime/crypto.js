// Crypto and SubtleCrypto (Web Cryptography API, 10 and 14). Each operation runs when it is requested, on the only
// thread, and its promise settles afterwards. The module's buffers are read in place: after the last of its getters,
// none of its code runs.
//
// Evaluated after web_idl.js (slots, publishing globals); crypto_algorithms.js (the table of algorithms);
// crypto_keys.js (CryptoKey). It looks algorithms up at each operation, so crypto_secret.js, crypto_rsa.js and
// crypto_curves.js need only come before the first module.
'use strict';

const { fillRandom, randomUuid, toUtf8, fromUtf8 } = host.crypto;
const { makeSlot, publish, publishAttribute, isObject, needArguments } = runtime.webIdl;
const { fail, orFail, isBytes, toBytes, toText, toIdentifier, keyConverter, registry, supports, normalize } = runtime.crypto;
const { KeySlot, usageBits, toUsages, makeKey, toJwk } = runtime.crypto.keys;
const { create, getOwnPropertyDescriptor, getPrototypeOf, keys, setPrototypeOf } = Object;
const { apply } = Reflect;
const { isView } = ArrayBuffer;
const { parse, stringify } = JSON;
const TypeErrorConstructor = TypeError;
const typedArrayPrototype = getPrototypeOf(Uint8Array.prototype);
const typedArrayName = getOwnPropertyDescriptor(typedArrayPrototype, Symbol.toStringTag).get;
const typedArrayBytes = getOwnPropertyDescriptor(typedArrayPrototype, 'byteLength').get;
const objectPrototype = Object.prototype;

const toKey = keyConverter.convert;

const formats = { __proto__: null, raw: true, spki: true, pkcs8: true, jwk: true };
function toFormat(value, where) {
  const format = `${value}`;
  if (!formats[format]) throw new TypeErrorConstructor(`${where}: "${format}" is not a key format`);
  return format;
}

// Checks that a key may be used for an operation.
function checkUse(key, name, usage) {
  if (key.algorithm.name !== name) {
    fail('InvalidAccessError', `the key is for ${key.algorithm.name}, not for ${name}`);
  }
  if ((key.usages & usageBits[usage]) === 0) fail('InvalidAccessError', `the key's usages do not include ${usage}`);
}

function importNow(algorithm, format, data, extractable, usages) {
  const key = registry[algorithm.name].run.importKey(algorithm, format, data, extractable, usages);
  if (usages === 0 && KeySlot.of(key).type !== 'public') {
    fail('SyntaxError', 'a secret or private key must have a usage');
  }
  return key;
}

function exportNow(format, key) {
  const { name } = key.algorithm;
  if (!supports(name, 'exportKey')) fail('NotSupportedError', `keys for ${name} cannot be exported`);
  if (!key.extractable) fail('InvalidAccessError', 'the key is not extractable');
  return registry[name].run.exportKey(format, key);
}

// The parsed object, without a prototype, so that only its own members count.
function jwkFromBytes(bytes) {
  let jwk;
  try {
    jwk = parse(fromUtf8(bytes));
  } catch {
    fail('DataError', 'the unwrapped key is not JSON');
  }
  if (!isObject(jwk)) fail('DataError', 'the unwrapped key is not a JSON object');
  return toJwk(setPrototypeOf(jwk, null), 'unwrapKey');
}

// Ignores a toJSON that a module may have given to arrays.
function bytesFromJwk(jwk) {
  setPrototypeOf(jwk.key_ops, null);
  return toUtf8(stringify(jwk));
}

// Normalizes for the operation `usage` or, if the algorithm does not have that, for `fallback`.
function normalizeWrapping(algorithm, usage, fallback) {
  try {
    return { __proto__: null, operation: usage, normalized: normalize(algorithm, usage) };
  } catch {
    return { __proto__: null, operation: fallback, normalized: normalize(algorithm, fallback) };
  }
}

// --- SubtleCrypto --------------------------------------------------------------------------------------------------

const SubtleSlot = makeSlot();

// Rejections are immediate. A result settles its promise in a microtask of its own, so that no module can rely on the
// operation being done before.
class SubtleCrypto {
  constructor() { throw new TypeErrorConstructor('Illegal constructor'); }

  async encrypt(algorithm, key, data) {
    return transform(this, 'encrypt', arguments, algorithm, key, data);
  }

  async decrypt(algorithm, key, data) {
    return transform(this, 'decrypt', arguments, algorithm, key, data);
  }

  async sign(algorithm, key, data) {
    return transform(this, 'sign', arguments, algorithm, key, data);
  }

  async verify(algorithm, key, signature, data) {
    SubtleSlot.of(this);
    needArguments(arguments.length, 4, 'verify');
    algorithm = toIdentifier(algorithm);
    key = toKey(key, 'verify: the key');
    toBytes(signature, 'verify: the signature');
    toBytes(data, 'verify: the data');
    const normalized = normalize(algorithm, 'verify');
    checkUse(key, normalized.name, 'verify');
    const result = registry[normalized.name].run.verify(normalized, key, signature, data);
    await undefined;
    return result;
  }

  async digest(algorithm, data) {
    SubtleSlot.of(this);
    needArguments(arguments.length, 2, 'digest');
    algorithm = toIdentifier(algorithm);
    toBytes(data, 'digest: the data');
    const normalized = normalize(algorithm, 'digest');
    const result = registry[normalized.name].run.digest(normalized, data);
    await undefined;
    return result;
  }

  async generateKey(algorithm, extractable, keyUsages) {
    SubtleSlot.of(this);
    needArguments(arguments.length, 3, 'generateKey');
    algorithm = toIdentifier(algorithm);
    extractable = !!extractable;
    const usages = toUsages(keyUsages, 'generateKey');
    const normalized = normalize(algorithm, 'generateKey');
    const result = registry[normalized.name].run.generateKey(normalized, extractable, usages);
    const isSecret = KeySlot.has(result);
    if ((isSecret ? usages : result.privateUsages) === 0) {
      fail('SyntaxError', 'a secret or private key must have a usage');
    }
    await undefined;
    return isSecret ? result : { publicKey: result.publicKey, privateKey: result.privateKey };
  }

  async deriveKey(algorithm, baseKey, derivedKeyType, extractable, keyUsages) {
    SubtleSlot.of(this);
    needArguments(arguments.length, 5, 'deriveKey');
    algorithm = toIdentifier(algorithm);
    const key = toKey(baseKey, 'deriveKey: the key');
    derivedKeyType = toIdentifier(derivedKeyType);
    extractable = !!extractable;
    const usages = toUsages(keyUsages, 'deriveKey');
    const normalized = normalize(algorithm, 'deriveBits');
    const importAlgorithm = normalize(derivedKeyType, 'importKey');
    const lengthAlgorithm = normalize(derivedKeyType, 'getKeyLength');
    checkUse(key, normalized.name, 'deriveKey');
    const length = registry[lengthAlgorithm.name].run.getKeyLength(lengthAlgorithm);
    const secret = registry[normalized.name].run.deriveBits(normalized, key, length);
    const result = importNow(importAlgorithm, 'raw', secret, extractable, usages);
    await undefined;
    return result;
  }

  async deriveBits(algorithm, baseKey, length = null) {
    SubtleSlot.of(this);
    needArguments(arguments.length, 2, 'deriveBits');
    algorithm = toIdentifier(algorithm);
    const key = toKey(baseKey, 'deriveBits: the key');
    if (length !== null) length = +length >>> 0;
    const normalized = normalize(algorithm, 'deriveBits');
    checkUse(key, normalized.name, 'deriveBits');
    const result = registry[normalized.name].run.deriveBits(normalized, key, length);
    await undefined;
    return result;
  }

  async importKey(format, keyData, algorithm, extractable, keyUsages) {
    SubtleSlot.of(this);
    needArguments(arguments.length, 5, 'importKey');
    format = toFormat(format, 'importKey');
    const areBytes = isBytes(keyData);
    let data = keyData;
    if (!areBytes) {
      if (!isObject(keyData) && keyData !== undefined && keyData !== null) {
        throw new TypeErrorConstructor('importKey: the key must be an ArrayBuffer, a view of one, or a JSON Web Key');
      }
      data = toJwk(keyData ?? { __proto__: null }, 'importKey');
    }
    algorithm = toIdentifier(algorithm);
    extractable = !!extractable;
    const usages = toUsages(keyUsages, 'importKey');
    const normalized = normalize(algorithm, 'importKey');
    if (areBytes === (format === 'jwk')) {
      throw new TypeErrorConstructor(`importKey: a key of the format "${format}" must be ${areBytes ? 'a JSON Web Key' : 'an ArrayBuffer or a view of one'}`);
    }
    const result = importNow(normalized, format, data, extractable, usages);
    await undefined;
    return result;
  }

  async exportKey(format, key) {
    SubtleSlot.of(this);
    needArguments(arguments.length, 2, 'exportKey');
    format = toFormat(format, 'exportKey');
    const result = exportNow(format, toKey(key, 'exportKey: the key'));
    await undefined;
    return format === 'jwk' ? setPrototypeOf(result, objectPrototype) : result;
  }

  async wrapKey(format, key, wrappingKey, wrapAlgorithm) {
    SubtleSlot.of(this);
    needArguments(arguments.length, 4, 'wrapKey');
    format = toFormat(format, 'wrapKey');
    key = toKey(key, 'wrapKey: the key');
    wrappingKey = toKey(wrappingKey, 'wrapKey: the wrapping key');
    const { operation, normalized } = normalizeWrapping(toIdentifier(wrapAlgorithm), 'wrapKey', 'encrypt');
    checkUse(wrappingKey, normalized.name, 'wrapKey');
    const exported = exportNow(format, key);
    const bytes = format === 'jwk' ? bytesFromJwk(exported) : exported;
    const result = registry[normalized.name].run[operation](normalized, wrappingKey, bytes);
    await undefined;
    return result;
  }

  async unwrapKey(format, wrappedKey, unwrappingKey, unwrapAlgorithm, unwrappedKeyAlgorithm, extractable, keyUsages) {
    SubtleSlot.of(this);
    needArguments(arguments.length, 7, 'unwrapKey');
    format = toFormat(format, 'unwrapKey');
    toBytes(wrappedKey, 'unwrapKey: the wrapped key');
    const key = toKey(unwrappingKey, 'unwrapKey: the unwrapping key');
    unwrapAlgorithm = toIdentifier(unwrapAlgorithm);
    unwrappedKeyAlgorithm = toIdentifier(unwrappedKeyAlgorithm);
    extractable = !!extractable;
    const usages = toUsages(keyUsages, 'unwrapKey');
    const { operation, normalized } = normalizeWrapping(unwrapAlgorithm, 'unwrapKey', 'decrypt');
    const importAlgorithm = normalize(unwrappedKeyAlgorithm, 'importKey');
    checkUse(key, normalized.name, 'unwrapKey');
    const bytes = registry[normalized.name].run[operation](normalized, key, wrappedKey);
    const data = format === 'jwk' ? jwkFromBytes(bytes) : bytes;
    const result = importNow(importAlgorithm, format, data, extractable, usages);
    await undefined;
    return result;
  }
}

// The common part of encrypt, decrypt and sign.
async function transform(self, operation, { length }, algorithm, key, data) {
  SubtleSlot.of(self);
  needArguments(length, 3, operation);
  algorithm = toIdentifier(algorithm);
  key = toKey(key, `${operation}: the key`);
  toBytes(data, `${operation}: the data`);
  const normalized = normalize(algorithm, operation);
  checkUse(key, normalized.name, operation);
  const result = registry[normalized.name].run[operation](normalized, key, data);
  await undefined;
  return result;
}

// Property attributes of Web IDL that a class body cannot express. The length is right: JavaScript does not count
// optional parameters.
publish(SubtleCrypto);
const subtle = create(SubtleCrypto.prototype);
new SubtleSlot(subtle, true);

// --- Crypto --------------------------------------------------------------------------------------------------------

const CryptoSlot = makeSlot();

const integerArrays = {
  __proto__: null, Int8Array: true, Uint8Array: true, Uint8ClampedArray: true, Int16Array: true, Uint16Array: true,
  Int32Array: true, Uint32Array: true, BigInt64Array: true, BigUint64Array: true,
};
const mostRandomBytes = 65536;

class Crypto {
  constructor() { throw new TypeErrorConstructor('Illegal constructor'); }
  get subtle() {
    CryptoSlot.of(this);
    return subtle;
  }
  getRandomValues(array) {
    CryptoSlot.of(this);
    needArguments(arguments.length, 1, 'getRandomValues');
    if (!isView(array)) throw new TypeErrorConstructor('getRandomValues: the array must be a view of an ArrayBuffer');
    if (!integerArrays[apply(typedArrayName, array, [])]) {
      fail('TypeMismatchError', 'getRandomValues: the array must be a typed array of integers');
    }
    if (apply(typedArrayBytes, array, []) > mostRandomBytes) {
      fail('QuotaExceededError', `getRandomValues: at most ${mostRandomBytes} bytes can be requested at once`);
    }
    orFail(fillRandom(array));
    return array;
  }
  randomUUID() {
    CryptoSlot.of(this);
    return randomUuid();
  }
}
publish(Crypto);

const crypto = create(Crypto.prototype);
new CryptoSlot(crypto, true);
publishAttribute('crypto', () => crypto);
