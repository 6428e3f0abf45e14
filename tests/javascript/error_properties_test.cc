// Thrown values as the caller gets them: any value is shown, and an error's own properties are data.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::test {
namespace {

using nlohmann::json;

constexpr const char* kQuotaError = R"js(
    class QuotaError extends Error {
      constructor(text) { super(text); this.name = 'QuotaError'; this.code = 'E_QUOTA'; this.status = 429; }
    }
)js";
const json kQuota = {{"code", "E_QUOTA"}, {"status", 429}};
constexpr const char* kShownQuota = " { code: 'E_QUOTA', status: 429 }";
const std::string kNoError = "a value that is not an Error was thrown: ";

// Throws many values in one daemon. `code` is the body of a function.
class Thrower {
 public:
  explicit Thrower(std::vector<std::string> flags = {})
      : daemon_(
            {.modules = {{"m", "exports.f = (code) => new Function(code)();"}}, .flags = with_eval(std::move(flags))}),
        client_(daemon_.connect()) {}

  ipc::Error thrown_by(const std::string& code) {
    const auto error = error_of(call(client_, {"m", "f", json(code).dump()}));
    CHECK(error.code == ipc::ErrorCode::exception);
    CHECK(error.executed == ipc::Executed::yes);
    return error;
  }
  std::string shown(const std::string& value) {
    const std::string message = thrown_by("throw " + value).message;
    CHECK(message.starts_with(kNoError));
    return message.substr(std::min(kNoError.size(), message.size()));
  }
  std::string properties(const std::string& value) { return thrown_by("throw " + value).properties; }

 private:
  static std::vector<std::string> with_eval(std::vector<std::string> flags) {
    flags.insert(flags.end(), {"--allow-eval", "m", "--stretch", "20s"});
    return flags;
  }

  Daemon daemon_;
  ipc::Client client_;
};

TEST_CASE("a thrown value that is not an Error is shown as the console shows it") {
  for (const char* profile : kProfiles) {
    Thrower thrower({"--profile", profile});
    CHECK(thrower.shown("{ code: 401, summary: { message: 'Unauthorized' } }") ==
          "{ code: 401, summary: { message: 'Unauthorized' } }");
    CHECK(thrower.shown("(() => { const e = { message: 'upstream' }; e.request = { response: e }; return e; })()") ==
          "<ref *1> { message: 'upstream', request: { response: [Circular *1] } }");
    CHECK(thrower.shown("{ id: 10n }") == "{ id: 10n }");
    CHECK(thrower.shown("new Map([['field', 'is empty']])") == "Map(1) { 'field' => 'is empty' }");
    CHECK(thrower.shown("new Set([1, [2]])") == "Set(2) { 1, [ 2 ] }");
    CHECK(contains(thrower.shown("new Response('no', { status: 404 })"), "404"));
    CHECK(thrower.shown("new (class Refusal { why = 'x'; })()") == "Refusal { why: 'x' }");
    CHECK(thrower.shown("new Proxy({ a: 1 }, { get() { throw 1; }, ownKeys() { for (;;); } })") == "Proxy({ a: 1 })");
    CHECK(thrower.shown("(() => { const { proxy, revoke } = Proxy.revocable({}, {}); revoke(); return proxy; })()") ==
          "<Revoked Proxy>");
    CHECK(thrower.shown("{ get a() { throw new Error('no'); }, b: 2 }") == "{ a: [Getter], b: 2 }");
    CHECK(thrower.shown("Symbol('s')") == "Symbol(s)");
    CHECK(thrower.shown("function named() {}") == "[Function: named]");
    CHECK(thrower.shown("undefined") == "undefined");
    CHECK(thrower.shown("null") == "null");
    CHECK(thrower.shown("'plain text'") == "plain text");
    CHECK(thrower.shown("-0") == "-0");
    CHECK(thrower.shown("Promise.resolve(1)") == "Promise { 1 }");
    CHECK(thrower.shown("{ [Symbol.for('nodejs.util.inspect.custom')]() { return 'my own words'; } }") ==
          "my own words");
    CHECK(contains(thrower.shown("{ a: 1, [Symbol.for('nodejs.util.inspect.custom')]() { throw 1; } }"), "a: 1"));
  }
}

TEST_CASE("causes and the errors of an AggregateError are shown as the console shows them, with their properties") {
  Thrower thrower;
  const auto cause = thrower.thrown_by(
      "const e = { message: 'upstream said no' }; e.self = e; throw new Error('outer', { cause: e });");
  CHECK(contains(cause.stack, "{\n  [cause]: <ref *1> { message: 'upstream said no', self: [Circular *1] }\n}"));
  const auto inner =
      thrower.thrown_by("throw new Error('outer', { cause: Object.assign(new Error('inner'), { errno: -2 }) });");
  CHECK(contains(inner.stack, "[cause]: Error: inner\n"));
  CHECK(contains(inner.stack, ") { errno: -2 }\n}"));
  CHECK(inner.properties == "");
  const auto all =
      thrower.thrown_by("throw new AggregateError([new Map([[1, 2n]]), new Proxy([], { get() { throw 1; } })]);");
  CHECK(contains(all.stack, "[errors]: [\n    Map(1) { 1 => 2n },\n    Proxy([])\n  ]"));
  const auto hostile =
      thrower.thrown_by("throw new Error('m', { cause: new Proxy(new Error('below'), { get() { for (;;); } }) });");
  CHECK(contains(hostile.stack, "[cause]: Error: below"));
}

