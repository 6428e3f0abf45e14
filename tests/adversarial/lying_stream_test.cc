// Workers that lie about parts of answers: chunks of streams that no client takes, or more chunks than a client takes;
// endless log lines; payloads that do not match their encoding. Either only such a worker is killed, or what it sends
// is harmless.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "ipc/worker_messages.h"
#include "tests/adversarial/attacker.h"
#include "tests/support/calls.h"
#include "tests/support/processes.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kLargestPayload = std::size_t{16} << 20;

std::string chunk_frame(std::uint64_t call, std::string_view payload, ipc::Encoding encoding = ipc::Encoding::json) {
  ipc::OutputBuffer out;
  ipc::encode_worker_chunk(out, {call, {ipc::as_bytes(payload), encoding}});
  return std::string(ipc::as_text(out.data()));
}

std::string result_frame(std::uint64_t call, std::string_view payload, ipc::Encoding encoding = ipc::Encoding::json) {
  ipc::OutputBuffer out;
  ipc::encode_worker_result(out, call, {ipc::as_bytes(payload), encoding});
  return std::string(ipc::as_text(out.data()));
}

std::string line_frame(const ipc::LogLine& line) {
  ipc::OutputBuffer out;
  encode(out, line);
  return std::string(ipc::as_text(out.data()));
}

struct Attacked {
  std::vector<std::string> chunks;
  ipc::Answer answer;
};

// A client with a stream from the attacker, and a client with a stream in progress from the bystander.
class Streams {
 public:
  explicit Streams(std::vector<std::string> flags = {})
      : daemon_(options(std::move(flags))), client_(daemon_.connect()), other_(daemon_.connect()) {
    REQUIRE(outcome(call(client_, {"attacker", "ping"})) == "\"pong\"");
    const CallTo to{.module = "streamer", .function = "hold", .timeout = std::chrono::minutes(5)};
    ipc::CallRequest request = to.request();
    request.stream_window_bytes = 4096;
    other_.start(request, [this](ipc::Answer answer) { held_ = std::move(answer); },
                 {.on_chunk = [this](const ipc::Result& chunk) { held_chunks_.push_back(chunk.payload); }});
    while (held_chunks_.empty() && !held_) other_.run_once();
    attacker_ = worker_of(client_, "attacker").pid;
    streamer_ = worker_of(client_, "streamer").pid;
  }

  Attacked attack(const std::string& function, const std::string& payload, std::uint32_t window_bytes = 4096,
                  milliseconds timeout = std::chrono::seconds(30)) {
    Attacked attacked;
    const CallTo to{.module = "attacker", .function = function, .payload = payload, .timeout = timeout};
    ipc::CallRequest request = to.request();
    request.stream_window_bytes = window_bytes;
    ipc::CallReaders readers;
    if (window_bytes > 0) {
      readers.on_chunk = [&](const ipc::Result& chunk) { attacked.chunks.push_back(chunk.payload); };
    }
    attacked.answer = client_.call(request, std::move(readers));
    return attacked;
  }

  // Checks that the attacker's worker was killed, for the reason `detail`.
  void check_killed(const Attacked& attacked, const std::string& detail) {
    const ipc::Error error = error_of(attacked.answer);
    CHECK(ipc::to_string(error.code) == "worker_crashed");
    CHECK_MESSAGE(contains(error.detail, detail), error.detail);
    check_gone();
  }
  void check_gone() {
    CHECK(eventually([&] { return !is_running(attacker_); }));
  }

  // Checks that the module is served again, and that the other stream has kept its worker, its chunks and its end.
  void finish() {
    CHECK(outcome(call(client_, {"attacker", "ping"})) == "\"pong\"");
    CHECK(worker_of(client_, "streamer").pid == streamer_);
    CHECK(held_chunks_ == std::vector<std::string>{"\"begun\""});
    CHECK_FALSE(held_);
    CHECK(outcome(call(client_, {"streamer", "release"})) == "null");
    while (!held_) other_.run_once();
    CHECK(held_chunks_ == std::vector<std::string>{"\"begun\"", "\"held\""});
    CHECK(outcome(*held_) == "\"end\"");
    daemon_.stop();
  }

  Daemon& daemon() { return daemon_; }
  ipc::Client& client() { return client_; }
  pid_t attacker() const { return attacker_; }

