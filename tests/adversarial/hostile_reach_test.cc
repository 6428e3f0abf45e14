// What a module can reach: the runtime's own functions, which run between the module and the worker, and ways to make
// code from text.
#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/adversarial/hostile.h"

namespace holdfast::test {
namespace {

using nlohmann::json;

// `spots`: the places where the runtime calls a module's code. Each calls `spy` there.
constexpr const char* kSpots = R"js(
    const with_ = (holder, key, get) => Object.defineProperty(holder, key, { get, set: get, configurable: true });
    const spots = (spy) => ({
      toJSON: () => console.log({ toJSON: spy }),
      getter: () => console.log(with_({}, 'a', spy), Object.defineProperty({}, 'a', { get: spy, enumerable: true })),
      prototypeTrap: () => console.log(Object.create(new Proxy({}, { getPrototypeOf: function () { spy(); return null; } }))),
      errorName: () => console.log(with_(new Error(), 'name', spy)),
      errorMessage: () => console.log(with_(new Error(), 'message', spy)),
      errorStack: () => console.log(with_(new Error(), 'stack', spy)),
      functionText: () => console.log(Object.assign(() => {}, { toString: spy })),
      specifier: () => { try { require(Object.assign(() => {}, { toString: spy })); } catch {} },
      callbackText: () => { try { setTimeout({ toJSON: spy }); } catch {} },
      delay: () => clearTimeout(setTimeout(() => {}, { valueOf: spy })),
      timerId: () => clearTimeout({ valueOf: spy }),
      timer: () => new Promise((resolve) => { setTimeout(spy, 1, 2); setTimeout(resolve, 2); }),
      iterator: () => new Promise((resolve) => {
        const kept = Array.prototype[Symbol.iterator];
        Array.prototype[Symbol.iterator] = function () { spy(); return kept.call(this); };
        setTimeout((a) => { Array.prototype[Symbol.iterator] = kept; spy(); resolve(); }, 1, 2);
      }),
      errorConstructor: () => {
        const kept = TypeError;
        globalThis.TypeError = function (text) { spy(); return new kept(text); };
        try { setTimeout(1); } catch { spy(); } finally { globalThis.TypeError = kept; }
      },
      errorCode: () => {
        with_(Error.prototype, 'code', spy);
        try { require('x'); } catch {} finally { delete Error.prototype.code; }
      },
      microtask: () => new Promise((resolve) => { queueMicrotask(spy); queueMicrotask(resolve); }),
      call: () => spy(),
    });
)js";

// Runs every spot with a spy, waits for promises, and returns what the spy found.
std::string spied(const std::string& prologue, const std::string& spy) {
  Ring ring(std::string(prologue) + kSpots + R"js(
      exports.spy = async () => {
        const found = [], visited = new Set();
        let spot;
        const spy = )js" +
            spy + R"js(;
        const all = spots(function () { visited.add(spot); return spy.apply(this, arguments); });
        for (spot in all) await all[spot]();
        return [found, visited.size];
      };
  )js");
  const std::string came = ring.outcome_of("spy");
  ring.finish();
  return came;
}

TEST_CASE("call sites reveal neither functions of the runtime nor their receivers") {
  for (const std::string mode : {"", "'use strict';"}) {
    CAPTURE(mode);
    const json came = json::parse(spied(mode, R"js(() => {
        Error.prepareStackTrace = (error, sites) => sites;
        const sites = new Error().stack;
        delete Error.prepareStackTrace;
        for (const site of sites) {
          const file = String(site.getFileName());
          if (file.startsWith('hostile')) continue;
          found.push([file, typeof site.getFunction(), typeof site.getThis(), typeof site.getEvalOrigin()]);
        }
    })js"));
    CHECK(came[1].get<int>() >= 14);
    CHECK(came[0].size() >= 14);
    for (const auto& site : came[0]) {
      CAPTURE(site.dump());
      CHECK(site[1] == "undefined");
      CHECK(site[2] == "undefined");
      CHECK(site[3] == "undefined");
    }
  }
}

