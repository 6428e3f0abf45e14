// Writing values as bytes and reading them back. Bytes of payloads come from outside and may be hostile.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "worker/v8/engine.h"
#include "worker/v8/structured_clone.h"

namespace holdfast::worker {
namespace {

using Bytes = std::vector<std::uint8_t>;

// V8 can start only once in a process.
std::unique_ptr<Engine> engine;

v8::Local<v8::Value> evaluate(const std::string& code) {
  v8::Local<v8::Context> context = engine->context();
  return v8::Script::Compile(context, engine->string(code)).ToLocalChecked()->Run(context).ToLocalChecked();
}

std::string text(v8::Local<v8::Value> value) {
  v8::String::Utf8Value utf8(engine->isolate(), value);
  return *utf8 == nullptr ? "?" : *utf8;
}

// Evaluates `code` and returns the value as bytes.
Bytes written(const std::string& code) {
  const auto value = serialize_value(engine->context(), evaluate(code), 1 << 20);
  REQUIRE(value);
  return {value->bytes().begin(), value->bytes().end()};
}

// Reads the bytes, passes the value to `use`, a function's code, and returns the result; or the error's name.
std::string read(const Bytes& bytes, const std::string& use) {
  v8::TryCatch failure(engine->isolate());
  v8::Local<v8::Value> value;
  if (!deserialize_value(engine->context(), bytes).ToLocal(&value)) {
    return "thrown: " + text(failure.Exception());
  }
  v8::Local<v8::Value> result;
  if (!evaluate(use)
           .As<v8::Function>()
           ->Call(engine->context(), v8::Undefined(engine->isolate()), 1, &value)
           .ToLocal(&result)) {
    return "failed: " + text(failure.Exception());
  }
  return text(result);
}

std::string failure_of(const std::string& code, std::size_t max_bytes) {
  v8::TryCatch failure(engine->isolate());
  const auto value = serialize_value(engine->context(), evaluate(code), max_bytes);
  if (value) return "none";
  if (value.error() == SerializeFailure::too_large) return failure.HasCaught() ? "both" : "too large";
  return text(failure.Exception());
}

TEST_CASE("a value comes back as it was, with its cycles") {
  v8::HandleScope scope(engine->isolate());
  const Bytes bytes = written(R"js(
      const value = { map: new Map([[1, new Set(['a'])]]), date: new Date(5), big: -(2n ** 70n), bytes: new Uint8Array([1, 2]),
                      error: new RangeError('m'), none: undefined, hole: [, 1], expression: /a/gi };
      value.self = value;
      value)js");
  CHECK(
      read(
          bytes,
          R"js((v) => [v.self === v, v.map.get(1).has('a'), v.date.getTime(), v.big, v.bytes.join(), v.error instanceof RangeError,
      v.error.message, 'none' in v, 0 in v.hole, v.expression].join(' '))js") ==
      "true true 5 -1180591620717411303424 1,2 true m true false /a/gi");
}

TEST_CASE("a value that cannot be cloned is a named error and an exception of a getter is passed on") {
  v8::HandleScope scope(engine->isolate());
  CHECK(failure_of("({ f: () => 1 })", 1000) == "DataCloneError: () => 1 could not be cloned.");
  CHECK(failure_of("Symbol('x')", 1000) == "DataCloneError: Symbol(x) could not be cloned.");
  CHECK(failure_of("Promise.resolve()", 1000) == "DataCloneError: #<Promise> could not be cloned.");
  CHECK(failure_of("new Proxy({}, {})", 1000) == "DataCloneError: #<Object> could not be cloned.");
  CHECK(failure_of("new WebAssembly.Memory({ initial: 1 })", 1000).starts_with("DataCloneError: "));
  CHECK(failure_of("new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]))", 1000)
            .starts_with("DataCloneError: "));
  CHECK(failure_of("({ get a() { throw new SyntaxError('own'); } })", 1000) == "SyntaxError: own");
  CHECK(failure_of("let deep = []; for (let i = 0; i < 100000; i++) deep = [deep]; deep", 1 << 20) ==
        "RangeError: Maximum call stack size exceeded");
}

TEST_CASE("a value that is too large is told from one that cannot be cloned, and gives its memory back") {
  v8::HandleScope scope(engine->isolate());
  CHECK(failure_of("'x'.repeat(5000)", 1000) == "too large");
  CHECK(failure_of("'x'.repeat(5000)", 5100) == "none");
  CHECK(failure_of("new Uint8Array(100000000)", 1000) == "too large");
  CHECK(failure_of("'x'.repeat(1000)", 1001) == "too large");  // the header comes in addition
  for (int i = 0; i < 400; ++i) {
    const v8::HandleScope round(engine->isolate());
    REQUIRE(failure_of("'x'.repeat(900000)", 1 << 20) == "none");
  }
}

TEST_CASE("bytes that are not exactly one value are refused") {
  v8::HandleScope scope(engine->isolate());
  CHECK(read({}, "(v) => v").starts_with("thrown: Error"));
  CHECK(read({1, 2, 3}, "(v) => v").starts_with("thrown: Error"));
  Bytes bytes = written("({ a: [1, 'two', new Map([[3, 4]])] })");
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CHECK(read(Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)), "(v) => v")
              .starts_with("thrown: "));
  }
  bytes.push_back('_');
  CHECK(read(bytes, "(v) => v") == "thrown: DataCloneError: the bytes are not a structured value");
}

