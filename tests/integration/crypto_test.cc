// The Web Cryptography API in locked workers: vectors of the standards, keys that another implementation made, the
// rules on keys and parameters, and modules that try to get between a check and its use.
#include <algorithm>
#include <set>
#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/integration/crypto_vectors.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::test {
namespace {

using nlohmann::json;

constexpr const char* kPrologue = R"js(
    const { subtle } = crypto;
    const hex = (bytes) => [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
    const unhex = (text) => new Uint8Array((text.match(/../g) ?? []).map((digits) => parseInt(digits, 16)));
    const ascii = (text) => new Uint8Array([...text].map((character) => character.charCodeAt(0)));
    const pattern = (count) => new Uint8Array(count).map((_, i) => i * 7 + 1);
    const nameOf = async (use) => { try { await use(); return 'nothing'; } catch (error) { return error.name; } };
    const names = async (...uses) => { const all = []; for (const use of uses) all.push(await nameOf(use)); return all.join(); };
)js";

std::string evaluated(const std::string& code, const char* profile = "jit", const char* payload = "null") {
  Daemon daemon({.modules = {{"module", kPrologue + ("exports.f = async (payload) => {" + code + "};")}},
                 .flags = {"--profile", profile, "--stretch", "20s"}});
  ipc::Client client = daemon.connect();
  return outcome(call(client, {"module", "f", payload}));
}

// --- vectors -------------------------------------------------------------------------------------------------------

TEST_CASE("hashes, HMAC and derived bits are those of the standards' vectors, in both profiles") {
  for (const char* profile : {"jit", "strict"}) {
    CAPTURE(profile);
    CHECK(
        json::parse(evaluated(R"js(
        const hmacKey = await subtle.importKey('raw', new Uint8Array(20).fill(0x0b), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign', 'verify']);
        const signature = await subtle.sign('HMAC', hmacKey, ascii('Hi There'));
        const hkdf = await subtle.importKey('raw', new Uint8Array(22).fill(0x0b), 'HKDF', false, ['deriveBits']);
        const pbkdf2 = await subtle.importKey('raw', ascii('password'), 'PBKDF2', false, ['deriveBits']);
        return [
          ...await Promise.all(['SHA-1', 'sha-256', 'SHA-384', { name: 'Sha-512' }].map(async (name) => hex(await subtle.digest(name, ascii('abc'))))),
          hex(signature), await subtle.verify('HMAC', hmacKey, signature, ascii('Hi There')), await subtle.verify('HMAC', hmacKey, signature, ascii('Hi there')),
          hex(await subtle.deriveBits({ name: 'HKDF', hash: 'SHA-256', salt: unhex('000102030405060708090a0b0c'), info: unhex('f0f1f2f3f4f5f6f7f8f9') }, hkdf, 336)),
          hex(await subtle.deriveBits({ name: 'PBKDF2', hash: 'SHA-1', salt: ascii('salt'), iterations: 4096 }, pbkdf2, 160)),
        ];
    )js",
                              profile)) ==
        json::array(
            {"a9993e364706816aba3e25717850c26c9cd0d89d",
             "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
             "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
             "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423"
             "643ce80e2a9ac94fa54ca49f",
             "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7", true, false,
             "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
             "4b007901b765489abead49d926f721d065a429c1"}));
  }
}

TEST_CASE("AES gives what the vectors of SP 800-38A, of GCM and of RFC 3394 say, in both profiles") {
  for (const char* profile : {"jit", "strict"}) {
    CAPTURE(profile);
    CHECK(evaluated(R"js(
        const raw = unhex('2b7e151628aed2a6abf7158809cf4f3c'), block = unhex('6bc1bee22e409f96e93d7e117393172a');
        const use = async (algorithm, keyBytes, data) => {
          const key = await subtle.importKey('raw', keyBytes, algorithm.name, false, ['encrypt', 'decrypt']);
          const encrypted = await subtle.encrypt(algorithm, key, data);
          if (hex(await subtle.decrypt(algorithm, key, encrypted)) !== hex(data)) throw new Error('not what it was');
          return hex(encrypted);
        };
        const wrapping = await subtle.importKey('raw', unhex('000102030405060708090a0b0c0d0e0f'), 'AES-KW', false, ['wrapKey']);
        const wrapped = await subtle.importKey('raw', unhex('00112233445566778899aabbccddeeff'), 'AES-CBC', true, ['encrypt']);
        return [(await use({ name: 'AES-CBC', iv: unhex('000102030405060708090a0b0c0d0e0f') }, raw, block)).slice(0, 32),
                await use({ name: 'AES-CTR', counter: unhex('f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff'), length: 128 }, raw, block),
                await use({ name: 'AES-GCM', iv: new Uint8Array(12) }, new Uint8Array(16), new Uint8Array(16)),
                hex(await subtle.wrapKey('raw', wrapped, wrapping, 'AES-KW'))];
    )js",
                    profile) == R"(["7649abac8119b246cee98e9b12e9197d","874d6191b620e3261bef6864990db6ce",)"
                                R"("0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf",)"
                                R"("1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5"])");
  }
}

