// Functions that return an async iterable: their values arrive one by one, as fast as the caller takes them.
#include <doctest/doctest.h>
#include <signal.h>

#include <string_view>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

const Module kStreams{"streams", R"js(
    let cleaned = 0, made = 0;
    exports.count = async function* (n) { for (let i = 1; i <= n; i++) yield i; return 'end'; };
    exports.later = async () => (async function* () { yield 'a'; await null; yield 'b'; })();
    exports.readable = () => new ReadableStream({
      start(controller) { controller.enqueue({ x: 1 }); controller.enqueue([2]); controller.close(); },
    });
    exports.iterable = () => ({ [Symbol.asyncIterator]() { let i = 0; return { next: () => ({ done: i++ > 1, value: i }) }; } });
    exports.bytes = async function* () { yield new Uint8Array([65, 66]); yield new Uint16Array([0x4443]).buffer; };
    exports.fails = async function* () { yield 1; throw new RangeError('in the middle'); };
    exports.odd = async function* () { try { yield 1; yield { a: [() => {}] }; } finally { cleaned++; } };
    exports.noIterator = () => ({ [Symbol.asyncIterator]: () => 7 });
    exports.noStep = () => ({ [Symbol.asyncIterator]: () => ({ next: () => 7 }) });
    exports.throwsAtOnce = () => ({ get [Symbol.asyncIterator]() { throw new Error('no'); } });
    exports.endless = async function* (size) {
      try { for (;;) { made++; yield 'x'.repeat(size); } } finally { cleaned++; }
    };
    exports.patient = async function* (_, { signal }) {
      try { yield 1; await new Promise((resolve) => signal.addEventListener('abort', resolve)); yield 2; }
      finally { cleaned++; }
    };
    exports.stuck = async function* () { try { yield 1; await new Promise(() => {}); } finally { cleaned++; } };
    exports.made = () => made;
    exports.cleaned = () => cleaned;
)js"};

struct Streamed {
  std::vector<std::string> chunks;
  std::vector<ipc::Encoding> encodings;
  ipc::Answer answer;
};

Streamed stream(ipc::Client& client, const CallTo& to, std::uint32_t window_bytes = 0) {
  Streamed streamed;
  ipc::CallRequest request = to.request();
  request.stream_window_bytes = window_bytes;
  streamed.answer = client.call(request, {.on_chunk = [&](ipc::Result chunk) {
                                  streamed.chunks.push_back(chunk.payload);
                                  streamed.encodings.push_back(chunk.encoding);
                                }});
  return streamed;
}

using Texts = std::vector<std::string>;

TEST_CASE("each value that an async generator yields is a chunk, and what it returns is the answer") {
  Daemon daemon({.modules = {kStreams}});
  ipc::Client client = daemon.connect();
  const Streamed counted = stream(client, {"streams", "count", "3"});
  CHECK(counted.chunks == Texts{"1", "2", "3"});
  CHECK(outcome(counted.answer) == "\"end\"");
  CHECK(counted.answer.usage.bytes_out == 3 + 5);
  const Streamed none = stream(client, {"streams", "count", "0"});
  CHECK(none.chunks.empty());
  CHECK(outcome(none.answer) == "\"end\"");
}

TEST_CASE("whatever can be iterated asynchronously streams: of a promise, a ReadableStream, an object of one's own") {
  Daemon daemon({.modules = {kStreams}});
  ipc::Client client = daemon.connect();
  const Streamed later = stream(client, {"streams", "later"});
  CHECK(later.chunks == Texts{"\"a\"", "\"b\""});
  CHECK(outcome(later.answer) == "null");
  CHECK(stream(client, {"streams", "readable"}).chunks == Texts{R"({"x":1})", "[2]"});
  CHECK(stream(client, {"streams", "iterable"}).chunks == Texts{"1", "2"});
}

TEST_CASE("chunks have the encoding that fits them") {
  Daemon daemon({.modules = {kStreams}});
  ipc::Client client = daemon.connect();
  const Streamed bytes = stream(client, {"streams", "bytes"});
  CHECK(bytes.chunks == Texts{"AB", "CD"});
  CHECK(bytes.encodings == std::vector{ipc::Encoding::bytes, ipc::Encoding::bytes});
}

TEST_CASE("a caller that takes no stream is told so") {
  Daemon daemon({.modules = {kStreams}});
  ipc::Client client = daemon.connect();
  const ipc::Error error = error_of(call(client, {"streams", "count", "3"}));
  CHECK(error.code == ipc::ErrorCode::not_serializable);
  CHECK(contains(error.message, "its caller takes no stream"));
}

TEST_CASE("an error in the middle is the answer, behind the chunks that came before it") {
  Daemon daemon({.modules = {kStreams}});
  ipc::Client client = daemon.connect();
  const Streamed failed = stream(client, {"streams", "fails"});
  CHECK(failed.chunks == Texts{"1"});
  CHECK(outcome(failed.answer) == "exception: RangeError: in the middle");
  CHECK(code_of(stream(client, {"streams", "noIterator"}).answer) == "exception");
  CHECK(code_of(stream(client, {"streams", "noStep"}).answer) == "exception");
  CHECK(outcome(stream(client, {"streams", "throwsAtOnce"}).answer) == "exception: Error: no");
}

TEST_CASE("a chunk that cannot be expressed ends the stream with its path, and the generator's finally is run") {
  Daemon daemon({.modules = {kStreams}});
  ipc::Client client = daemon.connect();
  const Streamed odd = stream(client, {"streams", "odd"});
  CHECK(odd.chunks == Texts{"1"});
  const ipc::Error error = error_of(odd.answer);
  CHECK(error.code == ipc::ErrorCode::not_serializable);
  CHECK(error.detail == "$.a[0]");
  CHECK(outcome(call(client, {"streams", "cleaned"})) == "1");
}