TEST_CASE("own properties of an error reach the caller as data and are shown after the stack") {
  Thrower thrower;
  const auto error = thrower.thrown_by(std::string(kQuotaError) + "throw new QuotaError('too many');");
  CHECK(error.message == "QuotaError: too many");
  CHECK(json::parse(error.properties) == kQuota);
  CHECK(error.stack.ends_with(kShownQuota));
  CHECK(error.detail == "");
  CHECK(thrower.properties("new Error('none')") == "");
  CHECK(thrower.properties("Object.assign(new Error('m'), { code: 'out_of_memory', retryable: true })") ==
        R"({"code":"out_of_memory","retryable":true})");
  CHECK(json::parse(thrower.properties("Object.assign(new Error('m'), { errno: -2, path: '/a\"b', list: [1, undefined, "
                                       "{ deep: null }], nested: { a: { b: [true] } }, '': 1 })")) ==
        json::parse(R"({"errno":-2,"path":"/a\"b","list":[1,null,{"deep":null}],"nested":{"a":{"b":[true]}},"":1})"));
}

TEST_CASE("properties of an error that JSON cannot express are text and those that are not data are left out") {
  Thrower thrower;
  CHECK(
      json::parse(thrower.properties(
          "Object.assign(new Error('m'), { big: 10n, at: new Date(0), map: new Map([[1, 2]]), f() {}, s: Symbol('s'), "
          "nan: NaN, inner: new TypeError('below'), gone: undefined, proxy: new Proxy({ a: 1 }, { get() { throw 1; } "
          "}), "
          "own: new (class Own { a = 1; })() })")) == json({{"big", "10n"},
                                                            {"at", "1970-01-01T00:00:00.000Z"},
                                                            {"map", "Map(1) { 1 => 2 }"},
                                                            {"f", "[Function: f]"},
                                                            {"s", "Symbol(s)"},
                                                            {"nan", "NaN"},
                                                            {"inner", "TypeError: below"},
                                                            {"proxy", "Proxy({ a: 1 })"},
                                                            {"own", "Own { a: 1 }"}}));
  CHECK(thrower.properties(
            "(() => { const e = new Error('m'), o = { n: 1 }; o.self = o; e.o = o; e.me = e; return e; })()") ==
        R"({"o":{"n":1,"self":"[Circular]"},"me":"[Circular]"})");
  CHECK(thrower.properties(
            "Object.defineProperties(new Error('m', { cause: 1 }), { a: { get() { for (;;); }, enumerable: true }, "
            "hidden: { value: 1 }, b: { value: 2, enumerable: true } })") == R"({"b":2})");
  CHECK(
      thrower.properties("Object.assign(new Error('m'), { name: 'N', message: 'M', stack: 'S', cause: 'C', errors: [], "
                         "[Symbol()]: 1 })") == "");
  // A lone surrogate cannot be expressed in UTF-8.
  CHECK(thrower.properties("Object.assign(new Error('m'), { a: '\\ud800', '\\udc00': 1 })") ==
        "{\"a\":\"\xEF\xBF\xBD\",\"\xEF\xBF\xBD\":1}");
}

TEST_CASE("own properties of a thrown object that is not an Error are data too") {
  Thrower thrower;
  CHECK(thrower.properties("{ code: 401, message: 'Unauthorized' }") == R"({"code":401,"message":"Unauthorized"})");
  CHECK(thrower.properties("new (class Refusal { why = 'x'; })()") == R"({"why":"x"})");
  for (const char* value : {"null", "1", "'text'", "[1, 2]", "new Map([[1, 2]])", "() => {}", "new String('abc')"}) {
    CAPTURE(value);
    CHECK(thrower.properties(value) == "");
  }
}