TEST_CASE("bytes with host objects, shared or transferred buffers, or WebAssembly are refused") {
  v8::HandleScope scope(engine->isolate());
  for (const char tag : {'\\', 'u', 't', 'w', 'm', 'p'}) {
    const Bytes bytes = {0xFF, 13, static_cast<std::uint8_t>(tag), 0, 0, 0, 0, 0};
    CAPTURE(tag);
    CHECK(read(bytes, "(v) => v").starts_with("thrown: "));
  }
}

TEST_CASE("lengths beyond the bytes are refused without allocating memory for them") {
  v8::HandleScope scope(engine->isolate());
  for (const char tag : {'A', 'B', '"', 'c', 'Z', 'S'}) {
    const Bytes bytes = {0xFF, 13, static_cast<std::uint8_t>(tag), 0xFF, 0xFF, 0xFF, 0xFF, 0x07, 0, 0};
    CAPTURE(tag);
    CHECK(read(bytes, "(v) => v").starts_with("thrown: "));
  }
}

TEST_CASE("changed bytes are a value or an error") {
  v8::HandleScope outer(engine->isolate());
  const Bytes original = written(R"js(
      const shared = { name: 'shared' };
      [shared, shared, new Map([[shared, 1]]), new Set([1, 2]), new Error('m', { cause: 1 }), /x+/g, new Date(1), 12345678901234567890n,
       new Float64Array([1, 2]), new DataView(new ArrayBuffer(8), 2), [, , 1], Object(1), Object('s'), '\u{1F600}', -1, 1.5, null])js");
  std::uint32_t seed = 1;
  const auto random = [&](std::size_t bound) {
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % bound;
  };
  int values = 0;
  for (int round = 0; round < 20000; ++round) {
    const v8::HandleScope scope(engine->isolate());
    Bytes bytes = original;
    for (std::size_t change = 0; change <= random(4); ++change) {
      const std::size_t at = 2 + random(bytes.size() - 2);
      switch (random(3)) {
        case 0:
          bytes[at] = static_cast<std::uint8_t>(random(256));
          break;
        case 1:
          bytes.erase(bytes.begin() + static_cast<std::ptrdiff_t>(at));
          break;
        default:
          bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), static_cast<std::uint8_t>(random(256)));
      }
    }
    const std::string result = read(bytes, "(v) => `value ${typeof v}`");
    if (result.starts_with("value ")) ++values;
    if (!result.starts_with("value ") && !result.starts_with("thrown: ")) FAIL_CHECK(result);
  }
  CHECK(values > 0);
  CHECK(values < 20000);
}

}  // namespace
}  // namespace holdfast::worker

int main(int argc, char** argv) {
  using holdfast::worker::engine;
  engine = std::make_unique<holdfast::worker::Engine>(
      holdfast::worker::EngineOptions{.memory_bytes = std::uint64_t{256} << 20});
  engine->set_memory_limit(std::uint64_t{256} << 20);
  doctest::Context tests(argc, argv);
  const int status = tests.run();
  // Like a worker, ends without shutting V8 down.
  std::fflush(nullptr);
  ::_exit(status);
}