TEST_CASE("no function finds a function of the runtime among its callers") {
  const json came = json::parse(spied("", R"js(function spy() {
      for (let f = spy, depth = 0; f && depth < 50; depth++) {
        let caller = null;
        try { caller = f.caller; } catch {}
        if (caller !== null && /log\(level|setTimer\(|describeError|stringify\(value/.test(Function.prototype.toString.call(caller))) {
          found.push(Function.prototype.toString.call(caller));
        }
        f = caller;
      }
      try { arguments.callee.caller; } catch { found.push('threw'); }
  })js"));
  CHECK(came[1].get<int>() >= 14);
  CHECK(came[0] == json::array());
}

TEST_CASE("a module that replaces what the runtime might look up sees no use of it") {
  const json came = json::parse(spied("", "() => found.push(spot)"));
  const json& found = came[0];
  CHECK(std::count(found.begin(), found.end(), "iterator") == 1);          // the timer's own callback
  CHECK(std::count(found.begin(), found.end(), "errorConstructor") == 1);  // where the module catches it
}

// Finds everything that can be reached from a module's globals through properties, accessors and prototypes.
constexpr const char* kWalkOfGlobals = R"js(
    function everything(roots) {
      const seen = new Set(), left = [...roots];
      while (left.length > 0) {
        const value = left.pop();
        if ((typeof value !== 'object' && typeof value !== 'function') || value === null || seen.has(value)) continue;
        seen.add(value);
        left.push(Object.getPrototypeOf(value));
        for (const key of Reflect.ownKeys(value)) {
          const { value: data, get, set } = Object.getOwnPropertyDescriptor(value, key);
          left.push(data, get, set);
        }
      }
      return seen;
    }
    async function roots(context) {
      const all = [globalThis, context, require, module, exports, (async () => {}), (function* () {}), (async function* () {})];
      for (const bad of [() => require('x'), () => setTimeout(1), () => queueMicrotask(1), () => eval('1'), () => null.x,
                         () => JSON.parse('{'), () => console.log.call.call(1), () => new WebAssembly.Module(new Uint8Array(4))]) {
        try { bad(); } catch (error) { all.push(error); }
      }
      all.push(setTimeout(() => {}, 1), console.log(1), queueMicrotask(() => {}), await null);
      all.push(context.signal, AbortSignal.any([context.signal]), AbortSignal.timeout(1), AbortSignal.abort().reason);
      const target = new EventTarget();
      target.addEventListener('x', function (...given) { all.push(this, ...given); });
      target.dispatchEvent(new Event('x'));
      return all;
    }
)js";

TEST_CASE("a module cannot reach anything internal to the runtime") {
  Ring ring(std::string(kWalkOfGlobals) + R"js(
      exports.walk = async (payload, context) => {
        const inside = ['settle', 'setTimer', 'clearTimer', 'enqueueMicrotask', 'describeError', 'findUnserializable', 'watch',
                        'makeContext', 'isError', 'mostShown', 'takeSignal', 'clockAt', 'abortCall', 'makeSignal',
                        'makeTarget', 'addAlgorithm', 'Slot', 'sendChunk', 'openStream', 'whenGranted', 'findLossy', 'originalPlace',
                        'describeLoadFailure', 'tellUncaught', 'setEnvironment'];
        const found = [], seen = everything(await roots(context));
        for (const value of seen) {
          for (const key of inside) if (Object.hasOwn(value, key)) found.push(key);
          if (typeof value === 'function' && inside.some((key) => value.name.includes(key))) found.push(value.name);
        }
        return [found, seen.size > 500];
      };
  )js");
  CHECK(ring.outcome_of("walk") == "[[],true]");
  ring.finish();
}

TEST_CASE("a module cannot reach a function that makes code from text") {
  Ring ring(std::string(kWalkOfGlobals) + R"js(
      exports.make = async (payload, context) => {
        const made = [], refused = new Set();
        for (const value of everything(await roots(context))) {
          let maker;
          try { maker = value.constructor; } catch { continue; }
          for (const f of [maker, value]) {
            if (typeof f !== 'function' || Object.values(exports).includes(f)) continue;
            for (const use of [() => f('globalThis.escaped = 1; return this'), () => new f('globalThis.escaped = 1; return this'),
                               () => Reflect.construct(f, ['globalThis.escaped = 1'], Object)]) {
              if (/^(Promise|FinalizationRegistry|clear|set|queue|debug|log|info|warn|error|trace)/.test(f.name)) continue;
              try {
                const result = use();
                if (typeof result === 'function' && Function.prototype.toString.call(result).includes('escaped')) made.push(f.name);
              } catch (error) {
                if (error instanceof EvalError) refused.add(f.name);
              }
            }
          }
        }
        return [made, [...refused].sort(), 'escaped' in globalThis];
      };
  )js",
            {"--stretch", "20s"});
  CHECK(ring.outcome_of("make") ==
        R"([[],["AsyncFunction","AsyncGeneratorFunction","Function","GeneratorFunction","eval"],false])");
  ring.finish();
}

TEST_CASE("no stack that a caller or the log gets shows frames of the runtime") {
  Ring ring(R"js(
      exports.timer = () => new Promise((resolve) => { setTimeout((a) => { resolve(); throw new Error('in a timer'); }, 1, 2); });
      exports.requires = () => require('fs');
      exports.callback = () => setTimeout(1);
      exports.getter = () => { console.log({ get a() { throw new Error('unseen'); } }); return console.log(new Error('shown')); };
  )js");
  CHECK(ring.outcome_of("timer") == "null");
  for (const std::string function : {"requires", "callback"}) {
    const auto error = error_of(ring.call(function));
    CHECK_FALSE(contains(error.stack, "holdfast:"));
    CHECK(contains(error.stack, "hostile-v1.js"));
  }
  CHECK(ring.outcome_of("getter") == "null");
  CHECK(ring.daemon().logged("in a timer"));
  CHECK(ring.daemon().logged("shown"));
  CHECK_FALSE(contains(ring.daemon().log(), "holdfast:"));
  ring.finish();
}

}  // namespace
}  // namespace holdfast::test
