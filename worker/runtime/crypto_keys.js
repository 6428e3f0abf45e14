// CryptoKey (Web Cryptography API, 13) and JsonWebKey (15).
//
// Evaluated after web_idl.js (slots, publishing globals); structured_clone.js (where CryptoKey is registered as
// cloneable); crypto_algorithms.js (conversions and failures).
'use strict';

const { copyBytes, toBase64Url, fromBase64Url } = host.crypto;
const { makeSlot, publish, isObject } = runtime.webIdl;
const { fail, isBytes, keyConverter } = runtime.crypto;
const { create, defineProperty, freeze } = Object;
const TypeErrorConstructor = TypeError;
const Uint8ArrayConstructor = Uint8Array;

const KeySlot = makeSlot();

// In the order of `usages`.
const usageNames = ['encrypt', 'decrypt', 'sign', 'verify', 'deriveKey', 'deriveBits', 'wrapKey', 'unwrapKey'];

// A copy of the algorithm for the module, which may change it; the key's own stays what it is.
function describe(algorithm) {
  const { name, hash, length, modulusLength, publicExponent, namedCurve } = algorithm;
  const shown = { name };
  if (modulusLength !== undefined) shown.modulusLength = modulusLength;
  if (publicExponent !== undefined) shown.publicExponent = new Uint8ArrayConstructor(copyBytes(publicExponent));
  if (hash !== undefined) shown.hash = { name: hash };
  if (length !== undefined) shown.length = length;
  if (namedCurve !== undefined) shown.namedCurve = namedCurve;
  return shown;
}

class CryptoKey {
  constructor() { throw new TypeErrorConstructor('Illegal constructor'); }
  get type() { return KeySlot.of(this).type; }
  get extractable() { return KeySlot.of(this).extractable; }
  get algorithm() {
    const key = KeySlot.of(this);
    return key.shownAlgorithm ??= describe(key.algorithm);
  }
  get usages() {
    const key = KeySlot.of(this);
    if (key.shownUsages === undefined) {
      key.shownUsages = [];
      eachUsage(key.usages, (name) => { appendTo(key.shownUsages, name); });
    }
    return key.shownUsages;
  }
}
const CryptoKeyPrototype = CryptoKey.prototype;
publish(CryptoKey);

// Ignores setters that a module may have given to arrays.
function appendTo(array, value) {
  defineProperty(array, array.length, { __proto__: null, value, writable: true, enumerable: true, configurable: true });
}

// Internally, usages are a set of bits.
const usageBits = { __proto__: null };
for (let i = 0; i < usageNames.length; i++) usageBits[usageNames[i]] = 1 << i;
freeze(usageBits);

function eachUsage(bits, act) {
  for (let i = 0; i < usageNames.length; i++) if ((bits & (1 << i)) !== 0) act(usageNames[i]);
}

function toUsages(value, where) {
  if (!isObject(value)) throw new TypeErrorConstructor(`${where}: the usages must be a sequence`);
  let bits = 0;
  for (const each of value) {
    const name = `${each}`;
    if (usageBits[name] === undefined) throw new TypeErrorConstructor(`${where}: "${name}" is not a key usage`);
    bits |= usageBits[name];
  }
  return bits;
}

// A SyntaxError unless all of `bits` are among `allowed`.
function onlyUsages(bits, allowed, name) {
  if ((bits & ~allowed) !== 0) fail('SyntaxError', `${name} keys do not support one of the usages`);
}

// `material` is an ArrayBuffer of a secret key's bytes, or the native object of a pair's key. `algorithm` has a name
// and, of hash (a name), length, modulusLength, publicExponent and namedCurve, those of its kind of key.
function makeKey(type, algorithm, extractable, usages, material) {
  const key = create(CryptoKeyPrototype);
  new KeySlot(key, {
    __proto__: null, type, algorithm, extractable, usages, material, shownAlgorithm: undefined, shownUsages: undefined,
  });
  return key;
}

