// JavaScript that gets between the runtime's own code and the native functions that it calls, by what all objects,
// functions and arrays inherit. Native code relies on the runtime's promises about its arguments: a module that could
// choose them could read and write memory at will.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/adversarial/hostile.h"

namespace holdfast::test {
namespace {

using nlohmann::json;

// Values that a module might pass to native functions instead of those that they expect.
constexpr const char* kFakes = R"js(
    const { defineProperty, setPrototypeOf } = Object;
    const fakes = [5, 'a text', Symbol('s'), 2n ** 200n, null, undefined, { a: 1 }, [], () => {}, new Proxy({}, {}), new Map(),
                   new Uint8Array(0), new Proxy(() => {}, {}), { valueOf: () => 64 }, 1e308, -1];
    // Calls use(fake) with each fake and waits for its promise; exceptions are ignored.
    const withEach = async (use) => {
      let count = 0;
      for (let i = 0; i < fakes.length; i++) {
        try { await use(fakes[i]); } catch { /* as said */ }
        count++;
      }
      return count;
    };
)js";

// Checks that one worker survives all these functions.
void check_survives(const std::string& code, const std::vector<std::string>& functions) {
  Ring ring(kFakes + code, {"--stretch", "20s"});
  CHECK(ring.outcome_of("ping") == "\"pong\"");
  const pid_t worker = worker_of(ring.client(), "hostile").pid;
  for (const std::string& function : functions) {
    CAPTURE(function);
    CHECK(ring.outcome_of(function) == "16");
    CHECK(worker_of(ring.client(), "hostile").pid == worker);
  }
  ring.finish();
}

TEST_CASE("what functions inherit does not change what crypto's native functions are given") {
  check_survives(R"js(
      const { subtle } = crypto;
      const poisoned = (use) => withEach(async (fake) => {
        for (const holder of [Function.prototype, Object.prototype]) {
          defineProperty(holder, 'then', { value: () => fake, configurable: true });
          // Starts at once, and removes the poison before anything is awaited.
          const begun = (() => { try { return use(); } finally { delete holder.then; } })();
          try { await begun; } catch { /* its own affair */ }
        }
      });
      const key = (name, usages) => subtle.importKey('raw', new Uint8Array(16), name, false, usages);
      exports.ctr = async () => {
        const k = await key('AES-CTR', ['encrypt']);
        return poisoned(() => subtle.encrypt({ name: 'AES-CTR', counter: new Uint8Array(16).fill(255), length: 64 }, k,
                                             new Uint8Array(200)));
      };
      exports.gcm = async () => {
        const k = await key('AES-GCM', ['encrypt']);
        return poisoned(() => subtle.encrypt({ name: 'AES-GCM', iv: new Uint8Array(12), tagLength: 128 }, k, new Uint8Array(200)));
      };
      exports.pbkdf2 = async () => {
        const k = await key('PBKDF2', ['deriveBits']);
        return poisoned(() => subtle.deriveBits({ name: 'PBKDF2', salt: new Uint8Array(8), iterations: 2, hash: 'SHA-1' }, k, 64));
      };
      exports.hmac = () => poisoned(() => subtle.generateKey({ name: 'HMAC', hash: 'SHA-1', length: 64 }, true, ['sign']));
      exports.rsa = () => poisoned(() => subtle.generateKey(
          { name: 'RSA-PSS', modulusLength: 512, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-1' }, true, ['sign']));
      exports.curve = () => poisoned(() => subtle.generateKey({ name: 'ECDH', namedCurve: 'P-256' }, true, ['deriveBits']));
      exports.agreement = async () => {
        const { privateKey, publicKey } = await subtle.generateKey('X25519', true, ['deriveBits']);
        return poisoned(() => subtle.deriveBits({ name: 'X25519', public: publicKey }, privateKey, 64));
      };
  )js",
                 {"ctr", "gcm", "pbkdf2", "hmac", "rsa", "curve", "agreement"});
}

TEST_CASE("crypto gives the same results whatever functions inherit") {
  Ring ring(R"js(
      exports.f = async () => {
        const { subtle } = crypto;
        const k = await subtle.importKey('raw', new Uint8Array(16), 'PBKDF2', false, ['deriveBits']);
        const derive = () => subtle.deriveBits({ name: 'PBKDF2', salt: new Uint8Array(8), iterations: 2, hash: 'SHA-1' }, k, 64);
        const right = String(new Uint8Array(await derive()));
        Function.prototype.then = () => 1;
        const begun = derive();
        delete Function.prototype.then;
        return right === String(new Uint8Array(await begun));
      };
  )js");
  CHECK(ring.outcome_of("f") == "true");
  ring.finish();
}

TEST_CASE("what arrays inherit does not change what crypto's native functions are given") {
  check_survives(R"js(
      const { subtle } = crypto;
      const rsa = (async () => {
        const pair = await subtle.generateKey({ name: 'RSA-PSS', modulusLength: 512, publicExponent: new Uint8Array([1, 0, 1]),
                                                hash: 'SHA-1' }, true, ['sign', 'verify']);
        return [await subtle.exportKey('jwk', pair.privateKey), pair.privateKey];
      })();
      const curve = subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
      const { getOwnPropertyDescriptor } = Object;
      // An assigned element reads back as something else.
      const poisoned = (use) => withEach(async (fake) => {
        for (let i = 0; i < 9; i++) {
          defineProperty(Array.prototype, i, { configurable: true, get: () => fake,
                                               set() { if (i < 8) defineProperty(this, 8, { value: fake, writable: true, configurable: true }); } });
        }
        const begun = (() => { try { return use(); } finally { for (let i = 0; i < 9; i++) delete Array.prototype[i]; } })();
        try { await begun; } catch { /* its own affair */ }
      });
      exports.importKey = async () => {
        const [jwk] = await rsa;
        return poisoned(() => subtle.importKey('jwk', jwk, { name: 'RSA-PSS', hash: 'SHA-1' }, true, ['sign']));
      };
      exports.exportKey = async () => {
        const [, key] = await rsa;
        return poisoned(() => subtle.exportKey('jwk', key));
      };
      exports.exportCurve = async () => {
        const { privateKey } = await curve;
        return poisoned(() => subtle.exportKey('jwk', privateKey));
      };
      exports.curve25519 = async () => {
        const { privateKey } = await subtle.generateKey('Ed25519', true, ['sign', 'verify']);
        return poisoned(() => subtle.exportKey('jwk', privateKey));
      };
      exports.throwing = async () => {
        const [jwk] = await rsa;
        return withEach(async () => {
          defineProperty(Array.prototype, 0, { configurable: true, get() { throw new Error('get'); },
                                               set() { defineProperty(this, 1, { value: 1, configurable: true }); } });
          const begun = (() => {
            try { return subtle.importKey('jwk', jwk, { name: 'RSA-PSS', hash: 'SHA-1' }, true, ['sign']); } finally { delete Array.prototype[0]; }
          })();
          try { await begun; } catch { /* its own affair */ }
        });
      };
  )js",
                 {"importKey", "exportKey", "exportCurve", "curve25519", "throwing"});
}

TEST_CASE("a Proxy behind arrays does not change what structuredClone's native functions are given") {
  check_survives(R"js(
      const transferOf = (...buffers) => ({ transfer: { [Symbol.iterator]: function* () { yield* buffers; } } });
      // Returns the buffer for the first `honest` reads.
      const behind = (fake, honest) => {
        const buffer = new ArrayBuffer(64);
        let looks = 0;
        setPrototypeOf(Array.prototype, new Proxy(Object.create(null), {
          has: () => false,
          set(target, key, value, array) {
            if (key === '0') array.length = 1;
            else defineProperty(array, key, { value, writable: true, enumerable: true, configurable: true });
            return true;
          },
          get: (target, key) => key !== '0' ? undefined : looks++ < honest ? buffer : fake,
        }));
        try { structuredClone(1, transferOf(buffer)); } finally { setPrototypeOf(Array.prototype, Object.prototype); }
      };
      for (const honest of [0, 1, 2, 3, 4, 5]) exports[`after${honest}`] = () => withEach((fake) => behind(fake, honest));
  )js",
                 {"after0", "after1", "after2", "after3", "after4", "after5"});
}

TEST_CASE("a module cannot get a second ArrayBuffer of a WebAssembly memory that survives its growth") {
  Ring ring(R"js(
      exports.f = () => {
        const memory = new WebAssembly.Memory({ initial: 1 });
        let stolen;
        Object.setPrototypeOf(Array.prototype, new Proxy(Object.create(null), {
          has: () => false,
          set(target, key, value, array) {
            if (value instanceof ArrayBuffer && value !== memory.buffer) stolen = value;
            return Reflect.defineProperty(array, key, { value, writable: true, enumerable: true, configurable: true });
          },
        }));
        let message;
        try { structuredClone([memory.buffer], { transfer: { *[Symbol.iterator]() { yield memory.buffer; } } }); } catch (error) { ({ message } = error); }
        Object.setPrototypeOf(Array.prototype, Object.prototype);
        return [stolen === undefined, message];
      };
  )js");
  CHECK(ring.outcome_of("f") == R"([true,"structuredClone: this ArrayBuffer cannot be transferred"])");
  ring.finish();
}

TEST_CASE("call sites and callers reveal no functions of the packages behind the classes") {
  const char* const code = R"js(
      exports.f = () => {
        const found = [];
        let spots = 0;
        const look = function look() {
          spots++;
          Error.prepareStackTrace = (error, sites) => sites;
          const sites = new Error().stack;
          delete Error.prepareStackTrace;
          for (const site of sites) {
            if (!String(site.getFileName()).startsWith('holdfast:')) continue;
            if (site.getFunction() !== undefined || site.getThis() !== undefined) found.push(`site ${site.getFunctionName()}`);
          }
          for (let f = look, depth = 0; f && depth < 20; depth++) {
            let caller = null;
            try { ({ caller } = f); } catch { /* of strict functions there is none */ }
            if (caller && /web_platform|_controlled|webidl|reflectCall/.test(Function.prototype.toString.call(caller))) found.push(`caller ${caller.name}`);
            f = caller;
          }
        };
        const o = { get highWaterMark() { look(); return 1; }, get method() { look(); return 'POST'; }, get type() { look(); return ''; },
                    get pathname() { look(); return '/'; }, [Symbol.for('nodejs.util.inspect.custom')]() { look(); return 'shown'; } };
        new ReadableStream({ start() { look(); } }, o);
        new Request('http://example.org', o);
        new Blob(['x'], o);
        new URLPattern(o);
        new Headers({ get a() { look(); return 'x'; } });
        new URL({ toString() { look(); return 'http://example.org/'; } });
        console.log(o);
        return [spots >= 7, found];
      };
  )js";
  Ring ring(code);
  CHECK(ring.outcome_of("f") == "[true,[]]");
  ring.finish();
}

}  // namespace
}  // namespace holdfast::test
