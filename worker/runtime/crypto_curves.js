// The algorithms over elliptic curves: ECDSA and ECDH (Web Cryptography API, 23 and 24), Ed25519 and X25519 (25, 26).
'use strict';

const { importSpki, importPkcs8, exportSpki, exportPkcs8, copyBytes, agree, ecGenerate, ecImport, ecPoint, ecScalar, ecdsaSign, ecdsaVerify, curveGenerate, curveImport, curvePublic, curvePrivate, ed25519Sign, ed25519Verify } = host.crypto;
const { fail, orFail, parameters, define, digests, needType, makePair } = runtime.crypto;
const { usageBits, onlyUsages, makeKey, checkJwk, checkAlg, bytesOf, makeJwk } = runtime.crypto.keys;
const { apply } = Reflect;
const { ceil } = Math;
const { setPrototypeOf } = Object;
const Uint8ArrayConstructor = Uint8Array;
const byteLengthOf = Object.getOwnPropertyDescriptor(ArrayBuffer.prototype, 'byteLength').get;
const bufferSlice = ArrayBuffer.prototype.slice;
const typedArraySet = Object.getPrototypeOf(Uint8Array.prototype).set;
const { sign, verify, deriveKey, deriveBits } = usageBits;

const sizeOf = (buffer) => apply(byteLengthOf, buffer, []);

// By name: the number that the native functions know the curve by, the bytes of its field, and the one hash that JSON
// Web Keys use it with.
const curves = {
  __proto__: null,
  'P-256': { __proto__: null, kind: 1, bytes: 32, alg: 'ES256' },
  'P-384': { __proto__: null, kind: 2, bytes: 48, alg: 'ES384' },
  'P-521': { __proto__: null, kind: 3, bytes: 66, alg: 'ES512' },
};
const ED25519 = 4, X25519 = 5;

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

// Formats that all of these have, with what is particular to a kind: `kind` is its number, and `raw` and `jwk` import
// keys of those formats, each giving material.
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
  if (format !== 'jwk') fail('NotSupportedError', `a key for ${name} has no format "${format}"`);
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
  if (format !== 'jwk') fail('NotSupportedError', `a key for ${name} has no format "${format}"`);
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
        const members = setPrototypeOf([['kty', 'EC'], ['crv', namedCurve], ['x', x], ['y', y]], null);
        if (type === 'private') members[4] = ['d', ecScalar(material)];
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

// The first `length` bits, those after them in the last byte being 0.
function firstBits(secret, length) {
  if (length === null) return secret;
  if (length > sizeOf(secret) * 8) fail('OperationError', `there are only ${sizeOf(secret) * 8} bits to derive`);
  const cut = apply(bufferSlice, secret, [0, ceil(length / 8)]);
  if (length % 8 !== 0) new Uint8ArrayConstructor(cut)[sizeOf(cut) - 1] &= 0xff << (8 - length % 8);
  return cut;
}

// `public` is what CryptoKey has inside.
const deriver = (name) => ({ public: other }, key, length) => {
  needType(key, 'private', name);
  needType(other, 'public', name);
  if (other.algorithm.name !== name || other.algorithm.namedCurve !== key.algorithm.namedCurve) {
    fail('InvalidAccessError', `${name}: the two keys are not of one kind`);
  }
  return firstBits(orFail(agree(key.material, other.material)), length);
};

defineElliptic('ECDH', 'enc', 0, deriveKey | deriveBits, { deriveBits: [parameters.agreement, deriver('ECDH')] });

// --- Ed25519 and X25519 --------------------------------------------------------------------------------------------

function defineCurve25519(name, kind, use, publicUsages, privateUsages, operations) {
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
          // The second was its name before there was the first (RFC 9864).
          if (kind === ED25519 && jwk.alg !== 'EdDSA') checkAlg(jwk, name);
          return curveImport(kind, bytesOf(jwk, 'x'), jwk.d === undefined ? null : bytesOf(jwk, 'd'));
        },
      }, format, data, usage);
      return makeKey(type, { __proto__: null, name }, extractable, usage, material);
    }],
    exportKey: [parameters.none, (format, key) => exportPair(name, format, key, {
      raw: (material) => orFail(curvePublic(material)),
      jwk: ({ type, material }) => {
        const members = setPrototypeOf([['kty', 'OKP'], ['crv', name], ['x', orFail(curvePublic(material))]], null);
        if (kind === ED25519) members[members.length] = ['alg', name];
        if (type === 'private') members[members.length] = ['d', orFail(curvePrivate(material))];
        return members;
      },
    })],
  });
}

defineCurve25519('Ed25519', ED25519, 'sig', verify, sign, {
  sign: [parameters.none, (algorithm, key, data) => {
    needType(key, 'private', 'sign');
    return orFail(ed25519Sign(key.material, data));
  }],
  verify: [parameters.none, (algorithm, key, signature, data) => {
    needType(key, 'public', 'verify');
    return orFail(ed25519Verify(key.material, data, signature));
  }],
});

defineCurve25519('X25519', X25519, 'enc', 0, deriveKey | deriveBits, {
  deriveBits: [parameters.agreement, deriver('X25519')],
});
