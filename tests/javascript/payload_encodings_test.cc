// Payloads and results that are not JSON: bytes and structured values.
#include <doctest/doctest.h>

#include <string_view>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::test {
namespace {

using ipc::Encoding;
using ipc::ResultEncoding;

const Module kBytes{"bytes", R"js(
    exports.what = (payload) => [Object.prototype.toString.call(payload), payload.length, payload.byteOffset, payload.buffer.byteLength];
    exports.same = (payload) => payload;
    exports.buffer = (payload) => payload.buffer;
    exports.part = (payload) => payload.subarray(1, 3);
    exports.view = (payload) => new DataView(payload.buffer, 2);
    exports.detached = (payload) => { structuredClone(payload.buffer, { transfer: [payload.buffer] }); return payload; };
    exports.sum = (...values) => values.length;
    exports.make = (size) => new Uint8Array(size).fill(7);
    exports.text = () => 'text';
    exports.nothing = () => {};
    exports.keep = (payload) => { (globalThis.kept ??= []).push(payload); return kept.length; };
)js"};

ipc::Answer call_with(ipc::Client& client, const CallTo& to, Encoding encoding,
                      ResultEncoding result = ResultEncoding::automatic) {
  ipc::CallRequest request = to.request();
  request.encoding = encoding;
  request.result_encoding = result;
  return client.call(request);
}

std::string bytes_of(const ipc::Answer& answer) {
  REQUIRE(answer.has_value());
  CHECK(answer->encoding == Encoding::bytes);
  return answer->payload;
}

TEST_CASE("bytes arrive as a Uint8Array of their own and are returned from any view of a buffer") {
  Daemon daemon({.modules = {kBytes}});
  ipc::Client client = daemon.connect();
  const std::string payload(
      "a\0\xFF"
      "b",
      4);
  CHECK(outcome(call_with(client, {"bytes", "what", payload}, Encoding::bytes)) == R"(["[object Uint8Array]",4,0,4])");
  CHECK(outcome(call_with(client, {"bytes", "what", ""}, Encoding::bytes)) == R"(["[object Uint8Array]",0,0,0])");
  CHECK(bytes_of(call_with(client, {"bytes", "same", payload}, Encoding::bytes)) == payload);
  CHECK(bytes_of(call_with(client, {"bytes", "buffer", payload}, Encoding::bytes)) == payload);
  CHECK(bytes_of(call_with(client, {"bytes", "part", payload}, Encoding::bytes)) == payload.substr(1, 2));
  CHECK(bytes_of(call_with(client, {"bytes", "view", payload}, Encoding::bytes)) == payload.substr(2));
  CHECK(bytes_of(call_with(client, {"bytes", "same", ""}, Encoding::bytes)).empty());
  CHECK(bytes_of(call_with(client, {"bytes", "make", "3"}, Encoding::json)) == "\x07\x07\x07");
}

TEST_CASE("the caller may choose the encoding of the result") {
  Daemon daemon({.modules = {kBytes}});
  ipc::Client client = daemon.connect();
  const ipc::Error json = error_of(call_with(client, {"bytes", "make", "3"}, Encoding::json, ResultEncoding::json));
  CHECK(json.code == ipc::ErrorCode::not_serializable);
  CHECK(json.message == "the result cannot be expressed as JSON: $ is an instance of Uint8Array");
  const ipc::Error bytes = error_of(call_with(client, {"bytes", "text"}, Encoding::json, ResultEncoding::bytes));
  CHECK(bytes.code == ipc::ErrorCode::not_serializable);
  CHECK(bytes.message ==
        "the result cannot be expressed as bytes: $ is a string (expected an ArrayBuffer or a view of one)");
  CHECK(bytes_of(call_with(client, {"bytes", "nothing"}, Encoding::json, ResultEncoding::bytes)).empty());
  CHECK(outcome(call_with(client, {"bytes", "text"}, Encoding::bytes)) == "\"text\"");
}

const Module kStructured{"structured", R"js(
    exports.same = (payload) => payload;
    exports.kinds = (payload) => Object.entries(payload).map(([key, value]) => `${key} ${Object.prototype.toString.call(value)}`);
    exports.all = () => {
      const cyclic = { list: [] };
      cyclic.list.push(cyclic);
      return { map: new Map([[1, new Set(['a'])]]), date: new Date(0), big: 12345678901234567890n, nan: NaN, zero: -0, hole: [1, , 3],
               regexp: /x/g, bytes: new Uint8Array([1, 2]), view: new DataView(new ArrayBuffer(3)), error: new RangeError('r'), cyclic, undef: undefined };
    };
    exports.check = ({ map, date, big, nan, zero, hole, regexp, bytes, view, error, cyclic, ...rest }) => [
      map.get(1).has('a'), date.getTime(), big === 12345678901234567890n, Number.isNaN(nan), Object.is(zero, -0), 1 in hole,
      String(regexp), bytes[1], view.byteLength, error instanceof RangeError && error.message, cyclic.list[0] === cyclic, 'undef' in rest,
    ];
    exports.functions = () => ({ a: [() => 1] });
    exports.hopeless = (name) => ({
      blob: () => ({ a: [1, { b: new Blob(['x']) }] }), key: async () => [await crypto.subtle.generateKey({ name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])],
      port: () => new MessageChannel().port1, exception: () => ({ 'the error': new DOMException('x', 'AbortError') }), url: () => new Map([['k', new URL('http://a/')]]),
      mapKey: () => new Map([[1, 2], [Symbol('s'), 3]]), set: () => new Set([1, Promise.resolve()]), cause: () => new Error('e', { cause: { f() {} } }),
      errors: () => new AggregateError([new Error('e', { cause: new Headers() })]), detached: () => { const bytes = new Uint8Array(8); structuredClone(0, { transfer: [bytes.buffer] }); return { bytes }; },
      proxy: () => [, new Proxy({}, {})], sparse: () => { const a = []; a[4e9] = new Event('x'); return a; }, named: () => Object.assign([1], { more: new Event('x') }),
      subclass: () => new (class Own extends EventTarget {})(), getter: () => ({ get a() { throw new RangeError('own'); } }),
    })[name]();
    // Errors with what V8's format keeps of them, and with what is stored after the value.
    exports.causes = () => { const shared = { at: new Date(1) }; return [new TypeError('t', { cause: new RangeError('r', { cause: shared }) }), shared, Object.assign(new Error('bare'), { cause: 1 })]; };
    exports.cycle = () => { const error = new Error('own'); error.cause = { error, list: [new RangeError('r', { cause: error })] }; return new Map([['error', error], ['list', error.cause.list]]); };
    exports.aggregate = () => { const shared = new TypeError('t', { cause: 7 }), error = new AggregateError([shared, 'text'], 'many', { cause: shared }); error.errors.push(error); return { shared, error }; };
    const show = (error) => [Object.getPrototypeOf(error).constructor.name, error.message, Object.keys(error).length, error.stack.split('\n')[0]];
    exports.showCauses = ([error, shared, bare]) => [show(error), show(error.cause), error.cause.cause === shared, shared.at.getTime(), bare.cause];
    exports.showCycle = (map) => { const error = map.get('error'), { cause } = error; return [show(error), cause.error === error, cause.list === map.get('list'), cause.list[0].cause === error]; };
    exports.showAggregate = ({ shared, error }) => [error instanceof AggregateError, show(error), error.cause === shared, error.errors[0] === shared, error.errors[1], error.errors[2] === error, shared.cause];
    exports.large = (size) => 'x'.repeat(size);
    exports.sum = (a, b, context) => [a.size + b.size, context.function];
    exports.pair = () => [new Set([1]), new Set([1, 2])];
)js"};

TEST_CASE("structured values keep what JSON cannot express in both directions") {
  for (const char* profile : {"jit", "strict"}) {
    CAPTURE(std::string_view(profile));
    Daemon daemon({.modules = {kStructured}, .flags = {"--profile", profile}});
    ipc::Client client = daemon.connect();
    const ipc::Answer all = call_with(client, {"structured", "all"}, Encoding::json, ResultEncoding::structured);
    REQUIRE(all.has_value());
    CHECK(all->encoding == Encoding::structured);
    CHECK(outcome(call_with(client, {"structured", "check", all->payload}, Encoding::structured,
                            ResultEncoding::json)) == R"([true,0,true,true,true,false,"/x/g",2,3,"r",true,true])");
    // A structured payload can be returned as a structured result.
    const ipc::Answer same = call_with(client, {"structured", "same", all->payload}, Encoding::structured);
    REQUIRE(same.has_value());
    CHECK(same->encoding == Encoding::structured);
    CHECK(outcome(call_with(client, {"structured", "check", same->payload}, Encoding::structured,
                            ResultEncoding::json)) == R"([true,0,true,true,true,false,"/x/g",2,3,"r",true,true])");
    const ipc::Answer pair = call_with(client, {"structured", "pair"}, Encoding::json, ResultEncoding::structured);
    REQUIRE(pair.has_value());
    CallTo sum{"structured", "sum", pair->payload};
    sum.arguments = ipc::ArgumentStyle::positional;
    CHECK(outcome(call_with(client, sum, Encoding::structured, ResultEncoding::json)) == R"([3,"sum"])");
  }
}

TEST_CASE("errors keep their causes and the errors of an AggregateError even with cycles") {
  for (const char* profile : {"jit", "strict"}) {
    CAPTURE(std::string_view(profile));
    Daemon daemon({.modules = {kStructured}, .flags = {"--profile", profile}});
    ipc::Client client = daemon.connect();
    const auto shown = [&](const std::string& made, const std::string& show) {
      const ipc::Answer first = call_with(client, {"structured", made}, Encoding::json, ResultEncoding::structured);
      REQUIRE(first.has_value());
      // A round trip: the value is written as it was read.
      const ipc::Answer again = call_with(client, {"structured", "same", first->payload}, Encoding::structured);
      REQUIRE(again.has_value());
      return outcome(
          call_with(client, {"structured", show, again->payload}, Encoding::structured, ResultEncoding::json));
    };
    CHECK(shown("causes", "showCauses") ==
          R"([["TypeError","t",0,"TypeError: t"],["RangeError","r",0,"RangeError: r"],true,1,1])");
    CHECK(shown("cycle", "showCycle") == R"([["Error","own",0,"Error: own"],true,true,true])");
    CHECK(shown("aggregate", "showAggregate") ==
          R"([true,["AggregateError","many",0,"AggregateError: many"],true,true,"text",true,7])");
  }
}

TEST_CASE("what a structured value cannot carry is an error with its path and never an empty object") {
  for (const char* profile : {"jit", "strict"}) {
    CAPTURE(std::string_view(profile));
    Daemon daemon({.modules = {kStructured}, .flags = {"--profile", profile}});
    ipc::Client client = daemon.connect();
    const std::vector<std::pair<std::string, std::string>> hopeless = {
        {"blob", "$.a[1].b is an instance of Blob"},
        {"key", "$[0] is an instance of CryptoKey"},
        {"port", "$ is an instance of MessagePort"},
        {"exception", "$[\"the error\"] is an instance of DOMException"},
        {"url", "$.get(\"k\") is an instance of URL"},
        {"mapKey", "$.keys()[1] is a symbol"},
        {"set", "$.values()[1] is an instance of Promise"},
        {"cause", "$.cause.f is a function"},
        {"errors", "$.errors[0].cause is an instance of Headers"},
        {"detached", "$.bytes is a view of a detached ArrayBuffer"},
        {"sparse", "$[4000000000] is an instance of Event"},
        {"named", "$.more is an instance of Event"},
        {"subclass", "$ is an instance of EventTarget"},
        {"getter", "$ is nested too deeply to be checked, or has properties that throw (RangeError: own)"},
    };
    for (const auto& [name, wanted] : hopeless) {
      CAPTURE(name);
      const ipc::Error error = error_of(
          call_with(client, {"structured", "hopeless", '"' + name + '"'}, Encoding::json, ResultEncoding::structured));
      CHECK(error.code == ipc::ErrorCode::not_serializable);
      CHECK_MESSAGE(contains(error.message, "the result cannot be expressed as a structured clone: " + wanted),
                    error.message);
      CHECK(error.detail == wanted.substr(0, wanted.find(" is ")));
    }
    const ipc::Error proxy = error_of(
        call_with(client, {"structured", "hopeless", "\"proxy\""}, Encoding::json, ResultEncoding::structured));
    CHECK_MESSAGE(contains(proxy.message, "(DataCloneError: "), proxy.message);
  }
}

TEST_CASE("data after a structured value that does not describe its errors is refused") {
  Daemon daemon({.modules = {kStructured}});
  ipc::Client client = daemon.connect();
  // A value, a 0, and after it: nothing readable; a number; arrays of a number, of an error alone, of an error and a
  // number, of an error and a meaningless object; a third value.
  const std::string value("\xFF\x0DI\0", 4), error("rm\"\1x.", 6), object("o{\0", 3);
  const auto array = [](const std::string& elements, char count) {
    return std::string("A") + count + elements + "$" + std::string(1, '\0') + count;
  };
  const std::string good = value + array(error + object, 2);
  for (const std::string& payload : {value + "!", value + "I" + '\2', value + array("I\2", 1), value + array(error, 1),
                                     value + array(error + "I\2", 2), value + array(object + error, 2), good + "_",
                                     value + std::string("a\xFF\xFF\xFF\xFF\x0F@\0\xFF\xFF\xFF\xFF\x0F", 13)}) {
    CAPTURE(payload);
    const ipc::Error refused = error_of(call_with(client, {"structured", "same", payload}, Encoding::structured));
    CHECK(refused.code == ipc::ErrorCode::protocol_error);
    CHECK_MESSAGE(contains(refused.message, "the payload is not structured: "), refused.message);
    CHECK(!contains(refused.message, "cannot be shown"));
  }
  CHECK(outcome(call_with(client, {"structured", "same", good}, Encoding::structured, ResultEncoding::json)) == "0");
}

TEST_CASE("there is an error for values that cannot be cloned or are too large or are not structured") {
  Daemon daemon({.modules = {kStructured}});
  ipc::Client client = daemon.connect();
  const ipc::Error functions =
      error_of(call_with(client, {"structured", "functions"}, Encoding::json, ResultEncoding::structured));
  CHECK(functions.code == ipc::ErrorCode::not_serializable);
  CHECK(contains(functions.message, "$.a[0] is a function (DataCloneError: () => 1 could not be cloned.)"));
  CHECK(code_of(call_with(client, {"structured", "large", std::to_string(client.server().max_payload_bytes + 1)},
                          Encoding::json, ResultEncoding::structured)) == "payload_too_large");
  for (const std::string& payload : {std::string("garbage"), std::string("\xFF\x0D"), std::string("\xFF\x0D_0", 4)}) {
    const ipc::Error error = error_of(call_with(client, {"structured", "same", payload}, Encoding::structured));
    CHECK(error.code == ipc::ErrorCode::protocol_error);
    CHECK(contains(error.message, "the payload is not structured: "));
    CHECK(contains(error.message, "Error: "));
  }
  CHECK(outcome(call_with(client, {"structured", "same", ""}, Encoding::structured, ResultEncoding::json)) == "null");
}

TEST_CASE("positional arguments cannot come as bytes") {
  Daemon daemon({.modules = {kBytes}});
  ipc::Client client = daemon.connect();
  CallTo to{"bytes", "sum", "[1]"};
  to.arguments = ipc::ArgumentStyle::positional;
  const ipc::Error error = error_of(call_with(client, to, Encoding::bytes));
  CHECK(error.code == ipc::ErrorCode::protocol_error);
  CHECK(error.message ==
        "the payload of a call with positional arguments must be an array, encoded as json or structured");
}

TEST_CASE("megabytes pass unchanged and what is too large is an error in both directions") {
  Daemon daemon({.modules = {kBytes}});
  ipc::Client client = daemon.connect();
  const std::size_t most = client.server().max_payload_bytes;
  std::string large(most, '\0');
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 31 >> 3);
  const bool same = bytes_of(call_with(client, {"bytes", "same", large}, Encoding::bytes)) == large;
  CHECK(same);
  CHECK(code_of(call_with(client, {"bytes", "make", std::to_string(most)}, Encoding::json)) == "result");
  const ipc::Error error = error_of(call_with(client, {"bytes", "make", std::to_string(most + 1)}, Encoding::json));
  CHECK(error.code == ipc::ErrorCode::payload_too_large);
  CHECK(error.message == "the result has 16777217 bytes as bytes; at most 16777216 are allowed");
}

TEST_CASE("bytes that do not fit into the memory of the module are an error and end no worker") {
  Daemon daemon({.modules = {kBytes}, .flags = {"--memory", "64MB"}});
  ipc::Client client = daemon.connect();
  const std::string large(std::size_t{16} << 20, 'x');
  std::string last;
  for (int i = 0; i < 6; ++i) last = outcome(call_with(client, {"bytes", "keep", large}, Encoding::bytes));
  CHECK(last == "protocol_error: the payload does not fit into the module's remaining memory");
  CHECK(outcome(call_with(client, {"bytes", "text"}, Encoding::json)) == "\"text\"");
}

}  // namespace
}  // namespace holdfast::test
