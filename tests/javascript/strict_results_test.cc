// A result that JSON would lose or change is an error that says where it is.
#include <doctest/doctest.h>

#include <string_view>
#include <tuple>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::test {
namespace {

const Module kResults{"results", R"js(
    class Point { x = 1; }
    const cyclic = { a: [{}] };
    cyclic.a[0].b = cyclic;
    const deep = (n) => { let value = 1; while (n-- > 0) value = [value]; return value; };
    const values = {
      function: () => ({ a: { b() {} } }), symbol: () => [Symbol('s')], promise: () => ({ p: Promise.resolve() }),
      map: () => new Map(), set: () => [[new Set()]], instance: () => ({ 'a b': new Point() }), nan: () => NaN,
      infinity: () => [1, -Infinity], negativeZero: () => ({ z: -0 }), hole: () => [1, , 3], undefinedItem: () => [undefined],
      bigint: () => ({ n: 1n }), cycle: () => cyclic, date: () => ({ at: new Date(0) }), regexp: () => /x/, error: () => new Error('x'),
      boxed: () => [new Number(1)], typed: () => ({ t: new Uint8Array(1) }), subclass: () => new (class List extends Array {})(),
      toJson: () => ({ toJSON: () => 1 }), topFunction: () => () => 1, topSymbol: () => Symbol(), deep: () => deep(100000),
      proxy: () => new Proxy({}, { getPrototypeOf() { throw new Error('no'); } }),
    };
    exports.f = (name) => values[name]();
    exports.plain = () => ({
      a: undefined, b: null, c: [0, -1.5, 1e300, true, ''], d: Object.create(null), e: Object.assign(Object.create(null), { x: 1 }), f: deep(500).length,
    });
    exports.polluted = () => {
      Object.prototype.inherited = () => 1;
      try { return { own: 1 }; } finally { queueMicrotask(() => { delete Object.prototype.inherited; }); }
    };
)js"};

std::string place_of(ipc::Client& client, const std::string& name) {
  const ipc::Error error = error_of(call(client, {"results", "f", "\"" + name + "\""}));
  CHECK(error.code == ipc::ErrorCode::not_serializable);
  CHECK(error.executed == ipc::Executed::yes);
  const std::string begin = "the result cannot be expressed as JSON: " + error.detail + " is ";
  CHECK(error.message.substr(0, begin.size()) == begin);
  return error.detail + " " + error.message.substr(begin.size(), error.message.find(" (") - begin.size());
}

TEST_CASE("a value that JSON would lose or change is not_serializable with its path and kind") {
  Daemon daemon({.modules = {kResults}});
  ipc::Client client = daemon.connect();
  const std::vector<std::pair<const char*, const char*>> expected = {
      {"function", "$.a.b a function"},
      {"symbol", "$[0] a symbol"},
      {"promise", "$.p an instance of Promise"},
      {"map", "$ an instance of Map"},
      {"set", "$[0][0] an instance of Set"},
      {"instance", "$[\"a b\"] an instance of Point"},
      {"nan", "$ NaN"},
      {"infinity", "$[1] -Infinity"},
      {"negativeZero", "$.z -0"},
      {"hole", "$[1] undefined"},
      {"undefinedItem", "$[0] undefined"},
      {"bigint", "$.n a BigInt"},
      {"cycle", "$.a[0].b a reference back to an object that contains it"},
      {"date", "$.at an instance of Date"},
      {"regexp", "$ an instance of RegExp"},
      {"error", "$ an instance of Error"},
      {"boxed", "$[0] an instance of Number"},
      {"typed", "$.t an instance of Uint8Array"},
      {"subclass", "$ an instance of List"},
      {"toJson", "$.toJSON a function"},
      {"topFunction", "$ a function"},
      {"topSymbol", "$ a symbol"},
  };
  for (const auto& [name, place] : expected) CHECK(place_of(client, name) == place);
}

TEST_CASE("values that cannot be looked through are not_serializable, and do no harm") {
  Daemon daemon({.modules = {kResults}});
  ipc::Client client = daemon.connect();
  for (const char* name : {"deep", "proxy"}) {
    CAPTURE(std::string_view(name));
    CHECK(code_of(call(client, {"results", "f", "\"" + std::string(name) + "\""})) == "not_serializable");
  }
}

TEST_CASE("what JSON has is passed on as JSON.stringify writes it") {
  Daemon daemon({.modules = {kResults}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"results", "plain"})) ==
        R"({"b":null,"c":[0,-1.5,1e+300,true,""],"d":{},"e":{"x":1},"f":1})");
  CHECK(outcome(call(client, {"results", "polluted"})) == R"({"own":1})");
}

