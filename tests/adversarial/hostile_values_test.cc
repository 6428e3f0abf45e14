// JavaScript that poisons what it shares with the runtime: prototypes, intrinsics, values, errors, exports.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>

#include "tests/adversarial/hostile.h"

namespace holdfast::test {
namespace {

// The functions of a poisoned module that the test calls.
constexpr const char* kOrdinary = R"js(
    exports.value = (payload) => [7, payload, { a: 'b' }];
    exports.later = async () => { await null; await new Promise((resolve) => setTimeout(resolve, 1)); return 8; };
    exports.fail = () => { throw new TypeError('mine'); };
    exports.failLater = async () => { await null; throw new RangeError('late'); };
    exports.cycle = () => { const a = {}; a.a = a; return a; };
    exports.deepBigInt = () => ({ list: [{ 'a-b': 1n }] });
    exports.nothing = () => {};
    exports.logs = (payload, context) => { console.log('a line', { a: [1] }, new Error('e'), 7n, null); return 1; };
    exports.requires = () => require('fs');
    exports.badTimer = () => setTimeout('text');
    exports.context = (payload, context) => JSON.stringify([context.module, context.version, context.function]);
)js";

struct Expected {
  std::string function;
  std::initializer_list<const char*> codes;
};

// The codes with which they may end, whatever the poison: the right one, or an error that the module's own poison
// caused.
const Expected kExpected[] = {
    {"value", {"result", "exception", "not_serializable"}},
    {"later", {"result", "exception"}},
    {"fail", {"exception"}},
    {"failLater", {"exception"}},
    {"cycle", {"not_serializable", "exception", "result"}},  // a toJSON on Object.prototype makes it serializable
    {"deepBigInt", {"not_serializable", "exception", "result"}},
    {"nothing", {"result"}},
    {"logs", {"result", "exception"}},
    {"requires", {"exception"}},
    {"badTimer", {"exception"}},
    {"missing", {"not_found", "result"}},
    {"context", {"result", "exception"}},
};

// Helpers of the poisons.
constexpr const char* kNames = R"js(
    const KEYS = ['then', 'toJSON', 'name', 'message', 'stack', 'cause', 'code', 'get', 'set', 'value', 'writable', 'enumerable',
                  'configurable', 'length', 'constructor', 'prototype', 'call', 'apply', 'bind', 'exports', 'require', 'module',
                  'version', 'function', 'requestId', 'default', 'index', 'input', 'groups', 'lastIndex', 'raw', 'done', 'next',
                  'return', 'throw', 'settle', 'log', 'setTimer', 'clearTimer', 'enqueueMicrotask', 'watch', 'makeContext',
                  'describeError', 'findUnserializable', 'show', 'isError', 'missing', 'detail', '0', '1', '2', '3'];
    const TYPES = [Object, Function, Array, String, Number, Boolean, Symbol, BigInt, Promise, RegExp, Error, TypeError, RangeError,
                   SyntaxError, Set, Map, WeakMap, WeakSet, WeakRef, Date, Proxy, ArrayBuffer, Uint8Array].filter((t) => t.prototype);
    const { defineProperty, setPrototypeOf } = Object, { ownKeys } = Reflect;
    const fail = () => { throw new Error('poison'); };
    const each = (list, f) => { for (let i = 0; i < list.length; i++) f(list[i]); };
    const keysOf = (holder) => {
      const all = ownKeys(holder);
      let count = 0;
      for (let i = 0; i < all.length; i++) if (all[i] !== 'constructor' && all[i] !== 'prototype') all[count++] = all[i];
      all.length = count;
      return all;
    };
    const put = (holder, key, descriptor) => {  // in every way that can be
      try { defineProperty(holder, key, setPrototypeOf(descriptor, null)); } catch {}
    };
)js";