TEST_CASE("AES-CTR counts with as many bits as it is told, and begins anew after the last value") {
  CHECK(evaluated(R"js(
      const key = await subtle.importKey('raw', pattern(16), 'AES-CTR', false, ['encrypt']);
      const run = async (counter, length, blocks) => hex(await subtle.encrypt({ name: 'AES-CTR', counter, length }, key, new Uint8Array(16 * blocks)));
      const at = (fill, last) => { const counter = new Uint8Array(16).fill(fill); counter[15] = last; return counter; };
      const results = [];
      // Each block alone, at the counter that it ought to have.
      for (const [length, start, counters] of [[4, at(255, 0xfe), [0xfe, 0xff, 0xf0, 0xf1]], [1, at(3, 3), [3, 2]]]) {
        let expected = '';
        for (const last of counters) expected += await run(at(start[0], last), 128, 1);
        results.push(await run(start, length, counters.length) === expected);
      }
      const zeros = new Uint8Array(16), ones = new Uint8Array(16).fill(255), upper = new Uint8Array(16).fill(255, 0, 8);
      results.push(await run(ones, 128, 2) === await run(ones, 128, 1) + await run(zeros, 128, 1));
      results.push(await run(ones, 64, 2) === await run(ones, 128, 1) + await run(upper, 128, 1));
      results.push(await nameOf(() => run(zeros, 2, 5)), await nameOf(() => run(zeros, 2, 4)));
      return results;
  )js") == R"([true,true,true,true,"OperationError","nothing"])");
}

TEST_CASE("Ed25519 and X25519 give what the vectors of RFC 8032 and RFC 7748 say") {
  CHECK(
      evaluated(R"js(
      const base64url = async (bytes) => (await subtle.exportKey('jwk', await subtle.importKey('raw', bytes, 'AES-GCM', true, ['encrypt']))).k;
      const jwk = async (crv, d, x) => ({ kty: 'OKP', crv, d: await base64url(unhex(d)), x: await base64url(unhex(x)) });
      const ed = await jwk('Ed25519', '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a');
      const signing = await subtle.importKey('jwk', ed, 'Ed25519', false, ['sign']);
      const x = await jwk('X25519', '5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb', 'de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f');
      const agreeing = await subtle.importKey('jwk', x, 'X25519', false, ['deriveBits']);
      const other = await subtle.importKey('raw', unhex('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a'), 'X25519', true, []);
      return [hex(await subtle.sign('Ed25519', signing, new Uint8Array())), hex(await subtle.deriveBits({ name: 'X25519', public: other }, agreeing, 256))];
  )js") ==
      R"(["e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",)"
      R"("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"])");
}

// --- keys ----------------------------------------------------------------------------------------------------------

TEST_CASE("keys that another implementation made can be used, and are written as it wrote them, in both profiles") {
  std::string keys = kKeysOfNode;
  std::erase(keys, '\n');
  for (const char* profile : {"jit", "strict"}) {
    CAPTURE(profile);
    CHECK(evaluated(R"js(
        const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
        const bytes = (text) => {
          const all = [];
          let gathered = 0, bits = 0;
          for (const character of text) {
            gathered = (gathered << 6 | alphabet.indexOf(character)) & 0xffff;
            if ((bits += 6) >= 8) all.push(gathered >> (bits -= 8) & 255);
          }
          return new Uint8Array(all);
        };
        const data = pattern(50), wrong = [];
        let count = 0;
        for (const item of payload) {
          const { algorithm } = item, { name } = algorithm;
          const is = (holds, what) => { count++; if (!holds) wrong.push(`${name} ${algorithm.namedCurve}: ${what}`); };
          const use = { 'RSA-PSS': { name, saltLength: 20 }, ECDSA: { name, hash: 'SHA-384' }, 'RSA-OAEP': { name, label: pattern(4) } }[name] ?? name;
          const [ofPublic, ofPrivate] = item.signature ? [['verify'], ['sign']] : item.cipher ? [['encrypt'], ['decrypt']] : [[], ['deriveBits']];
          const both = async (type, usages, bytesFormat) => {
            const first = await subtle.importKey(bytesFormat, bytes(item[bytesFormat]), algorithm, true, usages);
            const second = await subtle.importKey('jwk', await subtle.exportKey('jwk', first), algorithm, true, usages);
            const keys = [first, second];
            if (type === 'public' && !name.startsWith('RSA')) keys.push(await subtle.importKey('raw', await subtle.exportKey('raw', second), algorithm, true, usages));
            for (const key of keys) is(key.type === type && hex(await subtle.exportKey(bytesFormat, key)) === hex(bytes(item[bytesFormat])), bytesFormat);
            return keys;
          };
          const publics = await both('public', ofPublic, 'spki'), privates = await both('private', ofPrivate, 'pkcs8');
          if (item.signature) {
            const signatures = [bytes(item.signature)];
            for (const key of privates) signatures.push(await subtle.sign(use, key, data));
            for (const key of publics) {
              for (const signature of signatures) {
                is(await subtle.verify(use, key, signature, data), 'verifies');
                is(!await subtle.verify(use, key, signature, pattern(51)), 'other data');
                const broken = new Uint8Array(signature).slice(); broken[3] ^= 4;
                is(!await subtle.verify(use, key, broken, data), 'broken');
                is(!await subtle.verify(use, key, broken.subarray(1), data), 'short');
              }
            }
          }
          if (item.cipher) {
            for (const key of privates) {
              is(hex(await subtle.decrypt(use, key, bytes(item.cipher))) === hex(data), 'decrypts');
              for (const other of publics) is(hex(await subtle.decrypt(use, key, await subtle.encrypt(use, other, data))) === hex(data), 'encrypts');
              is(await nameOf(() => subtle.decrypt({ name, label: pattern(5) }, key, bytes(item.cipher))) === 'OperationError', 'label');
            }
          }
          if (item.secret) {
            const other = await subtle.importKey('spki', bytes(item.otherPublic), algorithm, true, []);
            for (const key of privates) {
              is(hex(await subtle.deriveBits({ name, public: other }, key, null)) === hex(bytes(item.secret)), 'agrees');
              const few = hex(await subtle.deriveBits({ name, public: other }, key, 12));
              is(few === hex(bytes(item.secret)).slice(0, 3) + '0', 'twelve bits');
            }
          }
        }
        return [wrong, count > 100];
    )js",
                    profile, keys.c_str()) == "[[],true]");
  }
}

