// JavaScript whose answers run code when they are read: thenables, Proxies, getters, toJSON, and errors made of them.
// Each call is answered once, with the value that JavaScript itself would have used.
#include <doctest/doctest.h>

#include "tests/adversarial/hostile.h"

namespace holdfast::test {
namespace {

// Calls functions of `code`. `expected`: each with its result, or the beginning of "code: message".
void check_outcomes(const std::string& code, const std::vector<std::pair<std::string, std::string>>& expected) {
  Ring ring(code, {"--stretch", "200ms"});
  for (const auto& [function, beginning] : expected) {
    CAPTURE(function);
    const std::string came = ring.outcome_of(function);
    CHECK_MESSAGE(came.starts_with(beginning), function, ": the outcome is: ", came.substr(0, 300));
    ring.check_unharmed();
  }
  ring.finish();
}

TEST_CASE("a hostile result is answered once and as JavaScript would take it") {
  check_outcomes(R"js(
      const fail = () => { throw new Error('trap'); };
      exports.thenTwice = () => ({ then(resolve, reject) { resolve(1); resolve(2); reject(3); setTimeout(resolve, 1, 4); } });
      exports.thenThrowsAfter = () => ({ then(resolve) { resolve('first'); throw new Error('second'); } });
      exports.thenThrows = () => ({ then() { throw new Error('then'); } });
      exports.thenGetterThrows = () => ({ get then() { throw new Error('getter'); } });
      exports.thenOfThen = () => ({ then(resolve) { resolve({ then(inner) { inner('deep'); } }); } });
      exports.thenLater = () => ({ then(resolve) { setTimeout(resolve, 1, 'later'); } });
      exports.rejectTwice = () => new Promise((resolve, reject) => { reject(new Error('one')); reject(new Error('two')); resolve(3); });
      exports.subclass = () => new (class extends Promise { then() { throw new Error('mine'); } })((resolve) => resolve(5));
      exports.constructorThrows = () => {
        const p = new Promise((resolve) => setTimeout(resolve, 1));
        Object.defineProperty(p, 'constructor', { get() { throw new Error('constructor'); } });
        return p;
      };
      exports.constructorLies = () => {
        const p = new Promise((resolve) => setTimeout(resolve, 1, 'true'));
        p.constructor = class { constructor(f) { f(() => {}, () => {}); } };
        p.then = (resolve) => { resolve('lied'); resolve('again'); };
        return p;
      };
      exports.proxyOfPromise = () => new Proxy(Promise.resolve(1), {});
      exports.trapsThrow = () => new Proxy({}, { get: fail, ownKeys: fail, getOwnPropertyDescriptor: fail });
      exports.trapsLie = () => new Proxy({}, { ownKeys: () => ['a', 'a'] });
      exports.keysWithoutEnd = () => new Proxy({}, { ownKeys: () => ({ length: 2 ** 32 }) });
      exports.arrayWithoutEnd = () => new Proxy([], { get: (t, key) => key === 'length' ? 2 ** 53 : key === 'toJSON' || key === 'then' ? undefined : 1 });
      exports.revoked = () => { const { proxy, revoke } = Proxy.revocable({}, {}); revoke(); return proxy; };
      exports.revokedInside = () => { const { proxy, revoke } = Proxy.revocable({}, {}); revoke(); return { proxy }; };
      exports.toJSONThrows = () => ({ toJSON: fail });
      exports.toJSONText = () => ({ toJSON: () => 'undefined' });
      exports.toJSONNothing = () => ({ toJSON: () => undefined });
      exports.toJSONSelf = () => { const o = { toJSON: () => o }; return o; };
      exports.boxed = () => [Object('s'), Object(1), Object(true), Object(Symbol()), new Date(0), new Date(NaN), /x/, new Map([[1, 2]])];
      exports.boxedBigInt = () => Object(1n);
      exports.lonely = () => '\ud800';
      exports.getterAnswers = () => ({ get a() { queueMicrotask(() => { throw new Error('late'); }); return 'a'; } });
      exports.proto = () => JSON.parse('{"__proto__": {"a": 1}, "constructor": 2}');
      exports.callsItself = async () => exports.later();
      exports.later = async () => { await null; return 'itself'; };
      exports.exports = () => exports;
      exports.global = () => globalThis;
      exports.never = () => new Promise(() => {}).constructor === Promise;
  )js",
                 {{"thenTwice", "1"},
                  {"thenThrowsAfter", "\"first\""},
                  {"thenThrows", "exception: Error: then"},
                  {"thenGetterThrows", "exception: Error: getter"},
                  {"thenOfThen", "\"deep\""},
                  {"thenLater", "\"later\""},
                  {"rejectTwice", "exception: Error: one"},
                  {"subclass", "5"},
                  {"constructorThrows", "exception: Error: constructor"},
                  {"constructorLies", "\"lied\""},
                  {"proxyOfPromise", "exception: TypeError"},
                  {"trapsThrow", "exception: Error: trap"},
                  {"trapsLie", "not_serializable: "},
                  {"keysWithoutEnd", "not_serializable: "},
                  {"arrayWithoutEnd", ""},
                  {"revoked", "exception: TypeError"},
                  {"revokedInside", "not_serializable: "},
                  {"toJSONThrows", "not_serializable: "},
                  {"toJSONText", "not_serializable: the result cannot be expressed as JSON: $.toJSON is a function"},
                  {"toJSONNothing", "not_serializable: "},
                  {"toJSONSelf", "not_serializable: the result cannot be expressed as JSON: $.toJSON is a function"},
                  {"boxed", "not_serializable: the result cannot be expressed as JSON: $[0] is an instance of String"},
                  {"boxedBigInt", "not_serializable: "},
                  {"lonely", R"("\ud800")"},
                  {"getterAnswers", R"({"a":"a"})"},
                  {"proto", R"({"__proto__":{"a":1},"constructor":2})"},
                  {"callsItself", "\"itself\""},
                  {"exports", "not_serializable: "},
                  {"global", "not_serializable: "},
                  {"never", "true"}});
}

TEST_CASE("hostile errors are shown as far as they can be read safely") {
  check_outcomes(
      R"js(
      const fail = () => { throw new Error('trap'); };
      const with_ = (parts) => Object.defineProperties(new Error('m'), Object.fromEntries(
          Object.entries(parts).map(([key, get]) => [key, { get }])));
      exports.nameThrows = () => { throw with_({ name: fail }); };
      exports.messageThrows = () => { throw with_({ message: fail }); };
      exports.stackThrows = () => { throw with_({ stack: fail }); };
      exports.causeThrows = () => { throw with_({ cause: fail }); };
      exports.causeLoops = () => { const e = new Error('m'); e.cause = e; throw e; };
      exports.causeProxy = () => { throw new Error('m', { cause: new Proxy({}, { get: fail, has: fail }) }); };
      exports.nameObject = () => { throw with_({ name: () => ({ toString: fail }) }); };
      exports.nameSymbol = () => { throw with_({ name: () => Symbol('n') }); };
      exports.nothing = () => { throw undefined; };
      exports.nil = () => { throw null; };
      exports.proxy = () => { throw new Proxy({}, { get: fail, getPrototypeOf: fail, has: fail, ownKeys: fail }); };
      exports.proxyOfError = () => { throw new Proxy(new Error('m'), { get: fail }); };
      exports.loops = () => { throw new Proxy({}, { getPrototypeOf() { while (true) {} } }); };
      exports.functionThrown = () => { throw Object.assign(() => {}, { toString: fail }); };
      exports.noPrototype = () => { throw Object.create(null); };
      exports.promise = () => { throw Promise.reject(new Error('inner')); };
      exports.rejectedThenable = async () => { throw { then(resolve) { resolve('no'); } }; };
      exports.aggregate = () => Promise.any([Promise.reject(1), Promise.reject(new Error('e'))]);
      exports.control = () => { throw new Error('\u001b[31m\u0000\ud800\n2030-01-01 critical forged'); };
      exports.code = () => { throw Object.assign(new Error('m'), { code: 'out_of_memory', retryable: true, executed: 'no' }); };
  )js",
      {{"nameThrows", "exception: an error whose name cannot be shown: m"},
       {"messageThrows", "exception: Error: its message cannot be shown"},
       {"stackThrows", "exception: Error: m"},
       {"causeThrows", "exception: Error: m"},
       {"causeLoops", "exception: Error: m"},
       {"causeProxy", "exception: Error: m"},
       {"nameObject", "exception: an error whose name cannot be shown: m"},
       {"nameSymbol", "exception: an error whose name cannot be shown: m"},
       {"nothing", "exception: a value that is not an Error was thrown: undefined"},
       {"nil", "exception: a value that is not an Error was thrown: null"},
       {"proxy", "exception: a value that is not an Error was thrown: Proxy({})"},
       {"proxyOfError", "exception: Error: m"},
       {"loops", "exception: a value that is not an Error was thrown: Proxy({})"},
       {"functionThrown", "exception: a value that is not an Error was thrown: { [Function (anonymous)]"},
       {"noPrototype", "exception: a value that is not an Error was thrown: [Object: null prototype] {}"},
       {"promise", "exception: a value that is not an Error was thrown: Promise { <rejected> Error: inner"},
       {"rejectedThenable", "exception: a value that is not an Error was thrown: { then: [Function: then] }"},
       {"aggregate", "exception: AggregateError"},
       {"control", "exception: Error: "},
       {"code", "exception: Error: m"}});
}

TEST_CASE("what a function does after its answer changes neither that answer nor any other") {
  Ring ring(R"js(
      let settle, kept;
      exports.hold = (payload) => new Promise((resolve, reject) => { settle = { resolve, reject }; });
      exports.again = (payload) => { settle.resolve('first'); settle.resolve('second'); settle.reject(new Error('third')); return 'own'; };
      exports.change = () => { kept = { value: 'answered' }; setTimeout(() => { kept.value = 'changed'; }, 0); return kept; };
      exports.kept = () => kept;
  )js");
  for (int round = 0; round < 3; ++round) {
    Calls calls(ring.client());
    const auto held = calls.start({"hostile", "hold"});
    CHECK(ring.outcome_of("again") == "\"own\"");
    CHECK(outcome(calls.wait_for(held)) == "\"first\"");
    CHECK(ring.outcome_of("again") == "\"own\"");
  }
  CHECK(ring.outcome_of("change") == R"({"value":"answered"})");
  ring.finish();
}

}  // namespace
}  // namespace holdfast::test
