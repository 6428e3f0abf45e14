// A module's environment: console, timers, microtasks, its context; and what it lacks.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::test {
namespace {

using nlohmann::json;

// Runs `code`, the body of an async function with the parameters payload and context, and returns its result.
std::string evaluated_in_a_call(const std::string& code, const std::string& prologue = "") {
  Daemon daemon({.modules = {{"module", prologue + "\nexports.f = async (payload, context) => {" + code + "};"}}});
  ipc::Client client = daemon.connect();
  return outcome(call(client, {"module", "f", R"({"given":true})"}));
}

// --- console -------------------------------------------------------------------------------------------------------

TEST_CASE("what a module writes to its console is in the log, with level, module and call") {
  Daemon daemon({.modules = {{"talker", R"js(
      console.log('loading');
      exports.f = (payload, context) => {
        console.debug('a debug line'); console.log('an info line'); console.info('another'); console.warn('a warning');
        console.error('an error', new TypeError('inside'), { a: [1] }, undefined, null, 7n, Symbol('s'));
        return context.requestId;
      };
  )js"}},
                 .flags = {"--log-level", "debug"}});
  ipc::Client client = daemon.connect();
  const std::string id = json::parse(outcome(call(client, {"talker", "f"})));
  REQUIRE(daemon.logged("an error"));
  const std::string log = daemon.log();
  CHECK(contains(log, "info talker@v1: loading"));
  CHECK(contains(log, "debug talker@v1 call " + id + ": a debug line"));
  CHECK(contains(log, "info talker@v1 call " + id + ": an info line"));
  CHECK(contains(log, "warning talker@v1 call " + id + ": a warning"));
  CHECK(contains(log, "error talker@v1 call " + id + ": an error TypeError: inside"));
  CHECK(contains(log, "{ a: [ 1 ] } undefined null 7n Symbol(s)"));
  daemon.stop();
}

TEST_CASE("lines below --log-level are not in the log") {
  Daemon daemon({.modules = {{"talker", "exports.f = () => { console.log('quiet'); console.error('loud'); };"}},
                 .flags = {"--log-level", "error"}});
  ipc::Client client = daemon.connect();
  call(client, {"talker", "f"});
  CHECK(daemon.logged("loud"));
  CHECK_FALSE(contains(daemon.log(), "quiet"));
}

TEST_CASE("no module can forge a line of the log or send control characters to a terminal") {
  Daemon daemon({.modules = {{"forger", R"js(
      exports.f = () => console.log('\u001b[31mred\u009b0m\rnew\n2030-01-01 critical forged\u0000\u007f\ud800end');
  )js"}}});
  ipc::Client client = daemon.connect();
  call(client, {"forger", "f"});
  REQUIRE(daemon.logged("end"));
  const std::string log = daemon.log();
  CHECK(contains(log, R"(: \x1b[31mred)"));
  CHECK(contains(log, R"(\x0dnew\n2030-01-01 critical forged\x00\x7f)"));
  CHECK_FALSE(contains(log, "\x1b"));
  CHECK_FALSE(contains(log, "\xc2\x9b"));
}

TEST_CASE("a module that floods the log is cut short, and is answered all the same; others are served and heard") {
  Daemon daemon({.modules = {{"flood", R"js(
      exports.f = () => { for (let i = 0; i < 100000; i++) console.log('x'.repeat(1000)); return 'done'; };
      exports.long = () => console.log('L'.repeat(10000000) + 'END');
  )js"},
                             {"other", "exports.f = () => console.log('still heard');"}},
                 .flags = {"--stretch", "30s"}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  const auto flood = calls.start({"flood", "f"});
  const auto line = calls.start({"flood", "long"});
  CHECK(outcome(call(client, {"other", "f"})) == "null");
  CHECK(daemon.logged("still heard"));
  CHECK(outcome(calls.wait_for(flood)) == "\"done\"");
  CHECK(outcome(calls.wait_for(line)) == "null");
  CHECK(daemon.log().size() < std::size_t{4} << 20);
  daemon.stop();
}

// --- timers and microtasks -----------------------------------------------------------------------------------------

TEST_CASE("timers fire in order, pass their arguments, repeat and can be cleared") {
  CHECK(evaluated_in_a_call(R"js(
      const seen = [];
      await new Promise((resolve) => {
        setTimeout((a, b) => seen.push(`late ${a}${b}`), 20, 'x', 'y');
        setTimeout(() => seen.push('soon'), 1);
        setTimeout(() => seen.push('now'));
        clearTimeout(setTimeout(() => seen.push('never'), 5));
        let count = 0;
        const interval = setInterval((by) => {
          count += by;
          if (count === 6) { clearInterval(interval); seen.push('thrice'); }
        }, 2, 2);
        setTimeout(resolve, 40);
        clearTimeout(4711); clearTimeout(undefined); clearTimeout({}); clearInterval(NaN);
      });
      return seen;
  )js") == R"(["now","soon","thrice","late xy"])");
}

TEST_CASE("microtasks run before timers, in the order in which they were queued") {
  CHECK(evaluated_in_a_call(R"js(
      const seen = [];
      setTimeout(() => seen.push('timer'), 0);
      queueMicrotask(() => seen.push('first'));
      Promise.resolve().then(() => seen.push('second'));
      queueMicrotask(() => seen.push('third'));
      seen.push('at once');
      await new Promise((resolve) => setTimeout(resolve, 5));
      return seen;
  )js") == R"(["at once","first","second","third","timer"])");
}

TEST_CASE("a callback that is no function is a TypeError") {
  CHECK(contains(evaluated_in_a_call("setTimeout('alert(1)', 1);"),
                 "exception: TypeError: setTimeout: the callback must be a function"));
  CHECK(contains(evaluated_in_a_call("setInterval();"), "exception: TypeError: setInterval"));
  CHECK(contains(evaluated_in_a_call("queueMicrotask({});"), "exception: TypeError: queueMicrotask"));
}

TEST_CASE("what is thrown in a timer, or rejected without a handler, is logged, and the module lives on") {
  Daemon daemon({.modules = {{"careless", R"js(
      exports.timer = () => { setTimeout(() => { throw new Error('in a timer'); }, 0); };
      exports.rejection = () => { Promise.reject(new Error('unheard')); };
      exports.microtask = () => { queueMicrotask(() => { throw new Error('in a microtask'); }); };
      exports.handled = async () => { const p = Promise.reject(new Error('handled')); try { await p; } catch {} };
      exports.ping = () => 'pong';
  )js"}}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"careless", "timer"})) == "null");
  CHECK(outcome(call(client, {"careless", "rejection"})) == "null");
  CHECK(outcome(call(client, {"careless", "microtask"})) == "null");
  CHECK(outcome(call(client, {"careless", "handled"})) == "null");
  CHECK(daemon.logged("uncaught in a timer: Error: in a timer"));
  CHECK(daemon.logged("unhandled promise rejection: Error: unheard"));
  CHECK(outcome(call(client, {"careless", "ping"})) == "\"pong\"");
  CHECK_FALSE(contains(daemon.log(), "Error: handled"));
  CHECK(worker_of(client, "careless").calls_done == 5);
}

// --- what is missing ------------------------------------------------------------------------------------------------

TEST_CASE("require fails with an error that says how to bundle") {
  const std::string answer = evaluated_in_a_call("return require('fs').readFileSync('/etc/passwd');");
  CHECK(contains(answer, "exception: Error: Cannot find module 'fs'"));
  CHECK(contains(answer, "esbuild"));
  CHECK(contains(evaluated_in_a_call("require({ toString() { throw 1; } });"), "exception: Error: Cannot find module"));
  CHECK(evaluated_in_a_call("try { require('x'); } catch (error) { return error.code; }") == "\"MODULE_NOT_FOUND\"");
}

TEST_CASE("eval and new Function are refused, by whatever way they are reached") {
  for (const std::string code :
       {"return eval('1 + 1');", "return (0, eval)('1 + 1');", "return new Function('return 1')();",
        "return Function('return 1')();", "return (() => {}).constructor('return 1')();",
        "return (async () => {}).constructor('return 1')();", "return (function* () {}).constructor('return 1')();",
        "return (async function* () {}).constructor('return 1')();",
        "return Reflect.construct(Function, ['return 1'])();", "return require.constructor('return 1')();",
        "return console.log.constructor('return 1')();"}) {
    CAPTURE(code);
    CHECK(contains(evaluated_in_a_call(code), "exception: EvalError: eval and new Function are off"));
  }
}

TEST_CASE("import() is refused") { CHECK(contains(evaluated_in_a_call("return await import('fs');"), "exception: ")); }

TEST_CASE("WebAssembly runs") {
  // (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add)
  CHECK(evaluated_in_a_call(R"js(
      const bytes = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 7, 1, 96, 2, 127, 127, 1, 127, 3, 2, 1, 0, 7, 7, 1,
                                    3, 97, 100, 100, 0, 0, 10, 9, 1, 7, 0, 32, 0, 32, 1, 106, 11]);
      const { instance } = await WebAssembly.instantiate(bytes);
      return instance.exports.add(40, 2);
  )js") == "42");
}

TEST_CASE("no global leads to the host, and there is no shared memory") {
  CHECK(evaluated_in_a_call(R"js(
      return ['fs', 'require', 'module', 'exports', 'Buffer', 'XMLHttpRequest', 'WebSocket', 'Deno',
              'Bun', 'importScripts', 'load', 'print', 'read', 'quit', 'd8', 'host', 'runtime',
              'SharedArrayBuffer', 'gc'].filter((name) => name in globalThis);
  )js") == "[]");
}

TEST_CASE("a function gets its payload and a context, and this is its module's exports") {
  const auto answer = evaluated_in_a_call(R"js(
      return { payload, context: { ...context }, keys: Object.keys(context), own: this === undefined };
  )js");
  const json parsed = json::parse(answer);
  CHECK(parsed.at("payload") == json{{"given", true}});
  CHECK(parsed.at("context").at("module") == "module");
  CHECK(parsed.at("context").at("version") == "v1");
  CHECK(parsed.at("context").at("function") == "f");
  CHECK(parsed.at("context").at("requestId").is_string());
  CHECK(evaluated_in_a_call("return exports.g();", "exports.g = function () { return this === exports; };") == "true");
}

TEST_CASE("modules are strict if they say so and their top level is private") {
  CHECK(evaluated_in_a_call("return typeof undeclared;", "var mine = 1;") == "\"undefined\"");
  CHECK(evaluated_in_a_call("return 'mine' in globalThis;", "var mine = 1;") == "false");
  CHECK(evaluated_in_a_call("return globalThis === self && self.self === self;") == "true");
}

TEST_CASE("dates are in UTC, and Intl works without files") {
  CHECK(evaluated_in_a_call("return [new Date(0).getTimezoneOffset(), new Date(2024, 0, 1).toISOString()];") ==
        R"([0,"2024-01-01T00:00:00.000Z"])");
  CHECK(evaluated_in_a_call("return new Intl.NumberFormat('de-DE').format(1234567.891);") == "\"1.234.567,891\"");
  CHECK(evaluated_in_a_call("return new Intl.DateTimeFormat('en-GB', { timeZone: 'Europe/Berlin', timeStyle: 'short' "
                            "}).format(new Date(0));") == "\"01:00\"");
  CHECK(evaluated_in_a_call("return ['z', 'a', '\\u00e4'].sort(new Intl.Collator('de').compare).join('');") ==
        "\"a\xC3\xA4z\"");
  CHECK(evaluated_in_a_call("return new Date(0).toLocaleString('ja-JP', { timeZone: 'Asia/Tokyo' });") ==
        "\"1970/1/1 9:00:00\"");
}

TEST_CASE("the clock is coarse, and goes on") {
  CHECK(evaluated_in_a_call(
            "const start = Date.now(); while (Date.now() === start); return Date.now() - start >= 1;") == "true");
}

// --- modules that break their own world ----------------------------------------------------------------------------

TEST_CASE("calls of a module that spoils every global are answered with the right result or an error of their own") {
  const char* const kSpoilers[] = {
      "Promise.prototype.then = function () { throw new Error('then'); };",
      "Promise.resolve = () => { throw new Error('resolve'); }; globalThis.Promise = undefined;",
      "JSON.stringify = () => { throw new Error('stringify'); }; JSON.parse = () => 'parsed'; globalThis.JSON = null;",
      "Object.defineProperty(Object.prototype, 'then', { get() { throw new Error('getter'); }, configurable: true });",
      "Array.prototype[Symbol.iterator] = () => { throw new Error('iterator'); };",
      "Array.prototype.push = () => { throw new Error('push'); }; Array.prototype.map = null;",
      "String.prototype.indexOf = () => 0; String.prototype.slice = () => 'sliced'; RegExp.prototype.exec = () => "
      "null;",
      "Object.defineProperty(Array.prototype, '0', { set() { throw new Error('setter'); }, get() { return 'got'; } });",
      "Object.setPrototypeOf(Object.prototype, null); Function.prototype.call = Function.prototype.apply = null;",
      "Symbol.prototype[Symbol.toPrimitive] = null; Object.getPrototypeOf = Reflect.apply = null;",
      "globalThis.Error = function () { throw 1; }; Error.prototype = null; globalThis.Set = null; Set = null;",
      "for (const name of Object.getOwnPropertyNames(globalThis)) { try { delete globalThis[name]; } catch {} }",
      "Object.freeze(Object.prototype); Object.freeze(Array.prototype); Object.freeze(Function.prototype);",
      "Error.prepareStackTrace = () => { throw new Error('prepare'); }; Error.stackTraceLimit = -1;",
      "Error.stackTraceLimit = { valueOf() { throw 1; } }; Error.captureStackTrace = null;",
      "Object.defineProperty(module, 'exports', { value: new Proxy(exports, { get(t, k) { return t[k]; } }) });",
  };
  std::vector<Module> modules;
  for (const char* spoiler : kSpoilers) {
    modules.push_back({fmt::format("m{}", modules.size()), fmt::format(R"js(
        {}
        exports.value = () => 7;
        exports.wait = async () => {{ await null; return 8; }};
        exports.fail = () => {{ throw new TypeError('mine'); }};
        exports.cycle = () => {{ const a = {{}}; a.a = a; return a; }};
    )js",
                                                                       spoiler)});
  }
  Daemon daemon({.modules = modules});
  ipc::Client client = daemon.connect();
  for (std::size_t i = 0; i < modules.size(); ++i) {
    CAPTURE(std::string(kSpoilers[i]));
    const std::string name = modules[i].name;
    CHECK(outcome(call(client, {name, "value"})) == "7");
    const std::string waited = outcome(call(client, {name, "wait"}));
    CHECK((waited == "8" || contains(waited, "exception: ")));
    CHECK(code_of(call(client, {name, "fail"})) == "exception");
    const std::string cyclic = code_of(call(client, {name, "cycle"}));
    CHECK((cyclic == "not_serializable" || cyclic == "exception"));
    CHECK(worker_of(client, name).calls_done == 4);
  }
  daemon.stop();
}

TEST_CASE("weak references and finalizers work, and garbage is collected") {
  CHECK(evaluated_in_a_call(R"js(
      const registry = new FinalizationRegistry(() => {});
      for (let i = 0; i < 200000; i++) registry.register({ i }, i);
      const weak = new WeakRef({});
      return typeof weak.deref();
  )js") == "\"object\"");
}

TEST_CASE("an exported object with getters and a Proxy for exports are called as JavaScript would") {
  Daemon daemon(
      {.modules = {
           {"getter", "module.exports = { get f() { return () => 'got'; }, get bad() { throw new Error('no'); } };"},
           {"proxy",
            "module.exports = new Proxy({ f: () => 'through' }, { getOwnPropertyDescriptor() { throw new "
            "Error('trap'); } });"},
           {"array", "module.exports = [() => 'element'];"},
           {"function", "module.exports = () => 1; module.exports.f = () => 2;"},
           {"frozen", "module.exports = Object.freeze({ f: () => 3 });"},
           {"class", "module.exports = class { static f() { return 4; } };"}}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"getter", "f"})) == "\"got\"");
  CHECK(outcome(call(client, {"getter", "bad"})) == "exception: Error: no");
  CHECK(outcome(call(client, {"proxy", "f"})) == "exception: Error: trap");
  CHECK(outcome(call(client, {"array", "0"})) == "\"element\"");
  CHECK(outcome(call(client, {"function", "f"})) == "2");
  CHECK(outcome(call(client, {"frozen", "f"})) == "3");
  CHECK(outcome(call(client, {"class", "f"})) == "4");
}

}  // namespace
}  // namespace holdfast::test