// Poisons for everything that a JavaScript program can replace.
struct Poison {
  const char* name;
  const char* code;
};
const Poison kPoisons[] = {
    {"getters and setters that throw for every key of Object.prototype",
     "each(KEYS, (key) => put(Object.prototype, key, { get: fail, set: fail }));"},
    // Leaves out `then`: one that does nothing makes every object a promise that never settles. That is right, but
    // takes long.
    {"getters that answer and setters that swallow for every key of Object.prototype",
     "each(KEYS, (key) => { if (key !== 'then') put(Object.prototype, key, { get: () => () => 'poison', set() {} }); "
     "});"},
    {"read-only data for every key of Object.prototype",
     "each(KEYS, (key) => put(Object.prototype, key, { value: 'poison', writable: false }));"},
    {"getters and setters for the elements of arrays",
     "for (let i = 0; i < 20; i++) put(Array.prototype, i, { get: fail, set: fail });"},
    {"every method of every prototype throws",
     "each(TYPES, (type) => each(keysOf(type.prototype), (key) => put(type.prototype, key, { value: fail })));"},
    {"every method of every prototype answers with a poison", R"js(
        const poison = () => new Proxy(() => {}, { get: () => poison });
        each(TYPES, (type) => each(keysOf(type.prototype), (key) => put(type.prototype, key, { value: poison })));
    )js"},
    {"every static function throws", R"js(
        each(TYPES.concat([Reflect, JSON, Math, Intl, Atomics, console]), (holder) =>
          each(keysOf(holder), (key) => put(holder, key, { value: fail })));
    )js"},
    {"constructors, species and hasInstance are replaced", R"js(
        class Poison { constructor() { fail(); } static get [Symbol.species]() { fail(); } }
        const { species, hasInstance } = Symbol;
        each(TYPES, (type) => {
          put(type, species, { get: fail });
          put(type, hasInstance, { value: fail });
          put(type.prototype, 'constructor', { value: Poison });
        });
    )js"},
    {"well-known symbols on the prototypes that all have", R"js(
        const all = keysOf(Symbol).map((key) => Symbol[key]).filter((symbol) => typeof symbol === 'symbol');
        each(all, (symbol) => {
          each([Object, Function, Array, Promise, Error], (type) => put(type.prototype, symbol, { get: fail }));
        });
    )js"},
    {"all globals are functions that throw",
     "each(keysOf(globalThis), (key) => { if (key !== 'setTimeout') put(globalThis, key, { value: fail }); });"},
    {"all globals are deleted", "each(keysOf(globalThis), (key) => { try { delete globalThis[key]; } catch {} });"},
    {"everything that can be reached is frozen", R"js(
        const seen = new Set([globalThis, exports, module]);
        (function freeze(value) {
          if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return;
          const parts = Object.values(Object.getOwnPropertyDescriptors(value));
          if (!seen.has(value)) Object.freeze(value);
          else if (value !== globalThis) return;
          seen.add(value);
          for (const part of parts) {
            for (const one of [part.value, part.get, part.set]) if (!seen.has(one)) freeze(one);
          }
          const above = Object.getPrototypeOf(value);
          if (!seen.has(above)) freeze(above);
        })(globalThis);
    )js"},
    {"prepareStackTrace throws", "Error.prepareStackTrace = fail;"},
    {"prepareStackTrace answers with a Proxy",
     "Error.prepareStackTrace = () => new Proxy({}, { get: fail, getPrototypeOf: fail, has: fail });"},
    {"prepareStackTrace is a getter that throws", "put(Error, 'prepareStackTrace', { get: fail });"},
    {"prepareStackTrace asks for itself", "Error.prepareStackTrace = () => new Error('again').stack;"},
    {"stackTraceLimit is a getter that throws", "put(Error, 'stackTraceLimit', { get: fail });"},
    {"the prototype of functions is below a Proxy",
     "Object.setPrototypeOf(Function.prototype, new Proxy({}, { get: fail, set: fail, has: fail }));"},
    {"the prototype of arrays is below a Proxy", R"js(
        Object.setPrototypeOf(Array.prototype, new Proxy({}, { get: fail, has: fail, set: fail, getPrototypeOf: fail,
                                                               getOwnPropertyDescriptor: fail, defineProperty: fail }));
    )js"},
    {"the prototype of errors is below a Proxy",
     "Object.setPrototypeOf(Error.prototype, new Proxy({}, { get: fail, getPrototypeOf: fail }));"},
    {"the runtime's functions are changed where the module has them", R"js(
        each([require, console.log, console.error, setTimeout, clearTimeout, queueMicrotask], (f) => {
          f.call = f.apply = f.bind = f.toString = fail;
          f.prototype = null;
          Object.setPrototypeOf(f, null);
        });
    )js"},
};

