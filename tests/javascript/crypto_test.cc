// The Web Cryptography API in locked workers: test vectors of the standards, rules for keys and parameters, and modules
// that try to change data between its check and its use. Import and export of keys are in crypto_keys_test.cc.
#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>

#include "tests/javascript/crypto_module.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::test {
namespace {

using nlohmann::json;

// --- vectors -------------------------------------------------------------------------------------------------------

TEST_CASE("hashes, HMAC and derived bits are those of the standards' vectors, in both profiles") {
  for (const char* profile : {"jit", "strict"}) {
    CAPTURE(std::string_view(profile));
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

TEST_CASE("AES matches the vectors of SP 800-38A and of GCM and of RFC 3394 in both profiles") {
  for (const char* profile : {"jit", "strict"}) {
    CAPTURE(std::string_view(profile));
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

TEST_CASE("AES-CTR counts with the given number of bits and wraps around") {
  CHECK(evaluated(R"js(
      const key = await subtle.importKey('raw', pattern(16), 'AES-CTR', false, ['encrypt']);
      const run = async (counter, length, blocks) => hex(await subtle.encrypt({ name: 'AES-CTR', counter, length }, key, new Uint8Array(16 * blocks)));
      const at = (fill, last) => { const counter = new Uint8Array(16).fill(fill); counter[15] = last; return counter; };
      const results = [];
      // Each block alone, at its expected counter.
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

TEST_CASE("Ed448 and X448 give what the vectors of RFC 8032 and RFC 7748 say, in both profiles") {
  for (const char* profile : {"jit", "strict"}) {
    CAPTURE(std::string_view(profile));
    CHECK(
        evaluated(R"js(
        const base64url = (bytes) => bytes.length === 0 ? '' : btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
        const jwk = (crv, d, x) => ({ kty: 'OKP', crv, d: base64url(unhex(d)), x: base64url(unhex(x)) });
        const ed = jwk('Ed448', '6c82a562cb808d10d632be89c8513ebf6c929f34ddfa8c9f63c9960ef6e348a3528c8a3fcc2f044e39a3fc5b94492f8f032e7549a20098f95b', '5fd7449b59b461fd2ce787ec616ad46a1da1342485a70e1f8a0ea75d80e96778edf124769b46c7061bd6783df1e50f6cd1fa1abeafe8256180');
        const signing = await subtle.importKey('jwk', ed, 'Ed448', false, ['sign']), { d, ...shown } = ed, verifying = await subtle.importKey('jwk', shown, 'Ed448', true, ['verify']);
        const x = jwk('X448', '9a8f4925d1519f5775cf46b04b5800d4ee9ee8bae8bc5565d498c28dd9c9baf574a9419744897391006382a6f127ab1d9ac2d8c0a598726b', '9b08f7cc31b7e3e67d22d5aea121074a273bd2b83de09c63faa73d2c22c5d9bbc836647241d953d40c5b12da88120d53177f80e532c41fa0');
        const agreeing = await subtle.importKey('jwk', x, 'X448', false, ['deriveBits']);
        const other = await subtle.importKey('raw', unhex('3eb7a829b0cd20f5bcfc0b599b6feccf6da4627107bdb0d4f345b43027d8b972fc3e34fb4232a13ca706dcb57aec3dae07bdc1c67bf33609'), 'X448', true, []);
        const nothing = new Uint8Array(), signature = await subtle.sign({ name: 'ed448', context: nothing }, signing, nothing);
        return [
          hex(signature), hex(await subtle.deriveBits({ name: 'X448', public: other }, agreeing, null)), (await subtle.exportKey('jwk', verifying)).alg,
          await subtle.verify('Ed448', verifying, signature, nothing), await subtle.verify('Ed448', verifying, signature, new Uint8Array(1)), await subtle.verify('Ed448', verifying, signature.slice(1), nothing),
          await names(() => subtle.sign({ name: 'Ed448', context: new Uint8Array(1) }, signing, nothing), () => subtle.importKey('raw', new Uint8Array(56), 'Ed448', true, ['verify']),
                      () => subtle.importKey('raw', new Uint8Array(57), 'X448', true, []), () => subtle.importKey('jwk', { ...ed, x: base64url(new Uint8Array(57)) }, 'Ed448', true, ['sign'])),
        ];
    )js",
                  profile) ==
        R"(["533a37f6bbe457251f023c0d88f976ae2dfb504a843e34d2074fd823d41a591f2b233f034f628281f2fd7a22ddd47d7828c59bd0a21bfd3980ff0d2028d4b18a)"
        R"(9df63e006c5d1c2d345b925d8dc00b4104852db99ac5c7cdda8530a113a0f4dbb61149f05a7363268c71d95808ff2e652600",)"
        R"("07fff4181ac6cc95ec1c16a94a0f74d12da232ce40a77552281d282bb60c0b56fd2464c335543936521c24403085d59a449a5037514a879d","Ed448",true,false,false,)"
        R"("OperationError,DataError,DataError,DataError"])");
  }
}

TEST_CASE("no signature is valid if the key or the first half of the signature is a point of small order") {
  CHECK(evaluated(R"js(
      const point = (size, ...bytes) => { const point = new Uint8Array(size); point.set(bytes); return point; };
      const join = (...parts) => new Uint8Array(parts.flatMap((part) => [...part]));
      const holds = async (name, key, signature, data) => subtle.verify(name, key.type ? key : await subtle.importKey('raw', key, name, true, ['verify']), signature, data);
      const results = [];
      // With the neutral point for a key, S = 0 and R the neutral point fit any message.
      for (const [name, size] of [['Ed25519', 32], ['Ed448', 57]]) results.push(await holds(name, point(size, 1), point(2 * size, 1), ascii('anything')));
      // The neutral point for R, and S = h a, which the owner of the key can make.
      const number = (bytes) => [...bytes].reduceRight((sum, byte) => sum * 256n + BigInt(byte), 0n);
      const bytes = (number) => point(32, ...Array.from({ length: 32 }, (_, i) => Number(number >> BigInt(8 * i) & 255n)));
      const order = 2n ** 252n + 27742317777372353535851937790883648493n, sha512 = async (data) => new Uint8Array(await subtle.digest('SHA-512', data));
      const pair = await subtle.generateKey('Ed25519', true, ['sign', 'verify']), data = ascii('text');
      const a = (await sha512(new Uint8Array(await subtle.exportKey('pkcs8', pair.privateKey)).slice(-32))).slice(0, 32);
      a[0] &= 248; a[31] = a[31] & 63 | 64;
      const sign = async (R, r) => join(R, bytes((r + number(await sha512(join(R, new Uint8Array(await subtle.exportKey('raw', pair.publicKey)), data))) * number(a)) % order));
      results.push(await holds('Ed25519', pair.publicKey, await sign(point(32, 1), 0n), data));
      // The same with R = B, the base point, which has a large order.
      results.push(await holds('Ed25519', pair.publicKey, await sign(new Uint8Array(32).fill(0x66).fill(0x58, 0, 1), 1n), data));
      return results;
  )js") == "[false,false,false,true]");
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
      // Returns a promise whatever is wrong.
      check(subtle.digest() instanceof Promise && await nameOf(() => SubtleCrypto.prototype.digest()) === 'TypeError', 'promise');
      const key = await subtle.generateKey({ name: 'HMAC', hash: 'SHA-1' }, true, ['sign']);
      check(key.algorithm === key.algorithm && key.usages === key.usages, 'cached');
      // Settles in a microtask at the earliest.
      let first = '';
      await Promise.all([subtle.digest('SHA-1', new Uint8Array()).then(() => { first ||= 'digest'; }), Promise.resolve().then(() => { first ||= 'microtask'; })]);
      check(first === 'microtask', 'settles later');
      return wrong;
  )js") == "[]");
}

// --- random numbers ------------------------------------------------------------------------------------------------

TEST_CASE("each worker draws random numbers of its own, from the first on, in both profiles") {
  for (const char* profile : {"jit", "strict"}) {
    CAPTURE(std::string_view(profile));
    std::vector<Module> modules;
    constexpr int kWorkers = 4;
    for (int i = 0; i < kWorkers; ++i) {
      modules.push_back({"module" + std::to_string(i), kCryptoPrologue + std::string(R"js(exports.f = () => {
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

// --- hostile modules ------------------------------------------------------------------------------------------------

TEST_CASE("a getter can change the data only before it is read") {
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

TEST_CASE("a module that changes everything within its reach gets no forbidden key and breaks nothing") {
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
      // Objects of the runtime inherit from nothing, and so does what it keeps of a key.
      let handed = 0;
      for (const value of stolen) if (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === null && value !== Object.prototype) handed++;
      return { refused, handed, size: bytes.byteLength };
  )js") == R"({"refused":"InvalidAccessError","handed":0,"size":21})");
}

TEST_CASE("setters and getters on arrays do not see the numbers of a key") {
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
  Daemon daemon({.modules = {{"module", kCryptoPrologue + std::string(R"js(exports.f = async () => {
      const data = new Uint8Array(20 << 20);
      const key = await subtle.generateKey({ name: 'AES-CTR', length: 128 }, false, ['encrypt']);
      const kept = [];
      let name = '';
      try {
        for (let i = 0; i < 10; i++) kept.push(await subtle.encrypt({ name: 'AES-CTR', counter: new Uint8Array(16), length: 64 }, key, data));
      } catch (error) { name = error.name; }
      kept.length = 0;
      // Unreachable results make room.
      for (let i = 0; i < 10; i++) await subtle.encrypt({ name: 'AES-CTR', counter: new Uint8Array(16), length: 64 }, key, data);
      const base = await subtle.importKey('raw', data.subarray(0, 9), 'PBKDF2', false, ['deriveBits']);
      return [name, await nameOf(() => subtle.deriveBits({ name: 'PBKDF2', hash: 'SHA-1', salt: data.subarray(0, 9), iterations: 1 }, base, 2 ** 32 - 8))];
  };)js")}},
                 .flags = {"--memory", "64MB", "--stretch", "20s"}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"module", "f"})) == R"(["RangeError","RangeError"])");
}

TEST_CASE("a key derivation without end is stopped as any loop is, and the next call is served") {
  Daemon daemon({.modules = {{"module", kCryptoPrologue + std::string(R"js(
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