TEST_CASE("the text and the data of a large thrown value are bounded") {
  Thrower thrower;
  const auto shown_and_data = [&](const std::string& code) {
    const auto error = thrower.thrown_by(code);
    CHECK(error.message.size() <= 8 << 10);
    CHECK(error.stack.size() <= 16 << 10);
    CHECK(error.properties.size() <= ipc::kMaxPropertiesBytes);
    if (!error.properties.empty()) CHECK(json::accept(error.properties));
    return error;
  };
  const auto many = shown_and_data(
      "throw Object.assign(new Error('m'), Object.fromEntries(Array.from({ length: 5000 }, (_, i) => ['k' + i, i])));");
  CHECK(json::parse(many.properties).size() == 32);
  CHECK(contains(many.stack, "k31: 31,\n  ..."));
  const auto large = json::parse(
      shown_and_data(
          "throw Object.assign(new Error('m'), { text: 'x'.repeat(1e7), list: Array(1e6).fill(0), after: 1 });")
          .properties);
  CHECK(large["text"].get<std::string>().size() < 1100);
  CHECK(large["list"].is_string());
  CHECK(large["after"] == 1);
  const auto wide = shown_and_data("throw Object.fromEntries(Array.from({ length: 50000 }, (_, i) => ['k' + i, i]));");
  CHECK(contains(wide.message, "{ k0: 0, k1: 1,"));
  shown_and_data("let o = {}; for (let i = 0; i < 1e5; i++) o = { o }; throw o;");
  shown_and_data(
      "let o = {}; for (let i = 0; i < 100; i++) o = { a: o, b: o }; throw Object.assign(new Error('m'), { o });");
  shown_and_data("throw new Uint8Array(1e7);");
  shown_and_data("throw new String('x'.repeat(1e7));");
  shown_and_data(
      "let p = {}; for (let i = 0; i < 1e4; i++) p = new Proxy(p, {}); throw Object.assign(new Error('m'), { p });");
  shown_and_data(
      "const e = (depth) => { const error = new Error(depth); if (depth > 0) for (let i = 0; i < 40; i++) error['p' + "
      "i] = "
      "e(depth - 1); return error; }; throw e(2);");
  shown_and_data("const deep = () => { try { deep(); } catch { throw { a: { b: 1 } }; } }; deep();");
}

TEST_CASE("error properties are the same for functions and promises and streams and unhandled failures and loads") {
  const std::string fails = std::string(kQuotaError) + R"js(
      const fail = () => { throw new QuotaError('too many'); };
      exports.throws = fail;
      exports.rejects = async () => { await null; fail(); };
      exports.streams = async function* () { yield 1; fail(); };
      exports.unheard = () => { Promise.reject(new QuotaError('too many')); return new Promise(() => {}); };
      exports.timer = () => { setTimeout(fail, 1); return new Promise(() => {}); };
  )js";
  Daemon daemon(
      {.modules = {{"m", fails},
                   {"top", std::string(kQuotaError) + "throw new QuotaError('too many');"},
                   {"awaits", std::string(kQuotaError) + "await null; throw new QuotaError('too many'); export {};"}},
       .flags = {"--direct-line"}});
  ipc::Client client = daemon.connect();
  for (const char* function : {"throws", "rejects", "unheard", "timer"}) {
    CAPTURE(function);
    const auto error = error_of(call(client, {"m", function}));
    CHECK(json::parse(error.properties) == kQuota);
    CHECK(contains(error.stack, kShownQuota));
  }
  CHECK(daemon.logged(kShownQuota));
  const CallTo streams{"m", "streams"};
  const auto streamed = error_of(client.call(streams.request(), {.on_chunk = [](const ipc::Result&) {}}));
  CHECK(json::parse(streamed.properties) == kQuota);
  for (const char* module : {"top", "awaits"}) {
    CAPTURE(module);
    const auto error = error_of(call(client, {module, "f"}));
    CHECK(error.code == ipc::ErrorCode::load_failed);
    CHECK(json::parse(error.properties) == kQuota);
  }
  CHECK(error_of(call(client, {"m", "missing"})).properties == "");
  REQUIRE(client.open_line({"m", "v1"}).has_value());
  const auto by_line = call(client, {"m", "throws"});
  CHECK(by_line.usage.attempts == 0);
  CHECK(json::parse(error_of(by_line).properties) == kQuota);
}

TEST_CASE("a module that changes its built-ins changes nothing of others, and its errors are still answers") {
  Daemon daemon({.modules = {{"m", R"js(
      exports.spoil = () => {
        const fail = () => { throw 'spoiled'; };
        for (const type of [Object, Array, Map, Set, String, Error, Function, WeakMap, RegExp, Symbol, JSON, Reflect]) {
          for (const holder of [type, type.prototype ?? type]) {
            for (const name of Object.getOwnPropertyNames(holder)) {
              if (name === 'prototype' || name === 'constructor' || name === 'getOwnPropertyNames') continue;
              try { Object.defineProperty(holder, name, { value: fail, configurable: true, writable: true }); } catch { /* as it is */ }
            }
          }
        }
      };
      class Own extends Error { code = 7; }
      exports.error = () => { throw new Own('m'); };
      exports.object = () => { throw { a: 1 }; };
  )js"}}});
  ipc::Client client = daemon.connect();
  call(client, {"m", "spoil"});
  const auto error = error_of(call(client, {"m", "error"}));
  CHECK(error.code == ipc::ErrorCode::exception);
  CHECK(error.properties == R"({"code":7})");
  const auto object = error_of(call(client, {"m", "object"}));
  CHECK(object.message.starts_with(kNoError));
  CHECK(object.properties == R"({"a":1})");
}

}  // namespace
}  // namespace holdfast::test
