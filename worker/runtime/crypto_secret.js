// The algorithms whose keys are bytes: AES, HMAC, HKDF and PBKDF2 (Web Cryptography API, 27 to 33).
//
// Evaluated after crypto_algorithms.js (where algorithms are defined); crypto_keys.js (their keys).
'use strict';

const { randomBytes, copyBytes, hmac, hmacVerify, aesCbc, aesCtr, aesGcm, aesKeyWrap, hkdf, pbkdf2 } = host.crypto;
const { fail, orFail, parameters, define, digests } = runtime.crypto;
const { usageBits, onlyUsages, makeKey, checkJwk, checkAlg, bytesOf, makeJwk } = runtime.crypto.keys;
const { apply } = Reflect;
const { ceil } = Math;
const TypeErrorConstructor = TypeError;
const Uint8ArrayConstructor = Uint8Array;
const ArrayBufferConstructor = ArrayBuffer;
const byteLengthOf = Object.getOwnPropertyDescriptor(ArrayBuffer.prototype, 'byteLength').get;
const { encrypt, decrypt, sign, verify, deriveKey, deriveBits, wrapKey, unwrapKey } = usageBits;

const sizeOf = (buffer) => apply(byteLengthOf, buffer, []);
const empty = new ArrayBufferConstructor(0);

function unsupportedFormat(format, name) {
  fail('NotSupportedError', `the format "${format}" is not supported for ${name} keys`);
}

// --- AES -----------------------------------------------------------------------------------------------------------

const isAesLength = (length) => length === 128 || length === 192 || length === 256;

function defineAes(name, suffix, usages, operations) {
  const algOf = (length) => `A${length}${suffix}`;
  define(name, {
    ...operations,
    generateKey: [parameters.aesLength, ({ length }, extractable, usage) => {
      onlyUsages(usage, usages, name);
      if (!isAesLength(length)) fail('OperationError', `${name}: the length must be 128, 192 or 256`);
      return makeKey('secret', { __proto__: null, name, length }, extractable, usage, orFail(randomBytes(length / 8)));
    }],
    importKey: [parameters.none, (algorithm, format, data, extractable, usage) => {
      onlyUsages(usage, usages, name);
      let bytes;
      if (format === 'raw') {
        bytes = copyBytes(data);
      } else if (format === 'jwk') {
        if (data.kty !== 'oct') fail('DataError', 'the key\'s kty must be "oct"');
        bytes = bytesOf(data, 'k');
      } else {
        unsupportedFormat(format, name);
      }
      const length = sizeOf(bytes) * 8;
      if (!isAesLength(length)) {
        fail('DataError', `${name}: a key must have 128, 192 or 256 bits, but this one has ${length}`);
      }
      if (format === 'jwk') {
        checkAlg(data, algOf(length));
        checkJwk(data, 'oct', 'enc', extractable, usage);
      }
      return makeKey('secret', { __proto__: null, name, length }, extractable, usage, bytes);
    }],
    exportKey: [parameters.none, (format, key) => {
      if (format === 'raw') return copyBytes(key.material);
      if (format !== 'jwk') unsupportedFormat(format, name);
      return makeJwk(key, [['kty', 'oct'], ['k', key.material], ['alg', algOf(key.algorithm.length)]]);
    }],
    getKeyLength: [parameters.aesLength, ({ length }) => {
      if (!isAesLength(length)) fail('OperationError', `${name}: the length must be 128, 192 or 256`);
      return length;
    }],
  });
}

function need16(bytes, what) {
  if (sizeOf(bytes) !== 16) fail('OperationError', `the ${what} must have 16 bytes`);
}

const cbc = (encrypts) => ({ iv }, key, data) => {
  need16(iv, 'iv');
  return orFail(aesCbc(encrypts, key.material, iv, data));
};
defineAes('AES-CBC', 'CBC', encrypt | decrypt | wrapKey | unwrapKey, {
  encrypt: [parameters.aesCbc, cbc(true)],
  decrypt: [parameters.aesCbc, cbc(false)],
});

const ctr = ({ counter, length }, key, data) => {
  need16(counter, 'counter');
  if (length === 0 || length > 128) fail('OperationError', 'the length of the counter must be 1 to 128 bits');
  return orFail(aesCtr(key.material, counter, length, data));
};
defineAes('AES-CTR', 'CTR', encrypt | decrypt | wrapKey | unwrapKey, {
  encrypt: [parameters.aesCtr, ctr],
  decrypt: [parameters.aesCtr, ctr],
});

const tagLengths = { __proto__: null, 32: true, 64: true, 96: true, 104: true, 112: true, 120: true, 128: true };
const gcm = (encrypts) => ({ iv, additionalData = empty, tagLength = 128 }, key, data) => {
  if (!tagLengths[tagLength]) fail('OperationError', 'the tagLength must be 32, 64, 96, 104, 112, 120 or 128');
  return orFail(aesGcm(encrypts, key.material, iv, additionalData, tagLength / 8, data));
};
defineAes('AES-GCM', 'GCM', encrypt | decrypt | wrapKey | unwrapKey, {
  encrypt: [parameters.aesGcm, gcm(true)],
  decrypt: [parameters.aesGcm, gcm(false)],
});