// The copy shares the material: nothing changes it, and modules get only copies of it.
runtime.cloneable.register(CryptoKey, KeySlot.has, (value) => {
  const { type, algorithm, extractable, usages, material } = KeySlot.of(value);
  return makeKey(type, algorithm, extractable, usages, material);
});

keyConverter.convert = (value, what) => {
  if (!KeySlot.has(value)) throw new TypeErrorConstructor(`${what} must be a CryptoKey`);
  return KeySlot.of(value);
};

// --- JsonWebKey ----------------------------------------------------------------------------------------------------

const jwkMembers = ['alg', 'crv', 'd', 'dp', 'dq', 'e', 'ext', 'k', 'key_ops', 'kty', 'n', 'oth', 'p', 'q', 'qi', 'use', 'x', 'y'];

function toStrings(value, what) {
  if (!isObject(value)) throw new TypeErrorConstructor(`${what} must be a sequence`);
  const strings = { __proto__: null, length: 0 };
  for (const each of value) strings[strings.length++] = `${each}`;
  return strings;
}

function toJwk(value, where) {
  const jwk = { __proto__: null };
  for (let i = 0; i < jwkMembers.length; i++) {
    const member = jwkMembers[i];
    const given = value[member];
    if (given === undefined) continue;
    if (member === 'ext') jwk.ext = !!given;
    else if (member === 'key_ops') jwk.key_ops = toStrings(given, `${where}: key_ops`);
    else if (member === 'oth') jwk.oth = toStrings(given, `${where}: oth`);
    else jwk[member] = `${given}`;
  }
  return jwk;
}

// The checks on import that all kinds of keys have in common.
function checkJwk(jwk, kty, use, extractable, usages) {
  if (jwk.kty !== kty) fail('DataError', `the key's kty must be "${kty}"`);
  if (usages !== 0 && jwk.use !== undefined && jwk.use !== use) fail('DataError', `the key's use must be "${use}"`);
  if (jwk.key_ops !== undefined) {
    const seen = { __proto__: null };
    let bits = 0;
    for (let i = 0; i < jwk.key_ops.length; i++) {
      const name = jwk.key_ops[i];
      if (seen[name]) fail('DataError', `the key's key_ops has "${name}" twice`);
      seen[name] = true;
      bits |= usageBits[name] ?? 0;
    }
    if ((usages & ~bits) !== 0) fail('DataError', "the key's key_ops lacks one of the usages");
  }
  if (jwk.ext === false && extractable) fail('DataError', "the key's ext says that it is not extractable");
}

function checkAlg(jwk, alg) {
  if (jwk.alg !== undefined && jwk.alg !== alg) fail('DataError', `the key's alg must be "${alg}"`);
}

// A member that holds bytes.
function bytesOf(jwk, member) {
  if (jwk[member] === undefined) fail('DataError', `the key has no ${member}`);
  const bytes = fromBase64Url(jwk[member]);
  if (typeof bytes === 'string') fail('DataError', `the key's ${member} ${bytes}`);
  return bytes;
}

// `members` are pairs of name and value; values that are bytes are written as text. They are in the order of a
// dictionary (Web IDL, 3.2.17). The caller must set the prototype.
function makeJwk(key, members) {
  const given = { __proto__: null, key_ops: [], ext: key.extractable };
  for (let i = 0; i < members.length; i++) {
    const { 0: name, 1: value } = members[i];
    given[name] = isBytes(value) ? toBase64Url(value) : value;
  }
  eachUsage(key.usages, (name) => { appendTo(given.key_ops, name); });
  const jwk = { __proto__: null };
  for (let i = 0; i < jwkMembers.length; i++) {
    if (given[jwkMembers[i]] !== undefined) jwk[jwkMembers[i]] = given[jwkMembers[i]];
  }
  return jwk;
}

runtime.crypto.keys = {
  __proto__: null, KeySlot, usageBits, toUsages, onlyUsages, makeKey, toJwk, checkJwk, checkAlg, bytesOf, makeJwk, appendTo,
};
