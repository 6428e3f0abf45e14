// Import and export of keys of the Web Cryptography API: keys that another implementation made, generation, wrapping,
// and invalid keys.
#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "tests/javascript/crypto_module.h"
#include "tests/javascript/crypto_vectors.h"

namespace holdfast::test {
namespace {

using nlohmann::json;

TEST_CASE("keys of another implementation can be used and are exported as it wrote them in both profiles") {
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

TEST_CASE("generated keys are of the requested kind and no two are the same") {
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
      // A module's changes to what JSON uses have no effect.
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
          // With a changed bit it is either a key or refused.
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

// RFC 8410, 10.3: the key with attributes and public key, and the public key of 10.1.
constexpr const char* kOneAsymmetricKey = R"js(
    const element = (tag, ...parts) => {
      const contents = parts.flatMap((part) => [...part]), size = contents.length;
      return [tag, ...(size < 0x80 ? [size] : size < 0x100 ? [0x81, size] : [0x82, size >> 8, size & 255]), ...contents];
    };
    // The beginning and end of the contents of the element at `at`.
    const inside = (encoded, at) => {
      let begin = at + 2, size = encoded[at + 1];
      if (size > 0x80) { const count = size - 0x80; size = 0; for (let i = 0; i < count; i++) size = size * 256 + encoded[begin++]; }
      return [begin, begin + size];
    };
    // The algorithm and the key of a private key of the first version; what a public key's BIT STRING holds.
    const partsOf = (encoded) => {
      const [start] = inside(encoded, 0), [, version] = inside(encoded, start), [, algorithm] = inside(encoded, version), [, key] = inside(encoded, algorithm);
      return [encoded.subarray(version, algorithm), encoded.subarray(algorithm, key)];
    };
    const bitsOf = (encoded) => {
      const [start] = inside(encoded, 0), [, algorithm] = inside(encoded, start);
      return encoded.subarray(...inside(encoded, algorithm));
    };
    const second = ([algorithm, key], ...more) => Uint8Array.from(element(0x30, element(2, [1]), algorithm, key, ...more));
    const attributes = element(0xa0, element(0x30, element(6, [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 9, 0x14]), element(0x31, element(0x0c, ascii('Curdle Chairs')))));
)js";

TEST_CASE("private keys of the second version of PKCS #8 are imported, by the vectors of RFC 8410") {
  CHECK(evaluated(R"js(
      const version1 = Uint8Array.from(atob('MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC'), (c) => c.charCodeAt(0));
      const version2 = Uint8Array.from(atob('MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhCoB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE='), (c) => c.charCodeAt(0));
      const shown = [];
      for (const encoded of [version1, version2]) {
        const key = await subtle.importKey('pkcs8', encoded, 'Ed25519', true, ['sign']);
        shown.push(hex(unbase64((await subtle.exportKey('jwk', key)).x)), hex(await subtle.exportKey('pkcs8', key)) === hex(version1));
      }
      return shown;
      function unbase64(text) { return Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0)); }
  )js") == R"(["19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1",true,)"
           R"("19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1",true])");
}

TEST_CASE("a key of each kind is imported from the second version and a wrong public key in it is a DataError") {
  for (const char* profile : kProfiles) {
    CHECK(evaluated(kOneAsymmetricKey + std::string(R"js(
      const kinds = [
        [{ name: 'Ed25519' }, ['sign', 'verify']], [{ name: 'Ed448' }, ['sign', 'verify']],
        [{ name: 'X25519' }, ['deriveBits']], [{ name: 'X448' }, ['deriveBits']],
        ...['P-256', 'P-384', 'P-521'].map((namedCurve) => [{ name: 'ECDSA', namedCurve }, ['sign', 'verify']]),
        [{ name: 'RSA-PSS', hash: 'SHA-256', modulusLength: 1024, publicExponent: new Uint8Array([1, 0, 1]) }, ['sign', 'verify']],
      ];
      const results = [];
      for (const [algorithm, usages] of kinds) {
        const pairs = [await subtle.generateKey(algorithm, true, usages), await subtle.generateKey(algorithm, true, usages)];
        const privates = [], publics = [];
        for (const { privateKey, publicKey } of pairs) {
          privates.push(new Uint8Array(await subtle.exportKey('pkcs8', privateKey)));
          publics.push(element(0x81, bitsOf(new Uint8Array(await subtle.exportKey('spki', publicKey)))));
        }
        const mine = usages.filter((usage) => usage !== 'verify');
        const importing = async (encoded) => hex(await subtle.exportKey('pkcs8', await subtle.importKey('pkcs8', encoded, algorithm, true, mine))) === hex(privates[0]);
        const parts = partsOf(privates[0]);
        const right = [second(parts), second(parts, publics[0]), second(parts, attributes), second(parts, attributes, publics[0])];
        const same = (await Promise.all(right.map(importing))).every(Boolean);
        const wrong = [second(parts, publics[1]), second(parts, attributes, publics[1]), second(parts, publics[0].slice(0, -1)), second(parts, publics[0], publics[0]),
                       second(parts, [...publics[0].slice(0, -1), publics[0].at(-1) ^ 1]), second(parts, element(0x81, [0])), second(parts, element(0x81, [0, 4])),
                       Uint8Array.from(element(0x30, element(2, [0]), ...parts, publics[0])), Uint8Array.of(...right[1], 0), new Uint8Array(16384).fill(0x30)];
        const seen = new Set();
        for (const encoded of wrong) seen.add(await nameOf(() => importing(encoded)));
        for (const encoded of right) for (let size = 0; size < encoded.length; size += encoded.length > 300 ? 7 : 1) seen.add(await nameOf(() => importing(encoded.subarray(0, size))));
        results.push(`${same} ${[...seen]}`);
      }
      return [...new Set(results)];
    )js"),
                    profile) == R"(["true DataError"])");
  }
}

TEST_CASE("the point beside the private key of an elliptic curve may be compressed and must be the right one") {
  CHECK(evaluated(kOneAsymmetricKey + std::string(R"js(
      const algorithm = { name: 'ECDH', namedCurve: 'P-256' };
      const { privateKey, publicKey } = await subtle.generateKey(algorithm, true, ['deriveBits']);
      const parts = partsOf(new Uint8Array(await subtle.exportKey('pkcs8', privateKey)));
      const point = new Uint8Array(await subtle.exportKey('raw', publicKey)), sign = point[64] & 1;
      const bits = (...bytes) => element(0x81, [0, ...bytes]);
      const importing = (...bytes) => () => subtle.importKey('pkcs8', second(parts, bits(...bytes)), algorithm, true, ['deriveBits']);
      return names(importing(...point), importing(2 + sign, ...point.subarray(1, 33)), importing(3 - sign, ...point.subarray(1, 33)),
                   importing(0), importing(...point.subarray(0, 33)), importing(4, ...new Uint8Array(64)), importing(5, ...point.subarray(1)));
  )js")) == R"("nothing,nothing,DataError,DataError,DataError,DataError,DataError")");
}

}  // namespace
}  // namespace holdfast::test