defineAes('AES-KW', 'KW', wrapKey | unwrapKey, {
  wrapKey: [parameters.none, (algorithm, key, data) => orFail(aesKeyWrap(true, key.material, data))],
  unwrapKey: [parameters.none, (algorithm, key, data) => orFail(aesKeyWrap(false, key.material, data))],
});

// --- HMAC ----------------------------------------------------------------------------------------------------------

const hmacAlgs = { __proto__: null, 'SHA-1': 'HS1', 'SHA-256': 'HS256', 'SHA-384': 'HS384', 'SHA-512': 'HS512' };
const blockBits = { __proto__: null, 'SHA-1': 512, 'SHA-256': 512, 'SHA-384': 1024, 'SHA-512': 1024 };

// Sets the bits of the last byte that are not part of the key to 0.
function cutTo(bytes, length) {
  const rest = length % 8;
  if (rest !== 0) {
    const view = new Uint8ArrayConstructor(bytes);
    view[ceil(length / 8) - 1] &= 0xff << (8 - rest);
  }
  return bytes;
}

define('HMAC', {
  sign: [parameters.none, (algorithm, key, data) => orFail(hmac(digests[key.algorithm.hash], key.material, data))],
  verify: [parameters.none, (algorithm, key, signature, data) =>
    orFail(hmacVerify(digests[key.algorithm.hash], key.material, data, signature))],
  generateKey: [parameters.hmac, ({ hash: { name: hash }, length = blockBits[hash] }, extractable, usage) => {
    onlyUsages(usage, sign | verify, 'HMAC');
    if (length === 0) fail('OperationError', 'HMAC: the length must not be 0');
    const bytes = cutTo(orFail(randomBytes(ceil(length / 8))), length);
    return makeKey('secret', { __proto__: null, name: 'HMAC', hash, length }, extractable, usage, bytes);
  }],
  importKey: [parameters.hmac, ({ hash: { name: hash }, length }, format, data, extractable, usage) => {
    onlyUsages(usage, sign | verify, 'HMAC');
    let bytes;
    if (format === 'raw') {
      bytes = copyBytes(data);
    } else if (format === 'jwk') {
      if (data.kty !== 'oct') fail('DataError', 'the key\'s kty must be "oct"');
      bytes = bytesOf(data, 'k');
      checkAlg(data, hmacAlgs[hash]);
      checkJwk(data, 'oct', 'sig', extractable, usage);
    } else {
      unsupportedFormat(format, 'HMAC');
    }
    const bits = sizeOf(bytes) * 8;
    if (bits === 0) fail('DataError', 'HMAC: the key must not be empty');
    if (length !== undefined && (length > bits || length <= bits - 8)) {
      fail('DataError', `HMAC: the key has ${bits} bits, but must have ${length}`);
    }
    length ??= bits;
    return makeKey('secret', { __proto__: null, name: 'HMAC', hash, length }, extractable, usage, cutTo(bytes, length));
  }],
  exportKey: [parameters.none, (format, key) => {
    if (format === 'raw') return copyBytes(key.material);
    if (format !== 'jwk') unsupportedFormat(format, 'HMAC');
    return makeJwk(key, [['kty', 'oct'], ['k', key.material], ['alg', hmacAlgs[key.algorithm.hash]]]);
  }],
  getKeyLength: [parameters.hmac, ({ hash: { name: hash }, length = blockBits[hash] }) => {
    if (length === 0) throw new TypeErrorConstructor('HMAC: the length must not be 0');
    return length;
  }],
});

// --- HKDF and PBKDF2 -----------------------------------------------------------------------------------------------

function defineDerivation(name, algorithmParameters, derive) {
  define(name, {
    deriveBits: [algorithmParameters, (algorithm, key, length) => {
      if (length === null || length % 8 !== 0) {
        fail('OperationError', `${name}: the length must be a number of bits that is a multiple of 8`);
      }
      return orFail(derive(algorithm, key.material, length / 8));
    }],
    importKey: [parameters.none, (algorithm, format, data, extractable, usage) => {
      if (format !== 'raw') unsupportedFormat(format, name);
      onlyUsages(usage, deriveKey | deriveBits, name);
      if (extractable) fail('SyntaxError', `a key for ${name} cannot be extractable`);
      return makeKey('secret', { __proto__: null, name }, false, usage, copyBytes(data));
    }],
    getKeyLength: [parameters.none, () => null],
  });
}

defineDerivation('HKDF', parameters.hkdf, ({ hash, salt, info }, key, size) =>
  hkdf(digests[hash.name], key, salt, info, size));
defineDerivation('PBKDF2', parameters.pbkdf2, ({ hash, salt, iterations }, key, size) => {
  if (iterations === 0) fail('OperationError', 'PBKDF2: there must be at least one iteration');
  return pbkdf2(digests[hash.name], key, salt, iterations, size);
});
