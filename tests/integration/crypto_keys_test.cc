// Keys of the Web Cryptography API on their way in and out: keys that another implementation made, generation,
// wrapping, and what is no key.
#include <algorithm>
#include <string>
#include <string_view>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/integration/crypto_module.h"
#include "tests/integration/crypto_vectors.h"

namespace holdfast::test {
namespace {

using nlohmann::json;

TEST_CASE("keys that another implementation made can be used, and are written as it wrote them, in both profiles") {
  std::string keys = kKeysOfNode;
  std::erase(keys, '\n');
  for (const char* profile : {"jit", "strict"}) {
    CAPTURE(std::string_view(profile));
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

}  // namespace
}  // namespace holdfast::test
