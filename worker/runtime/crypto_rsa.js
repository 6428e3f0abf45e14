// The algorithms over RSA (Web Cryptography API, 20 to 22).
//
// Evaluated after crypto_algorithms.js (where algorithms are defined); crypto_keys.js (their keys).
'use strict';

const { importSpki, importPkcs8, exportSpki, exportPkcs8, rsaGenerate, rsaImport, rsaNumbers, rsaSign, rsaVerify, rsaOaep } = host.crypto;
const { fail, orFail, parameters, define, digests } = runtime.crypto;
const { usageBits, onlyUsages, makeKey, checkJwk, checkAlg, bytesOf, makeJwk, appendTo } = runtime.crypto.keys;
const { apply } = Reflect;
const { clz32 } = Math;
const ArrayBufferConstructor = ArrayBuffer;
const Uint8ArrayConstructor = Uint8Array;
const byteLengthOf = Object.getOwnPropertyDescriptor(ArrayBuffer.prototype, 'byteLength').get;
const { encrypt, decrypt, sign, verify, wrapKey, unwrapKey } = usageBits;

// The number of this kind of key in the native functions.
const RSA = 0;
const numberNames = ['n', 'e', 'd', 'p', 'q', 'dp', 'dq', 'qi'];
const publicNumbers = 2;
const empty = new ArrayBufferConstructor(0);

function needType(key, type, use) {
  if (key.type !== type) fail('InvalidAccessError', `${use} takes a ${type} key, but this is a ${key.type} key`);
}

// Both keys of a pair have the same material, because a private key contains its public half.
function makePair(algorithm, extractable, usage, publicUsages, privateUsages, material) {
  return {
    __proto__: null,
    publicKey: makeKey('public', algorithm, true, usage & publicUsages, material),
    privateKey: makeKey('private', algorithm, extractable, usage & privateUsages, material),
    privateUsages: usage & privateUsages,
  };
}

function defineRsa(name, algs, use, publicUsages, privateUsages, operations) {
  const describe = (hash, material) => {
    const { 0: modulus, 1: publicExponent } = rsaNumbers(material, publicNumbers);
    const size = apply(byteLengthOf, modulus, []);
    // Leading zero bits of the first byte, which is not 0, do not count.
    const modulusLength = size * 8 - (clz32(new Uint8ArrayConstructor(modulus)[0]) - 24);
    return { __proto__: null, name, modulusLength, publicExponent, hash };
  };
  define(name, {
    ...operations,
    generateKey: [parameters.rsaGenerate, ({ modulusLength, publicExponent, hash: { name: hash } }, extractable, usage) => {
      onlyUsages(usage, publicUsages | privateUsages, name);
      const material = orFail(rsaGenerate(modulusLength, publicExponent));
      return makePair(describe(hash, material), extractable, usage, publicUsages, privateUsages, material);
    }],
    importKey: [parameters.hashed, ({ hash: { name: hash } }, format, data, extractable, usage) => {
      let material, type;
      if (format === 'spki') {
        onlyUsages(usage, publicUsages, name);
        type = 'public';
        material = orFail(importSpki(RSA, data), 'DataError');
      } else if (format === 'pkcs8') {
        onlyUsages(usage, privateUsages, name);
        type = 'private';
        material = orFail(importPkcs8(RSA, data), 'DataError');
      } else if (format === 'jwk') {
        type = data.d === undefined ? 'public' : 'private';
        onlyUsages(usage, type === 'public' ? publicUsages : privateUsages, name);
        checkJwk(data, 'RSA', use, extractable, usage);
        checkAlg(data, algs[hash]);
        if (data.oth !== undefined) fail('NotSupportedError', 'keys of more than two primes are not supported');
        const numbers = [];
        const count = type === 'public' ? publicNumbers : numberNames.length;
        for (let i = 0; i < count; i++) appendTo(numbers, bytesOf(data, numberNames[i]));
        material = orFail(rsaImport(numbers), 'DataError');
      } else {
        fail('NotSupportedError', `the format "${format}" is not supported for ${name} keys`);
      }
      return makeKey(type, describe(hash, material), extractable, usage, material);
    }],
    exportKey: [parameters.none, (format, key) => {
      if (format === 'spki') {
        needType(key, 'public', 'spki');
        return orFail(exportSpki(key.material));
      }
      if (format === 'pkcs8') {
        needType(key, 'private', 'pkcs8');
        return orFail(exportPkcs8(key.material));
      }
      if (format !== 'jwk') fail('NotSupportedError', `the format "${format}" is not supported for ${name} keys`);
      const numbers = rsaNumbers(key.material, key.type === 'public' ? publicNumbers : numberNames.length);
      const members = [['kty', 'RSA'], ['alg', algs[key.algorithm.hash]]];
      for (let i = 0; i < numbers.length; i++) appendTo(members, [numberNames[i], numbers[i]]);
      return makeJwk(key, members);
    }],
  });
}

const signer = (saltOf) => (algorithm, key, data) => {
  needType(key, 'private', 'sign');
  return orFail(rsaSign(key.material, saltOf(algorithm), digests[key.algorithm.hash], data));
};
const verifier = (saltOf) => (algorithm, key, signature, data) => {
  needType(key, 'public', 'verify');
  return orFail(rsaVerify(key.material, saltOf(algorithm), digests[key.algorithm.hash], data, signature));
};

defineRsa('RSASSA-PKCS1-v1_5',
  { __proto__: null, 'SHA-1': 'RS1', 'SHA-256': 'RS256', 'SHA-384': 'RS384', 'SHA-512': 'RS512' },
  'sig', verify, sign, {
    sign: [parameters.none, signer(() => null)],
    verify: [parameters.none, verifier(() => null)],
  });

defineRsa('RSA-PSS',
  { __proto__: null, 'SHA-1': 'PS1', 'SHA-256': 'PS256', 'SHA-384': 'PS384', 'SHA-512': 'PS512' },
  'sig', verify, sign, {
    sign: [parameters.rsaPss, signer(({ saltLength }) => saltLength)],
    verify: [parameters.rsaPss, verifier(({ saltLength }) => saltLength)],
  });

const oaep = (encrypts) => ({ label = empty }, key, data) => {
  needType(key, encrypts ? 'public' : 'private', encrypts ? 'encrypt' : 'decrypt');
  return orFail(rsaOaep(encrypts, key.material, digests[key.algorithm.hash], label, data));
};
defineRsa('RSA-OAEP',
  {
    __proto__: null, 'SHA-1': 'RSA-OAEP', 'SHA-256': 'RSA-OAEP-256', 'SHA-384': 'RSA-OAEP-384', 'SHA-512': 'RSA-OAEP-512',
  },
  'enc', encrypt | wrapKey, decrypt | unwrapKey, {
    encrypt: [parameters.rsaOaep, oaep(true)],
    decrypt: [parameters.rsaOaep, oaep(false)],
  });

runtime.crypto.needType = needType;
runtime.crypto.makePair = makePair;
