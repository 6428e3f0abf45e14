// The algorithms over elliptic curves: ECDSA and ECDH (Web Cryptography API, 23 and 24), Ed25519 and X25519 (25, 26),
// Ed448 and X448 (Secure Curves in the Web Cryptography API, https://wicg.github.io/webcrypto-secure-curves/).
//
// Evaluated after crypto_algorithms.js (where algorithms are defined); crypto_keys.js (their keys); crypto_rsa.js (what
// all algorithms with pairs of keys share).
'use strict';

const { importSpki, importPkcs8, exportSpki, exportPkcs8, copyBytes, agree, ecGenerate, ecImport, ecPoint, ecScalar, ecdsaSign, ecdsaVerify, curveGenerate, curveImport, curvePublic, curvePrivate, eddsaSign, eddsaVerify } = host.crypto;
const { fail, orFail, parameters, define, digests, needType, makePair } = runtime.crypto;
const { usageBits, onlyUsages, makeKey, checkJwk, checkAlg, bytesOf, makeJwk, appendTo } = runtime.crypto.keys;
const { apply } = Reflect;
const { ceil } = Math;
const Uint8ArrayConstructor = Uint8Array;
const byteLengthOf = Object.getOwnPropertyDescriptor(ArrayBuffer.prototype, 'byteLength').get;
const bufferSlice = ArrayBuffer.prototype.slice;
const typedArraySet = Object.getPrototypeOf(Uint8Array.prototype).set;
const { sign, verify, deriveKey, deriveBits } = usageBits;

const empty = new ArrayBuffer(0);
const sizeOf = (buffer) => apply(byteLengthOf, buffer, []);

// By name: the curve's number in the native functions, the bytes of its field, and the only hash that JSON Web Keys
// use with it.
const curves = {
  __proto__: null,
  'P-256': { __proto__: null, kind: 1, bytes: 32, alg: 'ES256' },
  'P-384': { __proto__: null, kind: 2, bytes: 48, alg: 'ES384' },
  'P-521': { __proto__: null, kind: 3, bytes: 66, alg: 'ES512' },
};
const ED25519 = 4, X25519 = 5, ED448 = 6, X448 = 7;

function curveOf(name) {
  return curves[name] ?? fail('NotSupportedError', `there is no curve "${name}"`);
}

// An uncompressed point (SEC 1, 2.3.3).
function pointOf(x, y) {
  const size = sizeOf(x), point = new Uint8ArrayConstructor(1 + 2 * size);
  point[0] = 4;
  apply(typedArraySet, point, [new Uint8ArrayConstructor(x), 1]);
  apply(typedArraySet, point, [new Uint8ArrayConstructor(y), 1 + size]);
  return point;
}

// Imports the formats that all of these have. `kind` is the kind's number; `raw` and `jwk` import keys of those
// formats, and return material.
function importPair(name, kind, publicUsages, privateUsages, { raw, jwk }, format, data, usage) {
  if (format === 'spki') {
    onlyUsages(usage, publicUsages, name);
    return { __proto__: null, type: 'public', material: orFail(importSpki(kind, data), 'DataError') };
  }
  if (format === 'pkcs8') {
    onlyUsages(usage, privateUsages, name);
    return { __proto__: null, type: 'private', material: orFail(importPkcs8(kind, data), 'DataError') };
  }
  if (format === 'raw') {
    onlyUsages(usage, publicUsages, name);
    return { __proto__: null, type: 'public', material: orFail(raw(data), 'DataError') };
  }
  if (format !== 'jwk') fail('NotSupportedError', `the format "${format}" is not supported for ${name} keys`);
  const type = data.d === undefined ? 'public' : 'private';
  onlyUsages(usage, type === 'public' ? publicUsages : privateUsages, name);
  return { __proto__: null, type, material: orFail(jwk(data), 'DataError') };
}

function exportPair(name, format, key, { raw, jwk }) {
  if (format === 'spki' || format === 'raw') needType(key, 'public', format);
  if (format === 'pkcs8') needType(key, 'private', format);
  if (format === 'spki') return orFail(exportSpki(key.material));
  if (format === 'pkcs8') return orFail(exportPkcs8(key.material));
  if (format === 'raw') return raw(key.material);
  if (format !== 'jwk') fail('NotSupportedError', `the format "${format}" is not supported for ${name} keys`);
  return makeJwk(key, jwk(key));
}

// --- ECDSA and ECDH ------------------------------------------------------------------------------------------------

function defineElliptic(name, use, publicUsages, privateUsages, operations) {
  define(name, {
    ...operations,
    generateKey: [parameters.curve, ({ namedCurve }, extractable, usage) => {
      onlyUsages(usage, publicUsages | privateUsages, name);
      const material = orFail(ecGenerate(curveOf(namedCurve).kind));
      return makePair({ __proto__: null, name, namedCurve }, extractable, usage, publicUsages, privateUsages, material);
    }],
    importKey: [parameters.curve, ({ namedCurve }, format, data, extractable, usage) => {
      const curve = curves[namedCurve];
      const needCurve = () => curve ?? curveOf(namedCurve);
      if (format !== 'jwk') needCurve();
      const { type, material } = importPair(name, curve?.kind, publicUsages, privateUsages, {
        raw: (bytes) => ecImport(curve.kind, bytes, null),
        jwk: (jwk) => {
          checkJwk(jwk, 'EC', use, extractable, usage);
          if (jwk.crv !== namedCurve) fail('DataError', `the key's crv must be "${namedCurve}"`);
          needCurve();
          if (name === 'ECDSA') checkAlg(jwk, curve.alg);
          const part = (member) => {
            const bytes = bytesOf(jwk, member);
            if (sizeOf(bytes) !== curve.bytes) fail('DataError', `the key's ${member} must have ${curve.bytes} bytes`);
            return bytes;
          };
          return ecImport(curve.kind, pointOf(part('x'), part('y')), jwk.d === undefined ? null : part('d'));
        },
      }, format, data, usage);
      return makeKey(type, { __proto__: null, name, namedCurve }, extractable, usage, material);
    }],
    exportKey: [parameters.none, (format, key) => exportPair(name, format, key, {
      raw: (material) => {
        const { 0: x, 1: y } = ecPoint(material);
        return copyBytes(pointOf(x, y));
      },
      jwk: ({ type, algorithm: { namedCurve }, material }) => {
        const { 0: x, 1: y } = ecPoint(material);
        const members = [['kty', 'EC'], ['crv', namedCurve], ['x', x], ['y', y]];
        if (type === 'private') appendTo(members, ['d', ecScalar(material)]);
        return members;
      },
    })],
  });
}