TEST_CASE("in a module that is set to be lenient only JSON.stringify decides") {
  Daemon daemon({.modules = {kResults}, .flags = {"--results", "lenient"}});
  ipc::Client client = daemon.connect();
  const auto lenient = [&](const char* name) {
    return outcome(call(client, {"results", "f", "\"" + std::string(name) + "\""}));
  };
  CHECK(lenient("nan") == "null");
  CHECK(lenient("map") == "{}");
  CHECK(lenient("hole") == "[1,null,3]");
  CHECK(lenient("date") == R"({"at":"1970-01-01T00:00:00.000Z"})");
  CHECK(lenient("toJson") == "1");
  CHECK(code_of(call(client, {"results", "f", "\"bigint\""})) == "not_serializable");
  CHECK(code_of(call(client, {"results", "f", "\"topFunction\""})) == "not_serializable");
}

TEST_CASE("a generator or an iterator in a result is named, with what to do about it") {
  Daemon daemon({.modules = {{"iterators", R"js(
    exports.generator = function* () { yield 1; };
    exports.later = async () => (function* () { yield 1; })();
    exports.array = () => [1, 2].values();
    exports.map = () => new Map([[1, 2]]).entries();
    exports.matches = () => 'ab'.matchAll(/./g);
    exports.headers = () => new Headers([['a', 'b']]).keys();
    exports.nested = () => ({ a: [(function* () { yield 1; })()] });
    exports.nestedAsync = () => ({ a: (async function* () { yield 1; })() });
    exports.nestedPromise = () => ({ a: Promise.resolve(1) });
    exports.notCalled = () => function* () { yield 1; };
    exports.notCalledAsync = () => async function* () { yield 1; };
    exports.subclass = () => Object.create((function* () { yield 1; })());
    exports.stream = async function* () { yield [1].values(); };
    exports.polluted = () => {
      Object.defineProperty(Array.prototype, 2, { get() { throw new Error('the getter was called'); }, configurable: true });
      try { return [1, , 2]; } finally { queueMicrotask(() => { delete Array.prototype[2]; }); }
    };
  )js"}}});
  ipc::Client client = daemon.connect();
  constexpr const char* kArray = "return them as an array, [...values]";
  const std::vector<std::tuple<const char*, const char*, const char*>> expected = {
      {"generator", "$ is a generator (", kArray},
      {"later", "$ is a generator (", "async function*"},
      {"array", "$ is an iterator (", kArray},
      {"map", "$ is an iterator (", kArray},
      {"matches", "$ is an iterator (", kArray},
      {"headers", "$ is an iterator (", kArray},
      {"nested", "$.a[0] is a generator (", kArray},
      {"nestedAsync", "$.a is an async generator (", "only what the function itself returns is sent as a stream"},
      {"nestedPromise", "$.a is an instance of Promise (", "await it"},
      {"notCalled", "$ is a generator function (", "call it"},
      {"notCalledAsync", "$ is an async generator function (", "call it"},
      {"subclass", "$ is a generator (", kArray},
      {"polluted", "$[1] is undefined", ""},
  };
  for (const auto& [function, what, advice] : expected) {
    CAPTURE(function);
    const ipc::Error error = error_of(call(client, {"iterators", function}));
    CHECK(error.code == ipc::ErrorCode::not_serializable);
    CAPTURE(error.message);
    CHECK(contains(error.message, what));
    CHECK(contains(error.message, advice));
  }
  for (const ipc::ResultEncoding encoding : {ipc::ResultEncoding::structured, ipc::ResultEncoding::bytes}) {
    for (const char* function : {"generator", "array", "headers", "nested"}) {
      CAPTURE(function);
      ipc::CallRequest request;
      request.module = "iterators";
      request.version = "v1";
      request.function = function;
      request.result_encoding = encoding;
      const ipc::Error error = error_of(client.call(request));
      CAPTURE(error.message);
      const bool is_bytes = encoding == ipc::ResultEncoding::bytes;
      const bool is_iterator = std::string_view(function) == "array" || std::string_view(function) == "headers";
      const bool is_generator = std::string_view(function) == "generator" || !is_bytes;
      CHECK(contains(error.message, is_generator && !is_iterator ? " is a generator ("
                                    : is_bytes                   ? "$ is another object ("
                                                                 : "$ is an iterator ("));
    }
  }
}

}  // namespace
}  // namespace holdfast::test
