// Payloads and results that are not JSON.
#include <doctest/doctest.h>

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

TEST_CASE("bytes come as a Uint8Array of their own, and go as they are from any view of a buffer") {
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

TEST_CASE("the caller may say what the result is to be") {
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
    exports.large = (size) => 'x'.repeat(size);
    exports.sum = (a, b, context) => [a.size + b.size, context.function];
    exports.pair = () => [new Set([1]), new Set([1, 2])];
)js"};

TEST_CASE("structured values keep what JSON has no word for, there and back") {
  for (const char* profile : {"jit", "strict"}) {
    CAPTURE(profile);
    Daemon daemon({.modules = {kStructured}, .flags = {"--profile", profile}});
    ipc::Client client = daemon.connect();
    const ipc::Answer all = call_with(client, {"structured", "all"}, Encoding::json, ResultEncoding::structured);
    REQUIRE(all.has_value());
    CHECK(all->encoding == Encoding::structured);
    CHECK(outcome(call_with(client, {"structured", "check", all->payload}, Encoding::structured,
                            ResultEncoding::json)) == R"([true,0,true,true,true,false,"/x/g",2,3,"r",true,true])");
    // What came structured goes structured.
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

TEST_CASE("what cannot be cloned, is too large, or is no structured payload, is told") {
  Daemon daemon({.modules = {kStructured}});
  ipc::Client client = daemon.connect();
  const ipc::Error functions =
      error_of(call_with(client, {"structured", "functions"}, Encoding::json, ResultEncoding::structured));
  CHECK(functions.code == ipc::ErrorCode::not_serializable);
  CHECK(contains(functions.message, "(DataCloneError: () => 1 could not be cloned.)"));
  CHECK(code_of(call_with(client, {"structured", "large", std::to_string(client.server().max_payload_bytes + 1)},
                          Encoding::json, ResultEncoding::structured)) == "payload_too_large");
  for (const std::string& payload : {std::string("garbage"), std::string("\xFF\x0D"), std::string("\xFF\x0D_0", 4)}) {
    const ipc::Error error = error_of(call_with(client, {"structured", "same", payload}, Encoding::structured));
    CHECK(error.code == ipc::ErrorCode::protocol_error);
    CHECK(contains(error.message, "the payload is not structured: "));
    CHECK((contains(error.message, ": Error: ") || contains(error.message, ": DataCloneError: ")));
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
  CHECK(error.message == "the payload of a call with positional arguments must be an array, as json or structured");
}

TEST_CASE("megabytes go through whole, and what is too large is told from both sides") {
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
  CHECK(error.message == "the result has 16MB as bytes; at most 16MB are allowed");
}

TEST_CASE("bytes for which the module has no memory left are told, and kill nobody") {
  Daemon daemon({.modules = {kBytes}, .flags = {"--memory", "64MB"}});
  ipc::Client client = daemon.connect();
  const std::string large(std::size_t{16} << 20, 'x');
  std::string last;
  for (int i = 0; i < 6; ++i) last = outcome(call_with(client, {"bytes", "keep", large}, Encoding::bytes));
  CHECK(last == "protocol_error: the payload does not fit into the memory that the module has left");
  CHECK(outcome(call_with(client, {"bytes", "text"}, Encoding::json)) == "\"text\"");
}

}  // namespace
}  // namespace holdfast::test