 private:
  static DaemonOptions options(std::vector<std::string> flags) {
    DaemonOptions made = under_attack(std::move(flags));
    made.modules.push_back({"streamer", R"js(
        let release;
        exports.hold = async function* () {
          yield 'begun';
          await new Promise((resolve) => { release = resolve; });
          yield 'held';
          return 'end';
        };
        exports.release = () => release();
    )js"});
    return made;
  }

  Daemon daemon_;
  ipc::Client client_;
  ipc::Client other_;
  std::vector<std::string> held_chunks_;
  std::optional<ipc::Answer> held_;
  pid_t attacker_ = 0;
  pid_t streamer_ = 0;
};

constexpr const char* kNotTaken =
    "a chunk that its call cannot take: no such call, no stream, no room in its window, or too many bytes";

TEST_CASE("a worker that sends a chunk to a call which takes no stream is killed, and its client sees none") {
  Streams streams;
  const Attacked attacked = streams.attack("sendAndHold", as_json(chunk_frame(kOwnId, "1")), 0);
  streams.check_killed(attacked, kNotTaken);
  streams.finish();
}

TEST_CASE("a worker that sends more chunks than the window has room for is killed") {
  Streams streams;
  const std::string chunk = chunk_frame(kOwnId, std::string(1000, '1'));
  const Attacked attacked = streams.attack("sendAndHold", as_json(chunk + chunk + chunk), 2000);
  streams.check_killed(attacked, kNotTaken);
  CHECK(attacked.chunks.size() == 2);  // the second one filled the window
  streams.finish();
}

TEST_CASE("chunks without bytes use up the window") {
  Streams streams;
  std::string chunks;
  for (int i = 0; i < 9; ++i) chunks += chunk_frame(kOwnId, "");
  const Attacked attacked = streams.attack("sendAndHold", as_json(chunks), 8 * ipc::chunk_cost(0));
  streams.check_killed(attacked, kNotTaken);
  CHECK(attacked.chunks.size() == 8);
  streams.finish();
}

TEST_CASE("a worker that sends a chunk after the answer of its call is killed and the answer stands") {
  Streams streams;
  const Attacked attacked =
      streams.attack("sendAndHold", as_json(result_frame(kOwnId, "\"first\"") + chunk_frame(kOwnId, "1")));
  CHECK(outcome(attacked.answer) == "\"first\"");
  CHECK(attacked.chunks.empty());
  streams.check_gone();
  streams.finish();
}

TEST_CASE("a worker that sends a chunk to a call that it does not have is killed") {
  for (const std::uint64_t call : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{99}, ~std::uint64_t{0}}) {
    CAPTURE(call);
    Streams streams;
    const Attacked attacked = streams.attack("sendAndHold", as_json(chunk_frame(call, "\"forged\"")));
    streams.check_killed(attacked, kNotTaken);
    CHECK(attacked.chunks.empty());
    streams.finish();
  }
}

TEST_CASE("a worker whose chunk or answer exceeds the limit is killed") {
  for (const bool is_chunk : {true, false}) {
    CAPTURE(is_chunk);
    Streams streams({"--memory", "256MB"});
    const std::string zeros(kLargestPayload + 8, '\0');
    std::string head = is_chunk ? chunk_frame(kOwnId, zeros) : result_frame(kOwnId, zeros);
    head.resize(head.size() - zeros.size());
    const Attacked attacked = streams.attack("sendWithZeros", fmt::format("[{},{}]", as_json(head), zeros.size()));
    streams.check_killed(attacked, is_chunk ? kNotTaken : "an answer to call");
    CHECK(attacked.chunks.empty());
    streams.finish();
  }
}

TEST_CASE("a worker whose chunk is in an encoding that does not exist is killed") {
  Streams streams;
  const Attacked attacked =
      streams.attack("sendAndHold", as_json(chunk_frame(kOwnId, "1", static_cast<ipc::Encoding>(99))));
  streams.check_killed(attacked, "encoding of a chunk 99");
  streams.finish();
}

TEST_CASE("a worker that sends a chunk before its module is loaded is killed") {
  DaemonOptions options = under_attack();
  options.modules.push_back(
      {"eager", options.modules.front().code + fmt::format("\nsendAll(bytesOf({}, {{ requestId: '0-1' }}));",
                                                           as_json(chunk_frame(kOwnId, "\"forged\"")))});
  Daemon daemon(std::move(options));
  ipc::Client client = daemon.connect();
  const CallTo to{"eager", "ping"};
  ipc::CallRequest request = to.request();
  std::vector<std::string> chunks;
  const ipc::Answer answer =
      client.call(request, {.on_chunk = [&](const ipc::Result& chunk) { chunks.push_back(chunk.payload); }});
  CHECK(code_of(answer) != "result");
  CHECK(chunks.empty());
  CHECK(outcome(call(client, {"bystander", "ping"})) == "\"pong\"");
  daemon.stop();
}