TEST_CASE("a stream of many values comes whole, however small the window is") {
  Daemon daemon({.modules = {kStreams}});
  ipc::Client client = daemon.connect();
  for (const std::uint32_t window : {1u, 1000u, 0u}) {
    CAPTURE(window);
    const Streamed counted = stream(client, {"streams", "count", "2000"}, window);
    CHECK(counted.chunks.size() == 2000);
    CHECK(counted.chunks.back() == "2000");
    CHECK(outcome(counted.answer) == "\"end\"");
  }
}

TEST_CASE("a caller that takes nothing holds the generator up once its window is full") {
  Daemon daemon({.modules = {kStreams}});
  ipc::Client reader = daemon.connect();
  ipc::Client other = daemon.connect();
  std::optional<ipc::Answer> answer;
  CallTo endless{"streams", "endless", "10000"};
  ipc::CallRequest request = endless.request();
  request.stream_window_bytes = 100'000;
  std::size_t taken = 0;
  const auto id = reader.start(request, [&](ipc::Answer arrived) { answer = std::move(arrived); },
                               {.on_chunk = [&](ipc::Result) { ++taken; }});
  reader.run_once(std::chrono::milliseconds(0));  // sends the call
  // Chunks of 10130 bytes: the tenth fills the window.
  const auto made = [&] { return outcome(call(other, {"streams", "made"})); };
  REQUIRE(eventually([&] { return made() == "10"; }));
  CHECK(made() == "10");
  // The client grants again what it has taken.
  while (taken < 100) reader.run_once();
  CHECK(std::stoi(made()) <= 120);
  reader.cancel(id);
  while (!answer) reader.run_once();
  CHECK(code_of(*answer) == "cancelled");
  CHECK(eventually([&] { return outcome(call(other, {"streams", "cleaned"})) == "1"; }));
}

TEST_CASE("a cancelled stream ends: its signal is aborted and its finally is run") {
  Daemon daemon({.modules = {kStreams}});
  ipc::Client client = daemon.connect();
  ipc::Client other = daemon.connect();
  int expected = 0;
  for (const char* function : {"patient", "endless"}) {
    CAPTURE(std::string_view(function));
    std::optional<ipc::Answer> answer;
    const CallTo to{"streams", function, "10"};
    std::uint64_t id = 0;
    id = client.start(to.request(), [&](ipc::Answer arrived) { answer = std::move(arrived); },
                      {.on_chunk = [&](ipc::Result) { client.cancel(id); }});
    while (!answer) client.run_once();
    CHECK(code_of(*answer) == "cancelled");
    ++expected;
    CHECK(eventually([&] { return outcome(call(other, {"streams", "cleaned"})) == std::to_string(expected); }));
  }
}

TEST_CASE("a stream whose client leaves ends too, and one that never settles holds nobody up") {
  Daemon daemon({.modules = {kStreams}});
  ipc::Client other = daemon.connect();
  for (const char* function : {"endless", "stuck"}) {
    ipc::Client client = daemon.connect();
    const CallTo to{"streams", function, "10"};
    bool begun = false;
    client.start(to.request(), [](ipc::Answer) {}, {.on_chunk = [&](ipc::Result) { begun = true; }});
    while (!begun) client.run_once();
  }
  CHECK(eventually([&] { return worker_of(other, "streams").calls_in_flight == 0; }));
  CHECK(outcome(call(other, {"streams", "cleaned"})) == "1");
}

TEST_CASE("the deadline is the whole stream's") {
  Daemon daemon({.modules = {kStreams}});
  ipc::Client client = daemon.connect();
  const Streamed stuck = stream(client, {"streams", "stuck", "null", std::chrono::milliseconds(200)});
  CHECK(stuck.chunks == Texts{"1"});
  CHECK(code_of(stuck.answer) == "deadline_exceeded");
}

TEST_CASE("a stream that was begun is not begun again when its worker dies, even if it is idempotent") {
  Daemon daemon({.modules = {kStreams}});
  ipc::Client client = daemon.connect();
  ipc::Client other = daemon.connect();
  CallTo to{"streams", "stuck"};
  to.idempotent = true;
  std::optional<ipc::Answer> answer;
  Texts chunks;
  client.start(to.request(), [&](ipc::Answer arrived) { answer = std::move(arrived); },
               {.on_chunk = [&](ipc::Result chunk) { chunks.push_back(chunk.payload); }});
  while (chunks.empty()) client.run_once();
  REQUIRE(::kill(worker_of(other, "streams").pid, SIGKILL) == 0);
  while (!answer) client.run_once();
  CHECK(code_of(*answer) == "worker_crashed");
  CHECK(chunks == Texts{"1"});
}

TEST_CASE("many streams and calls share one connection") {
  Daemon daemon({.modules = {kStreams}});
  ipc::Client client = daemon.connect();
  std::vector<int> taken(20);
  std::size_t answered = 0;
  for (std::size_t i = 0; i < taken.size(); ++i) {
    const CallTo to{"streams", "count", "500"};
    client.start(to.request(), [&](ipc::Answer answer) { answered += outcome(answer) == "\"end\""; },
                 {.on_chunk = [&taken, i](ipc::Result chunk) {
                   if (chunk.payload == std::to_string(taken[i] + 1)) ++taken[i];
                 }});
  }
  CHECK(outcome(call(client, {"streams", "cleaned"})) == "0");
  while (client.open_calls() > 0) client.run_once();
  CHECK(answered == taken.size());
  CHECK(taken == std::vector<int>(taken.size(), 500));
}

}  // namespace
}  // namespace holdfast::test
