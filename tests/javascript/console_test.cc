// The console as modules see it: what it writes, and that logging never harms the call that logs.
#include <doctest/doctest.h>

#include <regex>
#include <string>
#include <vector>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::test {
namespace {

struct Line {
  ipc::LogLevel level;
  std::string text;
  bool operator==(const Line&) const = default;
};

[[maybe_unused]] doctest::String toString(const Line& line) {
  return (std::string(to_string(line.level)) + ": " + line.text).c_str();
}

constexpr auto kDebug = ipc::LogLevel::debug;
constexpr auto kInfo = ipc::LogLevel::info;
constexpr auto kWarning = ipc::LogLevel::warning;
constexpr auto kError = ipc::LogLevel::error;

struct Logged {
  std::string outcome;
  std::vector<Line> lines;
};

// Runs the body of a function in both profiles and returns what it logs, which must be the same. Durations are replaced
// by 0ms.
Logged logged_by(const std::string& body) {
  static const std::regex kDuration("[0-9.]+ms");
  std::vector<Logged> all;
  for (const char* profile : {"jit", "strict"}) {
    Daemon daemon({.modules = {{"talker", "exports.f = async (payload, context) => {" + body + "};"}},
                   .flags = {"--profile", profile, "--log-level", "off", "--stretch", "20s"}});
    ipc::Client client = daemon.connect();
    Logged& logged = all.emplace_back();
    const CallTo to{"talker", "f"};
    const ipc::Answer answer =
        client.call(to.request(), {.on_log = [&](const ipc::LogRecord& line) {
                      logged.lines.push_back({line.level, std::regex_replace(line.text, kDuration, "0ms")});
                    }});
    logged.outcome = outcome(answer);
    daemon.stop();
  }
  CHECK(all[0].outcome == all[1].outcome);
  CHECK(all[0].lines == all[1].lines);
  return all[0];
}

std::vector<std::string> texts_of(const Logged& logged) {
  std::vector<std::string> texts;
  for (const Line& line : logged.lines) texts.push_back(line.text);
  return texts;
}

using Texts = std::vector<std::string>;

TEST_CASE("each method of the console has its level") {
  const Logged logged = logged_by(R"js(
      for (const name of ['debug', 'log', 'info', 'dirxml', 'warn', 'error']) console[name](name, 1);
      console.trace('way'); console.dir({ a: 1 }); console.assert(false); console.table(1);
  )js");
  CHECK(logged.outcome == "null");
  REQUIRE(logged.lines.size() == 10);
  CHECK(logged.lines[6].text.starts_with("Trace: way\n    at exports.f (talker-v1.js:"));
  CHECK(logged.lines[6].text.find("holdfast:") == std::string::npos);
  std::vector<Line> lines = logged.lines;
  lines[6].text = "";
  CHECK(lines == std::vector<Line>{{kDebug, "debug 1"},
                                   {kInfo, "log 1"},
                                   {kInfo, "info 1"},
                                   {kInfo, "dirxml 1"},
                                   {kWarning, "warn 1"},
                                   {kError, "error 1"},
                                   {kDebug, ""},
                                   {kInfo, "{ a: 1 }"},
                                   {kError, "Assertion failed"},
                                   {kInfo, "1"}});
}

TEST_CASE("values are formatted as Node formats them") {
  CHECK(texts_of(logged_by(R"js(
      console.log();
      console.log('%s is %d years, %i, %f, %j %o %% %c.', 'Ann', 42.5, 42.5, '1.5', { a: 1 }, [1], 'color: red', 'rest');
      console.log('100%', 1, -0, 7n, null, undefined, Symbol('s'), NaN, true);
      console.log({ a: { b: { c: { d: 1 } } } }, [1, , 3], ['x'], new Map([['k', { v: 1 }]]), new Set([1]));
      console.log(class A {}, class B extends Array {}, function f() {}, () => {}, new (class Foo { x = 1; })());
      console.log(Object.create(null), new Uint8Array(2), new Date(0), /x/g, new WeakMap(), [undefined, null]);
      const round = {}; round.self = round; console.log(round);
      const failed = Promise.reject(5); failed.catch(() => {});
      console.log(Promise.resolve(1), failed, new Promise(() => {}));
      console.log(new Map([[1, 2]]).entries(), new Set([3]).values());
      console.log(new URLSearchParams('a=1&b=2'), { get x() { return 1; }, set y(v) {} });
      console.log('%s', 'only', 'more', 1);
      console.log(Object.assign([1, 2], { extra: true, [Symbol('s')]: 1 }), Object.assign(new Uint8Array(1), { extra: 1 }));
      console.log(`${Object.getOwnPropertyDescriptors}`, Object.keys(Object.getOwnPropertyDescriptors([1])));
  )js")) ==
        Texts{"", "Ann is 42.5 years, 42, 1.5, {\"a\":1} [ 1, [length]: 1 ] % . rest",
              "100% 1 -0 7n null undefined Symbol(s) NaN true",
              "{ a: { b: { c: [Object] } } } [ 1, <1 empty item>, 3 ] [ 'x' ] Map(1) { 'k' => { v: 1 } } Set(1) { 1 }",
              "[class A] [class B extends Array] [Function: f] [Function (anonymous)] Foo { x: 1 }",
              "[Object: null prototype] {} Uint8Array(2) [ 0, 0 ] 1970-01-01T00:00:00.000Z /x/g WeakMap { <items "
              "unknown> } [ undefined, null ]",
              "<ref *1> { self: [Circular *1] }", "Promise { 1 } Promise { <rejected> 5 } Promise { <pending> }",
              "[Map Entries] { [ 1, 2 ] } [Set Iterator] { 3 }",
              "URLSearchParams { 'a' => '1', 'b' => '2' } { x: [Getter], y: [Setter] }", "only more 1",
              "[ 1, 2, extra: true, Symbol(s): 1 ] Uint8Array(1) [ 0, extra: 1 ]",
              "function getOwnPropertyDescriptors() { [native code] } [ '0', 'length' ]"});
}

TEST_CASE(
    "an error is shown with the author's frames, its cause and its properties, and without the runtime's frames") {
  const Logged logged = logged_by(R"js(
      const error = new TypeError('outer', { cause: new Error('inner') });
      error.code = 'E_X';
      console.error('failed:', error);
      try { new URL('nope'); } catch (invalid) { console.error(invalid); }
  )js");
  REQUIRE(logged.lines.size() == 2);
  CHECK(logged.lines[0].text.starts_with("failed: TypeError: outer\n    at exports.f (talker-v1.js:2:21) {\n"));
  CHECK(contains(logged.lines[0].text, "code: 'E_X'"));
  CHECK(contains(logged.lines[0].text, "[cause]: Error: inner\n"));
  CHECK(contains(logged.lines[1].text, "at exports.f (talker-v1.js:"));
  CHECK_FALSE(contains(logged.lines[1].text, "holdfast:"));
}

TEST_CASE("console.table draws what Node draws") {
  const Texts texts = texts_of(logged_by(R"js(
      console.table([{ a: 1, b: 'x' }, { a: 2, c: true }]);
      console.table([{ a: 1, b: 2 }], ['b']);
      console.table(new Map([['k', 1]]));
      console.table([7, { x: 1 }]);
  )js"));
  REQUIRE(texts.size() == 4);
  CHECK(texts[0] ==
        "┌─────────┬───┬─────┬──────┐\n"
        "│ (index) │ a │ b   │ c    │\n"
        "├─────────┼───┼─────┼──────┤\n"
        "│ 0       │ 1 │ 'x' │      │\n"
        "│ 1       │ 2 │     │ true │\n"
        "└─────────┴───┴─────┴──────┘");
  CHECK(contains(texts[1], "│ (index) │ b │\n"));
  CHECK(contains(texts[2], "│ (iteration index) │ Key │ Values │\n"));
  CHECK(contains(texts[3], "│ (index) │ x │ Values │\n"));
}

TEST_CASE("counts and timers and groups work as the Console Standard specifies") {
  const Logged logged = logged_by(R"js(
      console.count(); console.count('c'); console.count(); console.countReset(); console.count();
      console.countReset('none'); console.timeEnd('none');
      console.time('t'); console.time('t'); console.timeLog('t', 'more'); console.timeEnd('t'); console.timeEnd('t');
      console.group('outer', 1); console.log('in\nside'); console.groupCollapsed(); console.warn('deep');
      console.groupEnd(); console.groupEnd(); console.groupEnd(); console.log('out');
  )js");
  CHECK(logged.lines == std::vector<Line>{{kInfo, "default: 1"},
                                          {kInfo, "c: 1"},
                                          {kInfo, "default: 2"},
                                          {kInfo, "default: 1"},
                                          {kWarning, "Warning: Count for 'none' does not exist"},
                                          {kWarning, "Warning: No such label 'none' for console.timeEnd()"},
                                          {kWarning, "Warning: Label 't' already exists for console.time()"},
                                          {kInfo, "t: 0ms more"},
                                          {kInfo, "t: 0ms"},
                                          {kWarning, "Warning: No such label 't' for console.timeEnd()"},
                                          {kInfo, "outer 1"},
                                          {kInfo, "  in\n  side"},
                                          {kWarning, "    deep"},
                                          {kInfo, "out"}});
}

TEST_CASE("a group that a call leaves open does not indent the lines of others") {
  Daemon daemon({.modules = {{"talker", R"js(
      exports.open = () => { console.group('g'); throw new Error('in the middle'); };
      exports.next = () => console.log('next');
  )js"}}});
  ipc::Client client = daemon.connect();
  CHECK(code_of(call(client, {"talker", "open"})) == "exception");
  std::string text;
  const CallTo to{"talker", "next"};
  client.call(to.request(), {.on_log = [&](const ipc::LogRecord& line) { text = line.text; }});
  CHECK(text == "next");
}

TEST_CASE("the target of a Proxy is logged, and none of its traps is run") {
  const Logged logged = logged_by(R"js(
      let traps = 0;
      const handler = new Proxy({}, { get() { traps++; } });
      console.log(new Proxy({ a: 1 }, handler), new Proxy(new Proxy([2], handler), handler));
      const { proxy, revoke } = Proxy.revocable({}, handler);
      revoke();
      console.log(proxy, traps);
  )js");
  CHECK(logged.lines == std::vector<Line>{{kInfo, "Proxy({ a: 1 }) Proxy([ 2 ])"}, {kInfo, "<Revoked Proxy> 0"}});
}

TEST_CASE("logging never throws into the call and no line is longer than 8 kB") {
  const Logged logged = logged_by(R"js(
      const bad = { get a() { throw new Error('no'); } };
      const proxy = new Proxy({}, { get() { throw 1; }, ownKeys() { throw 2; }, getPrototypeOf() { throw 3; } });
      console.log(bad, proxy); console.table([bad]); console.table(proxy); console.dir(proxy);
      console.log({ [Symbol.for('nodejs.util.inspect.custom')]() { throw new Error('custom'); } });
      console.log('%s %d %j', { toString() { throw 1; } }, { valueOf() { throw 1; } }, bad);
      console.log({ get [Symbol.toStringTag]() { throw 1; } });
      const deep = {}; for (let i = 0, at = deep; i < 1e5; i++) at = at.a = {};
      console.dir(deep, { depth: Infinity });
      console.log('z'.repeat(2 ** 28)); console.log('%s', 'z'.repeat(2 ** 28), 'y'.repeat(1e6));
      console.log(Array(1e6).fill('\u20ac'.repeat(1000)));
      console.log(new Uint8Array(3e7)); console.log(new ArrayBuffer(1e6)); console.log('%s %j', new Float64Array(1e6));
      console.dir({}, { get depth() { throw 1; } });
      Error.prepareStackTrace = () => { throw 1; }; console.trace('here'); delete Error.prepareStackTrace;
      const error = new Error('e'); Object.defineProperty(error, 'stack', { get() { throw 1; } }); console.log(error);
      Array.prototype.push = () => { throw 1; }; Map.prototype.get = () => { throw 2; };
      String.prototype.indexOf = () => { throw 3; }; Reflect.apply = () => { throw 4; };
      console.log('still', 1, { a: [1] }); console.count('l'); console.group('g'); console.log('in'); console.groupEnd();
      return 'done';
  )js");
  CHECK(logged.outcome == R"("done")");
  CHECK(logged.lines.size() == 21);
  for (const Line& line : logged.lines) CHECK(line.text.size() <= 8 << 10);
}

TEST_CASE("the console is a namespace as Web IDL has it") {
  CHECK(logged_by(R"js(
      const descriptor = (name) => Object.getOwnPropertyDescriptor(console, name);
      const wrong = [];
      for (const name of Object.keys(console)) {
        const { value, writable, enumerable, configurable } = descriptor(name);
        if (!writable || !enumerable || !configurable || value.name !== name || value.length !== 0) wrong.push(name);
        try { new value(); wrong.push(`new ${name}`); } catch {}
      }
      for (const name of ['assert', 'debug', 'dir', 'dirxml', 'count', 'countReset', 'error', 'group', 'groupCollapsed',
        'groupEnd', 'info', 'log', 'table', 'time', 'timeEnd', 'timeLog', 'trace', 'warn']) {
        if (typeof console[name] !== 'function') wrong.push(`no ${name}`);
      }
      const prototype = Object.getPrototypeOf(console);
      if (prototype === Object.prototype || Object.getPrototypeOf(prototype) !== Object.prototype) wrong.push('prototype');
      if (Object.prototype.toString.call(console) !== '[object console]') wrong.push('tag');
      if (Object.getOwnPropertyDescriptor(globalThis, 'console').enumerable) wrong.push('enumerable');
      for (const name of ['count', 'countReset', 'time', 'timeLog', 'timeEnd']) {
        try { console[name]({ toString() { throw new RangeError('label'); } }); wrong.push(`${name} label`); } catch {}
      }
      try { console.table([1], 5); wrong.push('table'); } catch {}
      return wrong;
  )js")
            .outcome == "[]");
}

}  // namespace
}  // namespace holdfast::test