TEST_CASE("keys made here are of the kind that was asked for, say so, and are no two the same") {
  CHECK(
      evaluated(R"js(
      const rsa = { modulusLength: 1024, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256' };
      const shown = [];
      for (const [algorithm, usages] of [
        [{ name: 'aes-gcm', length: 192 }, ['decrypt', 'encrypt', 'decrypt']], [{ name: 'HMAC', hash: 'SHA-512' }, ['verify', 'sign']],
        [{ name: 'RSA-OAEP', ...rsa }, ['decrypt', 'encrypt']], [{ name: 'ECDSA', namedCurve: 'P-521' }, ['sign', 'verify']], [{ name: 'X25519' }, ['deriveKey']],
      ]) {
        const seen = new Set();
        for (let round = 0; round < 2; round++) {
          const made = await subtle.generateKey(algorithm, true, usages);
          const keys = made.type ? [made] : [made.publicKey, made.privateKey];
          seen.add(JSON.stringify(await subtle.exportKey('jwk', keys.at(-1))));
          if (round === 0) for (const { type, extractable, algorithm, usages } of keys) shown.push([type, extractable, JSON.stringify(algorithm), usages.join()].join(' '));
        }
        if (seen.size !== 2) shown.push('the same twice');
      }
      return shown;
  )js") ==
      json::array(
          {R"(secret true {"name":"AES-GCM","length":192} encrypt,decrypt)",
           R"(secret true {"name":"HMAC","hash":{"name":"SHA-512"},"length":1024} sign,verify)",
           R"(public true {"name":"RSA-OAEP","modulusLength":1024,"publicExponent":{"0":1,"1":0,"2":1},"hash":{"name":"SHA-256"}} encrypt)",
           R"(private true {"name":"RSA-OAEP","modulusLength":1024,"publicExponent":{"0":1,"1":0,"2":1},"hash":{"name":"SHA-256"}} decrypt)",
           R"(public true {"name":"ECDSA","namedCurve":"P-521"} verify)",
           R"(private true {"name":"ECDSA","namedCurve":"P-521"} sign)", R"(public true {"name":"X25519"} )",
           R"(private true {"name":"X25519"} deriveKey)"})
          .dump());
}

TEST_CASE("a key is wrapped and unwrapped in every format, and derived from another") {
  CHECK(evaluated(R"js(
      // A module's changes to what JSON is made of do not show in it.
      Array.prototype.toJSON = Object.prototype.toJSON = () => 'changed';
      const gcm = { name: 'AES-GCM', iv: new Uint8Array(12) };
      const wrapping = await subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['wrapKey', 'unwrapKey']);
      const { privateKey } = await subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign']);
      const results = [];
      for (const format of ['jwk', 'pkcs8']) {
        const wrapped = await subtle.wrapKey(format, privateKey, wrapping, gcm);
        const key = await subtle.unwrapKey(format, wrapped, wrapping, gcm, { name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign']);
        results.push(hex(await subtle.exportKey('pkcs8', key)) === hex(await subtle.exportKey('pkcs8', privateKey)));
      }
      const one = await subtle.generateKey({ name: 'X25519' }, false, ['deriveKey']), two = await subtle.generateKey({ name: 'X25519' }, false, ['deriveKey']);
      const derive = (mine, theirs) => subtle.deriveKey({ name: 'X25519', public: theirs.publicKey }, mine.privateKey, { name: 'AES-KW', length: 256 }, true, ['wrapKey']);
      results.push(hex(await subtle.exportKey('raw', await derive(one, two))) === hex(await subtle.exportKey('raw', await derive(two, one))));
      delete Array.prototype.toJSON; delete Object.prototype.toJSON;
      return results;
  )js") == "[true,true,true]");
}

TEST_CASE("keys whose parts do not belong together are refused with a DataError") {
  CHECK(evaluated(R"js(
      const rsa = { name: 'RSA-PSS', hash: 'SHA-256' }, ec = { name: 'ECDSA', namedCurve: 'P-256' };
      const make = async (algorithm) => (await subtle.exportKey('jwk', (await subtle.generateKey(algorithm, true, ['sign', 'verify'])).privateKey));
      const rsaKeys = [], ecKeys = [], edKeys = [];
      for (let i = 0; i < 2; i++) {
        rsaKeys.push(await make({ ...rsa, modulusLength: 1024, publicExponent: new Uint8Array([1, 0, 1]) }));
        ecKeys.push(await make(ec));
        edKeys.push(await make({ name: 'Ed25519' }));
      }
      const importing = (jwk, algorithm) => () => subtle.importKey('jwk', jwk, algorithm, true, jwk.d === undefined ? ['verify'] : ['sign']);
      const swapped = ([one, two], member) => ({ ...one, [member]: two[member] });
      const { d, key_ops, ...ecPublic } = ecKeys[0];
      return [
        await names(importing(rsaKeys[0], rsa), importing(ecKeys[0], ec), importing(edKeys[0], 'Ed25519'), importing(ecPublic, ec)),
        await names(...['n', 'd', 'p', 'q', 'dp', 'dq', 'qi'].map((member) => importing(swapped(rsaKeys, member), rsa))),
        await names(...['x', 'y', 'd'].map((member) => importing(swapped(ecKeys, member), ec))),
        await names(...['x', 'd'].map((member) => importing(swapped(edKeys, member), 'Ed25519'))),
        await names(importing({ ...rsaKeys[0], e: 'AA' }, rsa), importing({ ...rsaKeys[0], e: 'AQ' }, rsa), importing({ ...rsaKeys[0], p: undefined }, rsa),
                    importing({ ...rsaKeys[0], qi: 'A' }, rsa), importing({ ...rsaKeys[0], dp: rsaKeys[0].dp + '==' }, rsa), importing({ ...rsaKeys[0], n: 'A'.repeat(4000) }, rsa)),
        await names(importing({ ...ecPublic, y: ecPublic.x }, ec), importing({ ...ecPublic, x: 'AAAA' }, ec), importing({ ...ecPublic, crv: 'P-384' }, ec)),
        await names(...[0, 1, 33, 64, 65, 66, 200].map((size) => () => subtle.importKey('raw', new Uint8Array(size).fill(4), ec, true, ['verify']))),
      ];
  )js") == json::array({"nothing,nothing,nothing,nothing",
                        "DataError,DataError,DataError,DataError,DataError,DataError,DataError",
                        "DataError,DataError,DataError", "DataError,DataError",
                        "DataError,DataError,DataError,DataError,DataError,DataError", "DataError,DataError,DataError",
                        "DataError,DataError,DataError,DataError,DataError,DataError,DataError"})
               .dump());
}

TEST_CASE("encoded keys that are cut short, changed, or of another kind are refused with a DataError") {
  CHECK(evaluated(R"js(
      const algorithms = [{ name: 'ECDSA', namedCurve: 'P-256' }, { name: 'Ed25519' }, { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-1', modulusLength: 512, publicExponent: new Uint8Array([3]) }];
      const seen = new Set();
      for (const algorithm of algorithms) {
        const { publicKey, privateKey } = await subtle.generateKey(algorithm, true, ['sign', 'verify']);
        for (const [format, key, usages] of [['spki', publicKey, ['verify']], ['pkcs8', privateKey, ['sign']]]) {
          const encoded = new Uint8Array(await subtle.exportKey(format, key));
          for (let size = 0; size < encoded.length; size++) seen.add(await nameOf(() => subtle.importKey(format, encoded.slice(0, size), algorithm, true, usages)));
          seen.add(await nameOf(() => subtle.importKey(format, new Uint8Array([...encoded, 0]), algorithm, true, usages)));
          seen.add(await nameOf(() => subtle.importKey(format, new Uint8Array(1 << 20), algorithm, true, usages)));
          for (const other of algorithms) if (other !== algorithm) seen.add(await nameOf(() => subtle.importKey(format, encoded, other, true, usages)));
          // Whatever a changed bit makes of it, it is a key or it is none.
          const changed = new Set();
          for (let i = 0; i < encoded.length; i++) {
            const broken = encoded.slice(); broken[i] ^= 1 << i % 8;
            changed.add(await nameOf(() => subtle.importKey(format, broken, algorithm, true, usages)));
          }
          changed.delete('nothing');
          for (const name of changed) seen.add(name);
        }
      }
      return [...seen];
  )js") == R"(["DataError"])");
}

// --- rules ---------------------------------------------------------------------------------------------------------

TEST_CASE("each rule of the standard has its error") {
  CHECK(evaluated(R"js(
      const aes = await subtle.generateKey({ name: 'AES-CBC', length: 128 }, false, ['encrypt']);
      const ecdh = await subtle.generateKey({ name: 'ECDH', namedCurve: 'P-256' }, true, ['deriveBits']);
      const other = await subtle.generateKey({ name: 'ECDH', namedCurve: 'P-384' }, true, ['deriveBits']);
      const pbkdf2 = await subtle.importKey('raw', ascii('x'), 'PBKDF2', false, ['deriveBits']);
      const iv = new Uint8Array(16), byte = new Uint8Array(1);
      const derive = (key, length) => () => subtle.deriveBits({ name: 'ECDH', public: key }, ecdh.privateKey, length);
      const stretch = (iterations, length) => () => subtle.deriveBits({ name: 'PBKDF2', hash: 'SHA-1', salt: byte, iterations }, pbkdf2, length);
      const rsa = (modulusLength, ...publicExponent) => () => subtle.generateKey({ name: 'RSA-PSS', hash: 'SHA-1', modulusLength, publicExponent: new Uint8Array(publicExponent) }, true, ['sign']);
      return [
        await names(() => subtle.digest(), () => subtle.digest('SHA-1', 'text'), () => subtle.digest('MD5', byte), () => subtle.digest({}, byte), () => subtle.digest('AES-CBC', byte), () => subtle.digest.call({}, 'SHA-1', byte)),
        await names(() => subtle.encrypt('AES-CBC', aes, byte), () => subtle.encrypt({ name: 'AES-CBC', iv: byte }, aes, byte), () => subtle.decrypt({ name: 'AES-CBC', iv }, aes, iv), () => subtle.encrypt({ name: 'AES-GCM', iv }, aes, byte), () => subtle.encrypt({ name: 'AES-CBC', iv }, {}, byte)),
        await names(() => subtle.exportKey('raw', aes), () => subtle.exportKey('text', aes), () => subtle.exportKey('raw', pbkdf2), () => subtle.exportKey('spki', ecdh.privateKey), () => subtle.exportKey('pkcs8', ecdh.publicKey)),
        await names(() => subtle.generateKey({ name: 'AES-CBC', length: 129 }, true, ['encrypt']), () => subtle.generateKey({ name: 'AES-CBC', length: 128 }, true, []), () => subtle.generateKey({ name: 'AES-CBC', length: 129 }, true, ['sign']), () => subtle.generateKey({ name: 'AES-CBC', length: 128 }, true, ['fly']), () => subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-192' }, true, ['sign'])),
        await names(derive(other.publicKey, 8), derive(ecdh.privateKey, 8), derive(aes, 8), derive(ecdh.publicKey, 257), derive(ecdh.publicKey, 256), derive(undefined, 8)),
        await names(stretch(0, 8), stretch(1, 7), stretch(1, null), stretch(-1, 8), stretch(2 ** 32, 8), stretch(1, 8)),
        await names(rsa(255, 3), rsa(16385, 3), rsa(0, 3), rsa(2 ** 32 - 1, 3), rsa(512), rsa(512, 0), rsa(512, 1), rsa(512, 2), rsa(512, ...new Uint8Array(9).fill(255)), rsa(512, 0, 0, 3)),
        await names(() => subtle.importKey('raw', byte, 'PBKDF2', true, ['deriveBits']), () => subtle.importKey('raw', byte, 'PBKDF2', false, []), () => subtle.importKey('jwk', byte, 'AES-CBC', false, ['encrypt']), () => subtle.importKey('raw', {}, 'AES-CBC', false, ['encrypt']), () => subtle.importKey('raw', byte, 'AES-CBC', false, ['encrypt'])),
        await names(() => crypto.getRandomValues(new Uint8Array(65537)), () => crypto.getRandomValues(new Float64Array(1)), () => crypto.getRandomValues(new DataView(new ArrayBuffer(1))), () => crypto.getRandomValues([]), () => crypto.getRandomValues(new BigInt64Array(8192))),
        await names(() => new CryptoKey(), () => new SubtleCrypto(), () => new Crypto(), () => Object.create(CryptoKey.prototype).type, () => Object.create(Crypto.prototype).subtle),
      ];
  )js") == json::array({"TypeError,TypeError,NotSupportedError,TypeError,NotSupportedError,TypeError",
                        "TypeError,OperationError,InvalidAccessError,InvalidAccessError,TypeError",
                        "InvalidAccessError,TypeError,NotSupportedError,InvalidAccessError,InvalidAccessError",
                        "OperationError,SyntaxError,SyntaxError,TypeError,NotSupportedError",
                        "InvalidAccessError,InvalidAccessError,InvalidAccessError,OperationError,nothing,TypeError",
                        "OperationError,OperationError,OperationError,TypeError,TypeError,nothing",
                        "OperationError,OperationError,OperationError,OperationError,OperationError,OperationError,"
                        "OperationError,OperationError,OperationError,nothing",
                        "SyntaxError,SyntaxError,TypeError,TypeError,DataError",
                        "QuotaExceededError,TypeMismatchError,TypeMismatchError,TypeError,nothing",
                        "TypeError,TypeError,TypeError,TypeError,TypeError"})
               .dump());
}

TEST_CASE("the interfaces of the API are as Web IDL has them") {
  CHECK(evaluated(R"js(
      const wrong = [], check = (holds, what) => { if (!holds) wrong.push(what); };
      const lengths = { encrypt: 3, decrypt: 3, sign: 3, verify: 4, digest: 2, generateKey: 3, deriveKey: 5, deriveBits: 2, importKey: 5, exportKey: 2, wrapKey: 4, unwrapKey: 7, getRandomValues: 1, randomUUID: 0 };
      for (const type of [Crypto, SubtleCrypto, CryptoKey]) {
        const { name, prototype } = type;
        const global = Object.getOwnPropertyDescriptor(globalThis, name);
        check(global.writable && global.configurable && !global.enumerable && type.length === 0, name);
        check(prototype[Symbol.toStringTag] === name, `${name} tag`);
        for (const key of Object.getOwnPropertyNames(prototype)) {
          if (key === 'constructor') continue;
          const { enumerable, configurable, value, get } = Object.getOwnPropertyDescriptor(prototype, key);
          check(enumerable && configurable, `${name} ${key}`);
          check(get ? get.name === `get ${key}` : value.name === key && value.length === lengths[key] && !('prototype' in value), `${name} ${key} function`);
        }
      }
      const { get, set, enumerable, configurable } = Object.getOwnPropertyDescriptor(globalThis, 'crypto');
      check(get && enumerable && configurable && set === undefined, 'crypto');
      check(crypto === crypto && crypto.subtle === crypto.subtle && String(crypto) === '[object Crypto]', 'same');
      // A promise, whatever is wrong.
      check(subtle.digest() instanceof Promise && await nameOf(() => SubtleCrypto.prototype.digest()) === 'TypeError', 'promise');
      const key = await subtle.generateKey({ name: 'HMAC', hash: 'SHA-1' }, true, ['sign']);
      check(key.algorithm === key.algorithm && key.usages === key.usages, 'cached');
      // Settles no sooner than in a microtask.
      let first = '';
      await Promise.all([subtle.digest('SHA-1', new Uint8Array()).then(() => { first ||= 'digest'; }), Promise.resolve().then(() => { first ||= 'microtask'; })]);
      check(first === 'microtask', 'settles later');
      return wrong;
  )js") == "[]");
}

// --- random numbers ------------------------------------------------------------------------------------------------

TEST_CASE("each worker draws random numbers of its own, from the first on, in both profiles") {
  for (const char* profile : {"jit", "strict"}) {
    CAPTURE(profile);
    std::vector<Module> modules;
    constexpr int kWorkers = 4;
    for (int i = 0; i < kWorkers; ++i) {
      modules.push_back({"module" + std::to_string(i), kPrologue + std::string(R"js(exports.f = () => {
          const wide = crypto.getRandomValues(new BigUint64Array(2)), empty = crypto.getRandomValues(new Uint8Array());
          if (empty.length !== 0) throw new Error('not empty');
          const window = new Uint8Array(64);
          if (crypto.getRandomValues(window.subarray(16, 48)).length !== 32) throw new Error('not what was given');
          if (window.slice(0, 16).some((byte) => byte) || window.slice(48).some((byte) => byte)) throw new Error('outside');
          return [crypto.randomUUID(), hex(wide.buffer), hex(window)];
      };)js")});
    }
    Daemon daemon({.modules = modules, .flags = {"--profile", profile}});
    ipc::Client client = daemon.connect();
    std::set<std::string> seen;
    for (int round = 0; round < 2; ++round) {
      for (const Module& module : modules) {
        const json drawn = json::parse(outcome(call(client, {module.name, "f"})));
        const std::string id = drawn[0];
        CHECK(id.size() == 36);
        CHECK(id[14] == '4');
        CHECK(std::string("89ab").find(id[19]) != std::string::npos);
        for (const json& value : drawn) seen.insert(value.get<std::string>());
      }
    }
    CHECK(seen.size() == 3 * 2 * kWorkers);
  }
}

// --- modules that mean no good -------------------------------------------------------------------------------------

TEST_CASE("what a getter does to the data is done before it is read, and what comes after does not matter") {
  CHECK(evaluated(R"js(
      const key = await subtle.importKey('raw', pattern(16), 'AES-CBC', false, ['encrypt']);
      const algorithm = { name: 'AES-CBC', iv: new Uint8Array(16) };
      const expected = hex(await subtle.encrypt(algorithm, key, pattern(100)));
      const before = new Uint8Array(100);
      const changing = { name: 'AES-CBC', get iv() { before.set(pattern(100)); return new Uint8Array(16); } };
      const after = pattern(100), iv = new Uint8Array(16);
      const running = subtle.encrypt({ name: 'AES-CBC', iv }, key, after);
      after.fill(9); iv.fill(9);
      const nested = [];
      const reentering = { get name() { nested.push(subtle.encrypt(algorithm, key, pattern(100))); return 'AES-CBC'; }, iv: new Uint8Array(16) };
      const outer = hex(await subtle.encrypt(reentering, key, pattern(100)));
      return [hex(await subtle.encrypt(changing, key, before)) === expected, hex(await running) === expected, outer === expected,
              nested.length > 0, (await Promise.all(nested)).every((each) => hex(each) === expected)];
  )js") == "[true,true,true,true,true]");
}

TEST_CASE("buffers that WebAssembly takes away during the conversion are empty") {
  CHECK(evaluated(R"js(
      const memory = new WebAssembly.Memory({ initial: 1 });
      const taken = new Uint8Array(memory.buffer, 100, 1000);
      const taking = { get name() { if (taken.length > 0) memory.grow(1); return 'SHA-256'; } };
      const digest = hex(await subtle.digest(taking, taken));
      const random = new WebAssembly.Memory({ initial: 1 }), view = new Uint8Array(random.buffer);
      random.grow(1);
      crypto.getRandomValues(view);
      const key = await subtle.importKey('raw', pattern(16), 'AES-GCM', false, ['encrypt']);
      const third = new WebAssembly.Memory({ initial: 1 }), iv = new Uint8Array(third.buffer, 0, 12);
      const name = await nameOf(() => subtle.encrypt({ name: 'AES-GCM', iv, get tagLength() { third.grow(1); return 128; } }, key, pattern(3)));
      return [taken.length, digest, view.length, name];
  )js") == R"([0,"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",0,"OperationError"])");
}

TEST_CASE("a module that changes everything that it can reach gets no key that it must not have, and breaks nothing") {
  CHECK(evaluated(R"js(
      const key = await subtle.generateKey({ name: 'AES-GCM', length: 128 }, false, ['encrypt', 'decrypt']);
      const stolen = new Set();
      const steal = function (value) { stolen.add(this); stolen.add(value); };
      key.usages.push('wrapKey'); key.algorithm.name = 'AES-KW'; key.algorithm.length = 1;
      const { encrypt, exportKey } = subtle, iv = pattern(12), data = pattern(5);
      const call = Function.prototype.call.bind(Function.prototype.call);
      for (const prototype of [Array.prototype, Object.prototype, ArrayBuffer.prototype, Uint8Array.prototype, String.prototype, CryptoKey.prototype]) {
        for (const member of ['handle', 'material', 'usages', 'extractable', 'algorithm', 'slice', 'length', 'set', 'get', 'then', 'shownUsages', 0, 1, 2]) {
          try { Object.defineProperty(prototype, member, { get() { steal(this); }, set: steal, configurable: true }); } catch {}
        }
      }
      globalThis.ArrayBuffer = globalThis.Uint8Array = globalThis.CryptoKey = globalThis.Promise = steal;
      Reflect.apply = Object.create = JSON.stringify = JSON.parse = steal;
      let refused = '';
      try { await call(exportKey, subtle, 'raw', key); } catch (error) { refused = error.name; }
      const bytes = await call(encrypt, subtle, { name: 'AES-GCM', iv }, key, data);
      // What is the runtime's own inherits from nothing, nor does what it keeps of a key.
      let handed = 0;
      for (const value of stolen) if (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === null && value !== Object.prototype) handed++;
      return { refused, handed, size: bytes.byteLength };
  )js") == R"({"refused":"InvalidAccessError","handed":0,"size":21})");
}

TEST_CASE("setters and getters that a module gives to arrays do not come between a key and its numbers") {
  CHECK(evaluated(R"js(
      const algorithm = { name: 'RSA-PSS', hash: 'SHA-256' };
      const generated = { ...algorithm, modulusLength: 1024, publicExponent: new Uint8Array([1, 0, 1]) };
      const pair = await subtle.generateKey(generated, true, ['sign', 'verify']);
      const jwk = await subtle.exportKey('jwk', pair.privateKey);
      let taken = 0;
      for (const index of [0, 1, 2, 4]) {
        const descriptor = { get() { return 123456789; }, set() { taken++; }, configurable: true };
        Object.defineProperty(Array.prototype, index, descriptor);
      }
      const key = await subtle.importKey('jwk', jwk, algorithm, true, ['sign']);
      const { n, d } = await subtle.exportKey('jwk', key);
      for (const index of [0, 1, 2, 4]) delete Array.prototype[index];
      return [n === jwk.n, d === jwk.d, taken];
  )js") == "[true,true,0]");
}

TEST_CASE("thousands of keys are freed with the objects that hold them") {
  CHECK(evaluated(R"js(
      for (let i = 0; i < 30000; i++) {
        await subtle.importKey('raw', pattern(32), 'X25519', true, []);
        if (i % 1000 === 0) await new Promise((resolve) => setTimeout(resolve));
      }
      return 'done';
  )js") == R"("done")");
}

TEST_CASE("results that do not fit into the module's memory are refused, and others are not") {
  Daemon daemon({.modules = {{"module", kPrologue + std::string(R"js(exports.f = async () => {
      const data = new Uint8Array(20 << 20);
      const key = await subtle.generateKey({ name: 'AES-CTR', length: 128 }, false, ['encrypt']);
      const kept = [];
      let name = '';
      try {
        for (let i = 0; i < 10; i++) kept.push(await subtle.encrypt({ name: 'AES-CTR', counter: new Uint8Array(16), length: 64 }, key, data));
      } catch (error) { name = error.name; }
      kept.length = 0;
      // What nobody holds any more makes room.
      for (let i = 0; i < 10; i++) await subtle.encrypt({ name: 'AES-CTR', counter: new Uint8Array(16), length: 64 }, key, data);
      const base = await subtle.importKey('raw', data.subarray(0, 9), 'PBKDF2', false, ['deriveBits']);
      return [name, await nameOf(() => subtle.deriveBits({ name: 'PBKDF2', hash: 'SHA-1', salt: data.subarray(0, 9), iterations: 1 }, base, 2 ** 32 - 8))];
  };)js")}},
                 .flags = {"--memory", "64MB", "--stretch", "20s"}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"module", "f"})) == R"(["RangeError","RangeError"])");
}

TEST_CASE("a key derivation without end is stopped as any loop is, and the next call is served") {
  Daemon daemon({.modules = {{"module", kPrologue + std::string(R"js(
      exports.forever = async () => {
        const base = await subtle.importKey('raw', pattern(9), 'PBKDF2', false, ['deriveBits']);
        return subtle.deriveBits({ name: 'PBKDF2', hash: 'SHA-512', salt: pattern(9), iterations: 2 ** 32 - 1 }, base, 512);
      };
      exports.f = () => 'served';
  )js")}},
                 .flags = {"--stretch", "100ms"}});
  ipc::Client client = daemon.connect();
  CHECK(code_of(call(client, {"module", "forever"})) == "cpu_exceeded");
  CHECK(outcome(call(client, {"module", "f"})) == R"("served")");
}

}  // namespace
}  // namespace holdfast::test