TEST_CASE("each call has one sensible answer whatever a module does to its globals") {
  std::vector<Module> modules;
  for (const Poison& poison : kPoisons) {
    modules.push_back({fmt::format("m{}", modules.size()), fmt::format("{}\n{}\n{}", kOrdinary, kNames, poison.code)});
  }
  Ring ring("", {"--timeout", "2s"});
  for (const Module& module : modules) ring.daemon().add_module(module);
  for (std::size_t i = 0; i < modules.size(); ++i) {
    CAPTURE(std::string(kPoisons[i].name));
    for (int round = 0; round < 2; ++round) {
      for (const Expected& expected : kExpected) {
        const ipc::Answer answer = call(
            ring.client(), {.module = modules[i].name, .function = expected.function, .payload = R"({"p":[1,"x"]})"});
        const std::string code = code_of(answer);
        CHECK_MESSAGE(std::find(expected.codes.begin(), expected.codes.end(), code) != expected.codes.end(),
                      expected.function, ": the outcome is: ", outcome(answer).substr(0, 300));
      }
    }
    CHECK(worker_of(ring.client(), modules[i].name).calls_done == 2 * std::size(kExpected));
  }
  ring.finish();
}

// --- exports and contexts ------------------------------------------------------------------------------------------

TEST_CASE("exports that lie or throw or loop affect only their own module") {
  Ring ring("", {"--stretch", "200ms"});
  const struct {
    const char* code;
    const char* function;
    const char* beginning;
  } cases[] = {
      {"module.exports = new Proxy({}, { has: () => true, get: () => () => 'any', getOwnPropertyDescriptor: () => ({ "
       "configurable: true, value: 1 }) });",
       "anything", "\"any\""},
      {"module.exports = new Proxy({}, { getOwnPropertyDescriptor() { throw new Error('trap'); } });", "f",
       "exception: Error: trap"},
      {"module.exports = new Proxy({}, { getOwnPropertyDescriptor() { while (true) {} } });", "f", "cpu_exceeded: "},
      {"module.exports = new Proxy({}, { ownKeys() { throw new Error('trap'); } });", "f", "not_found: "},
      {"module.exports = new Proxy({}, { ownKeys() { while (true) {} } });", "f", "cpu_exceeded: "},
      {"module.exports = new Proxy({ f() {} }, { get: () => new Proxy(() => {}, { apply() { throw new Error('apply'); "
       "} }) });",
       "f", "exception: Error: apply"},
      {"Object.defineProperty(module, 'exports', { get() { throw new Error('get'); } });", "f",
       "load_failed: Error: get"},
      {"Object.defineProperty(module, 'exports', { get() { while (true) {} } });", "f", "load_failed: "},
      {"module.exports = Proxy.revocable({}, {}); module.exports.revoke(); module.exports = module.exports.proxy;", "f",
       "exception: TypeError"},
      {"module.exports = Promise.resolve({ f: () => 1 });", "f", "not_found: "},
      {"exports.then = (resolve) => 'then was called';", "then", "\"then was called\""},
      {"exports.constructor = () => 'constructor';", "constructor", "\"constructor\""},
      {"exports.f = () => 1;", "constructor", "not_found: "},
      {"exports.f = () => 1;", "__proto__", "not_found: "},
      {"exports.f = () => 1;", "toString", "not_found: "},
      {"exports.__proto__ = { f: () => 1 };", "f", "not_found: "},
      {"Object.defineProperty(exports, '__proto__', { value: () => 'own' });", "__proto__", "\"own\""},
      {"Object.setPrototypeOf(exports, new Proxy({}, { get() { throw new Error('above'); }, has() { throw 1; } })); "
       "exports.f = () => 1;",
       "f", "1"},
      {"exports.f = class { constructor() {} };", "f", "not_found: "},
      {"let count = 0; Object.defineProperty(exports, 'f', { get: () => count++ % 2 ? 1 : () => 'even' });", "f",
       "\"even\""},
      {"throw new Proxy({}, { get() { throw 1; }, getPrototypeOf() { throw 1; } });", "f", "load_failed: "},
      {"throw undefined;", "f", "load_failed: a value that is not an Error was thrown: undefined"},
      {"Error.prepareStackTrace = () => { while (true) {} }; throw new Error('x');", "f", "load_failed: "},
      {"exports.f = function () { return [this === exports, arguments.length, new.target === undefined]; };", "f",
       "[true,2,true]"},
      {"Promise.reject(new Error('at load')); queueMicrotask(() => { throw 1; }); exports.f = () => 1;", "f", "1"},
  };
  for (std::size_t i = 0; i < std::size(cases); ++i) {
    CAPTURE(std::string(cases[i].code));
    const std::string name = fmt::format("m{}", i);
    ring.daemon().add_module({name, cases[i].code});
    const std::string came = outcome(call(ring.client(), {name, cases[i].function}));
    CHECK_MESSAGE(came.starts_with(cases[i].beginning), "the outcome is: ", came.substr(0, 300));
  }
  ring.finish();
}