defineElliptic('ECDSA', 'sig', verify, sign, {
  sign: [parameters.hashed, ({ hash }, key, data) => {
    needType(key, 'private', 'sign');
    return orFail(ecdsaSign(key.material, digests[hash.name], data));
  }],
  verify: [parameters.hashed, ({ hash }, key, signature, data) => {
    needType(key, 'public', 'verify');
    return orFail(ecdsaVerify(key.material, digests[hash.name], data, signature));
  }],
});

// The first `length` bits; the bits after them in the last byte are 0.
function firstBits(secret, length) {
  if (length === null) return secret;
  if (length > sizeOf(secret) * 8) fail('OperationError', `there are only ${sizeOf(secret) * 8} bits to derive`);
  const cut = apply(bufferSlice, secret, [0, ceil(length / 8)]);
  if (length % 8 !== 0) new Uint8ArrayConstructor(cut)[sizeOf(cut) - 1] &= 0xff << (8 - length % 8);
  return cut;
}

// `public` is the internal slot of a CryptoKey.
const deriver = (name) => ({ public: other }, key, length) => {
  needType(key, 'private', name);
  needType(other, 'public', name);
  if (other.algorithm.name !== name || other.algorithm.namedCurve !== key.algorithm.namedCurve) {
    fail('InvalidAccessError', `${name}: the two keys must be of the same kind`);
  }
  return firstBits(orFail(agree(key.material, other.material)), length);
};

defineElliptic('ECDH', 'enc', 0, deriveKey | deriveBits, { deriveBits: [parameters.agreement, deriver('ECDH')] });

// --- Ed25519, Ed448, X25519 and X448 --------------------------------------------------------------------------------

function defineOctetKeyPair(name, kind, use, publicUsages, privateUsages, operations) {
  define(name, {
    ...operations,
    generateKey: [parameters.none, (algorithm, extractable, usage) => {
      onlyUsages(usage, publicUsages | privateUsages, name);
      const material = orFail(curveGenerate(kind));
      return makePair({ __proto__: null, name }, extractable, usage, publicUsages, privateUsages, material);
    }],
    importKey: [parameters.none, (algorithm, format, data, extractable, usage) => {
      const { type, material } = importPair(name, kind, publicUsages, privateUsages, {
        raw: (bytes) => curveImport(kind, bytes, null),
        jwk: (jwk) => {
          if (jwk.crv !== name) fail('DataError', `the key's crv must be "${name}"`);
          checkJwk(jwk, 'OKP', use, extractable, usage);
          // EdDSA was the name before RFC 9864 added one for each curve.
          if (use === 'sig' && jwk.alg !== 'EdDSA') checkAlg(jwk, name);
          return curveImport(kind, bytesOf(jwk, 'x'), jwk.d === undefined ? null : bytesOf(jwk, 'd'));
        },
      }, format, data, usage);
      return makeKey(type, { __proto__: null, name }, extractable, usage, material);
    }],
    exportKey: [parameters.none, (format, key) => exportPair(name, format, key, {
      raw: (material) => orFail(curvePublic(material)),
      jwk: ({ type, material }) => {
        const members = [['kty', 'OKP'], ['crv', name], ['x', orFail(curvePublic(material))]];
        if (use === 'sig') appendTo(members, ['alg', name]);
        if (type === 'private') appendTo(members, ['d', orFail(curvePrivate(material))]);
        return members;
      },
    })],
  });
}

// The standard allows a context for Ed448; libcrypto accepts only the empty one.
function needNoContext({ context = empty }) {
  if (sizeOf(context) !== 0) fail('OperationError', 'Ed448: the context must be empty');
}

function defineSignature(name, kind, signatureParameters) {
  defineOctetKeyPair(name, kind, 'sig', verify, sign, {
    sign: [signatureParameters, (algorithm, key, data) => {
      needType(key, 'private', 'sign');
      needNoContext(algorithm);
      return orFail(eddsaSign(key.material, data));
    }],
    verify: [signatureParameters, (algorithm, key, signature, data) => {
      needType(key, 'public', 'verify');
      needNoContext(algorithm);
      return orFail(eddsaVerify(key.material, data, signature));
    }],
  });
}
defineSignature('Ed25519', ED25519, parameters.none);
defineSignature('Ed448', ED448, parameters.ed448);

for (const [name, kind] of [['X25519', X25519], ['X448', X448]]) {
  defineOctetKeyPair(name, kind, 'enc', 0, deriveKey | deriveBits, {
    deriveBits: [parameters.agreement, deriver(name)],
  });
}