TEST_CASE("messages of the supervisor that a worker sends back are not misread") {
  const auto frame_of = [](const auto& encode_into) {
    ipc::OutputBuffer out;
    encode_into(out);
    return std::string(ipc::as_text(out.data()));
  };
  const std::string echoes[] = {
      frame_of([](auto& out) {
        ipc::encode_worker_grant(out, {kOwnId, ~std::uint64_t{0}});
      }),
      frame_of([](auto& out) {
        encode(out, ipc::WorkerCancel{kOwnId, ipc::CancelReason::cancelled});
      }),
      frame_of([](auto& out) { encode(out, ipc::WorkerCall{.id = kOwnId, .function = "ping"}); }),
      frame_of([](auto& out) { encode(out, ipc::LoadRequest{.module = "attacker"}); }),
  };
  for (const std::string& echo : echoes) {
    Streams streams;
    const Attacked attacked = streams.attack("sendAndHold", as_json(echo), 4096, milliseconds(1000));
    const std::string code = code_of(attacked.answer);
    CHECK_MESSAGE((code == "worker_crashed" || code == "deadline_exceeded" || code == "result"), code);
    // A cancellation reads like an empty answer, which the worker may give to this call.
    if (code == "result") CHECK(attacked.answer->payload == "");
    CHECK(attacked.chunks.empty());
    streams.finish();
  }
}

TEST_CASE("chunks of a cancelled stream reach no client and the worker is killed past its window") {
  Streams streams;
  const std::string chunk = chunk_frame(kOwnId, std::string(1000, '1'));
  const CallTo to{.module = "attacker", .function = "sendForEver", .payload = as_json(chunk)};
  ipc::CallRequest request = to.request();
  request.stream_window_bytes = 100'000;
  std::optional<ipc::Answer> answer;
  std::size_t chunks = 0, chunks_at_end = 0;
  std::uint64_t id = 0;
  ipc::Client other = streams.daemon().connect();
  id = other.start(request,
                   [&](ipc::Answer came) {
                     answer = std::move(came);
                     chunks_at_end = chunks;
                   },
                   {.on_chunk = [&](const ipc::Result&) {
                     if (++chunks == 3) other.cancel(id);
                   }});
  while (!answer) other.run_once();
  const std::string code = code_of(*answer);
  CHECK((code == "cancelled" || code == "worker_crashed" || code == "cpu_exceeded"));
  streams.check_gone();
  other.run_once(milliseconds(0));
  CHECK(chunks == chunks_at_end);
  streams.finish();
}

TEST_CASE("a worker that reports lost log lines for ever is paused and others are served") {
  Streams streams({"--stretch", "300ms", "--log-level", "error"});
  std::string lines;
  for (int i = 0; i < 50; ++i) {
    lines += line_frame({.level = ipc::LogLevel::info, .text = "", .call = 0, .dropped = ~std::uint64_t{0}});
    lines +=
        line_frame({.level = ipc::LogLevel::error, .text = "\x1b[31m\xff", .call = ~std::uint64_t{0}, .dropped = 1});
  }
  Calls calls(streams.client());
  const auto attacking = calls.start(
      {.module = "attacker", .function = "sendForEver", .payload = as_json(lines), .timeout = milliseconds(1000)});
  while (!calls.is_answered(attacking)) CHECK(outcome(call(streams.client(), {"bystander", "ping"})) == "\"pong\"");
  const std::string code = code_of(calls.answer(attacking));
  CHECK((code == "cpu_exceeded" || code == "deadline_exceeded"));
  CHECK(stats_of(streams.client(), "attacker").calls == 2);
  streams.check_gone();
  streams.finish();
}

TEST_CASE(
    "a result that is not the structured value that it claims to be reaches the client as its bytes and no terminal") {
  Streams streams;
  const std::string garbage[] = {"", "\xFF", std::string("\xFF\x0E\\\0\0", 5), "\xFF\x0E\"\xFF\xFF\xFF\xFF\x0F",
                                 "\x1b[31mnot structured\n"};
  std::size_t count = 1;
  for (const std::string& payload : garbage) {
    const Attacked attacked =
        streams.attack("sendAndHold", as_json(chunk_frame(kOwnId, payload, ipc::Encoding::structured) +
                                              result_frame(kOwnId, payload, ipc::Encoding::structured)));
    REQUIRE(attacked.answer.has_value());
    CHECK(attacked.answer->payload == payload);
    CHECK(attacked.answer->encoding == ipc::Encoding::structured);
    CHECK(attacked.chunks == std::vector<std::string>{payload});
    CHECK(worker_of(streams.client(), "attacker").pid == streams.attacker());
    CHECK(worker_of(streams.client(), "attacker").calls_done == ++count);
  }
  streams.finish();
}

}  // namespace
}  // namespace holdfast::test