TEST_CASE("ES modules that lie or throw or never end affect only themselves") {
  Ring ring("", {"--stretch", "200ms"});
  const struct {
    const char* code;
    const char* function;
    const char* beginning;
  } cases[] = {
      {"export function then(resolve) { resolve('hijacked'); } export const f = () => 1;", "f", "1"},
      {"export function then(resolve) { return typeof resolve; }", "then", "\"object\""},
      {"export default new Proxy({}, { get: (t, key) => () => 'got', has: () => true, ownKeys() { throw new "
       "Error('keys'); }, "
       "getOwnPropertyDescriptor: () => ({ configurable: true, value: 1 }) });",
       "anything", "\"got\""},
      {"export default new Proxy({}, { getOwnPropertyDescriptor() { throw new Error('trap'); } }); export const g = 1;",
       "f", "exception: Error: trap"},
      {"export default { get f() { throw new Error('get'); } };", "f", "exception: Error: get"},
      {"export let f = () => { f = () => 'rebound'; return 'first'; };", "f", "\"first\""},
      {"const f = () => 'own'; export { f as constructor, f as __proto__ };", "__proto__", "\"own\""},
      {"export const f = () => 1;", "constructor", "not_found: "},
      {"export const f = () => 1; await new Promise(() => {});", "f",
       "load_failed: the module's top-level await never"},
      {"export const f = () => 1; for (;;) await null;", "f", "load_failed: "},
      {"export const f = () => 1; await { then(resolve) { resolve({ then(inner) { inner(1); } }); } };", "f", "1"},
      {"export const f = () => 1; await { then() { throw new Error('then'); } };", "f", "load_failed: Error: then"},
      {"Object.defineProperty(Promise.prototype, 'then', { get() { throw new Error('no'); } }); export const f = () => "
       "1; await 0;",
       "f", "1"},
      {"Object.prototype.then = function (resolve) { resolve(5); }; export const f = () => 1; await 0;", "f", "1"},
      {"export const f = () => 1; await 0; throw new Proxy({}, { get() { throw 1; }, getPrototypeOf() { throw 1; } });",
       "f", "load_failed: "},
  };
  for (std::size_t i = 0; i < std::size(cases); ++i) {
    CAPTURE(std::string(cases[i].code));
    const std::string name = fmt::format("m{}", i);
    ring.daemon().add_module({name, cases[i].code});
    const std::string came = outcome(call(ring.client(), {name, cases[i].function}));
    CHECK_MESSAGE(came.starts_with(cases[i].beginning), "the outcome is: ", came.substr(0, 300));
  }
  ring.finish();
}

TEST_CASE("a function that changes its context or what contexts inherit does not affect the contexts of later calls") {
  Ring ring(R"js(
      let first;
      exports.spoil = (payload, context) => {
        first = context;
        Object.assign(context, { requestId: 'forged', module: 'other', version: 'v9', function: 'g' });
        for (const key of ['requestId', 'module', 'version', 'function']) {
          Object.defineProperty(Object.prototype, key, { get: () => 'inherited', set() { throw new Error('set'); } });
        }
        Object.freeze(context);
      };
      exports.look = (payload, context) => [context === first, context.module, context.version, context.function,
                                            /^[0-9a-f]{16}-[1-9][0-9]*$/.test(context.requestId), Object.isFrozen(context)];
  )js");
  CHECK(ring.outcome_of("spoil") == "null");
  for (int i = 0; i < 3; ++i) CHECK(ring.outcome_of("look") == R"([false,"hostile","v1","look",true,false])");
  CHECK(contains(ring.outcome_of("missing"), "not_found: module hostile@v1 exports no function"));
  ring.finish();
}

}  // namespace
}  // namespace holdfast::test
