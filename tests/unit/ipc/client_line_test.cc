// Direct lines of the client library: whatever happens to the line, each call on it is answered once. Supervisor and
// worker follow a script.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "tests/unit/ipc/client_support.h"

namespace holdfast::ipc {
namespace {

using namespace std::chrono_literals;
using namespace testing;

const ModuleName kModule = {"m", "v1"};
const CallTimeouts kTimeouts = {30s, 60s};
const Error kGuilty = {.code = ErrorCode::cpu_exceeded, .message = "it looped", .executed = Executed::maybe};
const Error kOthers = {
    .code = ErrorCode::worker_crashed, .message = "the worker died", .retryable = true, .executed = Executed::maybe};

struct LineSession {
  Supervisor supervisor;
  Client client;
  Supervisor worker;  // the same script class serves for workers
  std::uint64_t line;
};

LineSession begin_line(const CallTimeouts& timeouts = kTimeouts) {
  Session session = begin_session();
  auto [near, far] = stream_sockets();
  std::uint64_t line = 0;
  {
    Script script([&, &near = near] { line = session.supervisor.open_line(near, timeouts); });
    REQUIRE(session.client.open_line(kModule).has_value());
  }
  near.reset();
  REQUIRE(session.client.has_line(kModule));
  return {std::move(session.supervisor), std::move(session.client), Supervisor(std::move(far)), line};
}

// Starts calls and returns their ids once the worker has them.
std::vector<std::uint64_t> start(LineSession& session, Answers& answers, int count, int idempotent = -1) {
  std::vector<std::uint64_t> ids;
  for (int i = 0; i < count; ++i) {
    const std::string payload = std::to_string(i);
    CallRequest call = request(payload);
    call.idempotent = i == idempotent;
    ids.push_back(session.client.start(call, answers.handler(i)));
  }
  session.client.run_once(0ms);
  for (int i = 0; i < count; ++i) REQUIRE(session.worker.receive_call().id == ids[static_cast<std::size_t>(i)]);
  return ids;
}

void run_until(Client& client, const std::function<bool()>& condition) {
  const auto give_up = Clock::now() + kTooLong;
  while (!condition() && Clock::now() < give_up) client.run_once(10ms);
  REQUIRE(condition());
}

// Checks that the supervisor's next message is a relayed call with this id and payload.
void check_relayed(Supervisor& supervisor, std::uint64_t id, std::string_view payload) {
  const auto call = supervisor.receive_call();
  CHECK(call.id == id);
  CHECK(call.payload == payload);
}

// --- its beginning -------------------------------------------------------------------------------------------------

TEST_CASE("calls of a module with a line go to its worker and name no module; others are relayed") {
  auto session = begin_line();
  Answers answers;
  CallRequest other = request("other");
  other.version = "v2";
  const auto first = session.client.start(request("1"), answers.handler(1));
  session.client.start(other, answers.handler(2));
  session.client.start(request("stream"), answers.handler(3), {.on_chunk = [](Result) {}});
  session.client.start(request("logs"), answers.handler(4), {.on_log = [](const LogRecord&) {}});
  CHECK(session.client.open_calls() == 4);
  session.client.run_once(0ms);
  CHECK(session.worker.receive() ==
        describe(CallRequest{.id = first, .function = "f", .payload = as_bytes("1"), .timeout = {}}));
  for (const char* payload : {"other", "stream", "logs"}) {
    const auto call = session.supervisor.receive_call();
    CHECK(call.payload == payload);
    session.supervisor.answer(call.id, "relayed");
  }
  session.worker.answer(first, "direct", Usage{.cpu = 1s, .attempts = 7});
  run_until_answered(session.client, answers, 4);
  CHECK(summary(answers.of(1)) == "direct");
  CHECK(answers.of(1).usage.run.count() > 0);
  CHECK(answers.of(1).usage.attempts == 0);  // the client does not believe a worker's report of usage
  CHECK(answers.of(1).usage.cpu.count() == 0);
  for (int i : {2, 3, 4}) CHECK(summary(answers.of(i)) == "relayed");
  CHECK(session.client.line_fds().size() == 1);
}

TEST_CASE("a line that is refused leaves all as it was") {
  auto session = begin_session();
  Script script([&] {
    const auto id = session.supervisor.receive_open_line();
    session.supervisor.send(LineOpened{id, kOthers});
    const auto call = session.supervisor.receive_call();
    session.supervisor.answer(call.id, "relayed");
  });
  const auto opened = session.client.open_line(kModule);
  REQUIRE_FALSE(opened.has_value());
  CHECK(opened.error().message == kOthers.message);
  CHECK_FALSE(session.client.has_line(kModule));
  CHECK(summary(session.client.call(request())) == "relayed");
}

TEST_CASE("a client that waits for one answer busy-polls the line") {
  auto session = begin_line();
  Script script([&] {
    for (int i = 0; i < 50; ++i) session.worker.answer(session.worker.receive_call().id, std::to_string(i));
  });
  for (int i = 0; i < 50; ++i) CHECK(summary(session.client.call(request())) == std::to_string(i));
}

// --- its withdrawal ------------------------------------------------------------------------------------------------

TEST_CASE("when a line is withdrawn the calls that the worker did not take are relayed in order under the same ids") {
  auto session = begin_line();
  Answers answers;
  const auto ids = start(session, answers, 5);
  session.worker.send(LineClosing{2});
  session.worker.answer(ids[1], "direct 1");
  run_until_answered(session.client, answers, 1);
  CHECK_FALSE(session.client.has_line(kModule));
  session.client.run_once(0ms);
  for (std::size_t i : {2U, 3U, 4U}) {
    check_relayed(session.supervisor, ids[i], std::to_string(i));
    session.supervisor.answer(ids[i], "relayed");
  }
  // Calls from now on are relayed, too.
  session.client.start(request("later"), answers.handler(5));
  session.client.run_once(0ms);
  session.supervisor.answer(session.supervisor.receive_call().id, "relayed");
  session.worker.answer(ids[0], "direct 0");
  run_until_answered(session.client, answers, 6);
  CHECK(summary(answers.of(0)) == "direct 0");
  CHECK(summary(answers.of(1)) == "direct 1");
  for (int i : {2, 3, 4, 5}) CHECK(summary(answers.of(i)) == "relayed");
  session.supervisor.send(LineEnded{session.line, 2, 0, {}, kOthers});
  run_until(session.client, [&] { return session.client.line_fds().empty(); });
  CHECK(answers.count() == 6);
  CHECK(session.client.connected());
}

TEST_CASE("after a line has ended another can be opened") {
  auto session = begin_line();
  session.supervisor.send(LineEnded{session.line, 0, 0, {}, kOthers});
  run_until(session.client, [&] { return !session.client.has_line(kModule); });
  auto [near, far] = stream_sockets();
  Script script([&, &near = near] { session.supervisor.open_line(near, kTimeouts); });
  CHECK(session.client.open_line(kModule).has_value());
  CHECK(session.client.has_line(kModule));
}

// --- its end -------------------------------------------------------------------------------------------------------

TEST_CASE("when the worker of a line has ended each call gets the answer for its state") {
  for (const bool is_closed_first : {false, true}) {
    auto session = begin_line();
    Answers answers;
    constexpr int kIdempotent = 2;
    const auto ids = start(session, answers, 6, kIdempotent);
    session.worker.answer(ids[0], "in the buffer");
    if (is_closed_first) session.worker.close();
    session.supervisor.send(LineEnded{session.line, 4, 2, kGuilty, kOthers});
    if (!is_closed_first) session.worker.close();
    run_until_answered(session.client, answers, 3);
    CHECK(summary(answers.of(0)) == "in the buffer");
    CHECK(summary(answers.of(1)) == summary(kGuilty));
    CHECK(summary(answers.of(3)) == summary(kOthers));
    session.client.run_once(0ms);
    for (std::size_t i : {2U, 4U, 5U}) {
      check_relayed(session.supervisor, ids[i], std::to_string(i));
      session.supervisor.answer(ids[i], "relayed");
    }
    run_until_answered(session.client, answers, 6);
    for (int i : {2, 4, 5}) CHECK(summary(answers.of(i)) == "relayed");
    CHECK(session.client.open_calls() == 0);
    CHECK(session.client.connected());
  }
}

TEST_CASE("after only the worker has hung up its calls wait for the supervisor and new calls are relayed") {
  auto session = begin_line();
  Answers answers;
  start(session, answers, 2);
  session.worker.close();
  run_until(session.client, [&] { return !session.client.has_line(kModule); });
  session.client.run_once(1ms);
  CHECK(answers.count() == 0);
  CHECK(session.client.open_calls() == 2);
  session.client.start(request("new"), answers.handler(2));
  session.client.run_once(0ms);
  session.supervisor.answer(session.supervisor.receive_call().id, "relayed");
  run_until_answered(session.client, answers, 1);
  session.supervisor.send(LineEnded{session.line, 2, 0, {}, kOthers});
  run_until_answered(session.client, answers, 3);
  CHECK(summary(answers.of(0)) == summary(kOthers));
}

TEST_CASE("calls that the worker's socket did not take any more are relayed") {
  auto session = begin_line();
  session.worker.close();
  Answers answers;
  const auto id = session.client.start(request("late"), answers.handler(0));
  session.client.run_once(0ms);
  session.supervisor.send(LineEnded{session.line, 0, 0, {}, kOthers});
  session.client.run_once(100ms);
  session.client.run_once(0ms);
  check_relayed(session.supervisor, id, "late");
  session.supervisor.answer(id, "relayed");
  run_until_answered(session.client, answers, 1);
  CHECK(summary(answers.of(0)) == "relayed");
}

TEST_CASE(
    "when the supervisor goes away each call on a line is answered once and with its own answer if that has come") {
  auto session = begin_line();
  Answers answers;
  const auto ids = start(session, answers, 3);
  session.worker.answer(ids[1], "in time");
  session.supervisor.close();
  run_until_answered(session.client, answers, 3);
  CHECK(summary(answers.of(1)) == "in time");
  for (int i : {0, 2}) {
    CHECK(answers.of(i).error().code == ErrorCode::unavailable);
    CHECK(answers.of(i).error().executed == Executed::maybe);
  }
  CHECK_FALSE(session.client.has_line(kModule));
  CHECK(summary(session.client.call(request())).starts_with("unavailable, executed no"));
}

TEST_CASE("a handler may start calls while its line ends") {
  auto session = begin_line();
  Answers answers;
  session.client.start(request("first"), [&](Answer) { session.client.start(request("second"), answers.handler(0)); });
  session.client.run_once(0ms);
  session.worker.receive_call();
  session.supervisor.send(LineEnded{session.line, 1, 1, kGuilty, kOthers});
  Script script([&] { session.supervisor.answer(session.supervisor.receive_call().id, "relayed"); });
  run_until_answered(session.client, answers, 1);
  CHECK(summary(answers.of(0)) == "relayed");
}

// --- its calls' time -----------------------------------------------------------------------------------------------

TEST_CASE(
    "an overdue call is reported to the supervisor and then answered by the library and later answers are dropped") {
  auto session = begin_line();
  Answers answers;
  start(session, answers, 1);
  CallRequest call = request("short");
  call.timeout = 20ms;
  const auto id = session.client.start(call, answers.handler(1));
  const auto begun = Clock::now();
  CHECK(session.client.next_wakeup().has_value());
  run_until_answered(session.client, answers, 1);
  CHECK(Clock::now() - begun >= 70ms);
  CHECK(answers.of(1).error().code == ErrorCode::deadline_exceeded);
  CHECK(answers.of(1).error().executed == Executed::maybe);
  CHECK(session.supervisor.receive() == describe(LineCallOverdue{session.line, 2}));
  session.client.run_once(0ms);
  session.worker.receive_call();
  CHECK(session.worker.receive() == describe(CancelRequest{id}));
  session.worker.answer(id, "late");
  session.client.run_once(100ms);
  CHECK(answers.count() == 1);
  CHECK(session.client.has_line(kModule));
  CHECK(session.client.open_calls() == 1);
}

TEST_CASE("a better answer that comes within the grace time counts") {
  auto session = begin_line();
  Answers answers;
  CallRequest call = request();
  call.timeout = 10ms;
  session.client.start(call, answers.handler(0));
  Script script([&] {
    session.supervisor.receive();  // the report that the call is overdue
    session.supervisor.send(LineEnded{session.line, 1, 1, kGuilty, kOthers});
  });
  run_until_answered(session.client, answers, 1);
  CHECK(summary(answers.of(0)) == summary(kGuilty));
}

TEST_CASE("calls have the default timeout of the line if they set none and at most its longest") {
  auto session = begin_line({20ms, 30ms});
  Answers answers;
  session.client.start(request(), answers.handler(0));
  CallRequest long_one = request();
  long_one.timeout = 1h;
  session.client.start(long_one, answers.handler(1));
  run_until_answered(session.client, answers, 2);
  for (int i : {0, 1}) CHECK(answers.of(i).error().code == ErrorCode::deadline_exceeded);
}

TEST_CASE("a call whose time is over is answered instead of being relayed") {
  auto session = begin_line();
  Answers answers;
  CallRequest call = request();
  call.timeout = 30ms;
  session.client.start(call, answers.handler(0));
  session.client.run_once(0ms);
  std::this_thread::sleep_for(40ms);
  session.worker.send(LineClosing{0});
  run_until_answered(session.client, answers, 1);
  CHECK(answers.of(0).error().code == ErrorCode::deadline_exceeded);
}

TEST_CASE("a cancelled call is answered at once and the worker is told and its later answer is dropped") {
  auto session = begin_line();
  Answers answers;
  const auto ids = start(session, answers, 2);
  session.client.cancel(ids[0]);
  session.client.cancel(ids[0]);
  run_until_answered(session.client, answers, 1);
  CHECK(answers.of(0).error().code == ErrorCode::cancelled);
  session.client.run_once(0ms);
  CHECK(session.worker.receive() == describe(CancelRequest{ids[0]}));
  session.worker.fail(ids[0], make_error(ErrorCode::cancelled, "given up"));
  session.worker.answer(ids[1], "1");
  run_until_answered(session.client, answers, 2);
  CHECK(summary(answers.of(1)) == "1");
  CHECK(session.client.has_line(kModule));
}

TEST_CASE("a call that was cancelled is not relayed when the line ends") {
  auto session = begin_line();
  Answers answers;
  const auto ids = start(session, answers, 2, 0);
  session.client.cancel(ids[0]);
  session.supervisor.send(LineEnded{session.line, 0, 0, {}, kOthers});
  run_until(session.client, [&] { return session.client.line_fds().empty(); });
  session.client.run_once(0ms);
  CHECK(answers.of(0).error().code == ErrorCode::cancelled);
  check_relayed(session.supervisor, ids[1], "1");
}

// --- hostile workers -----------------------------------------------------------------------------------------------

template <typename... Messages>
std::string frames(const Messages&... messages) {
  OutputBuffer out;
  (encode(out, messages), ...);
  return std::string(as_text(out.data()));
}
std::string result(std::uint64_t id) {
  OutputBuffer out;
  encode_result(out, id, {as_bytes("1")}, {});
  return std::string(as_text(out.data()));
}
std::string failure(std::uint64_t id, ErrorCode code) {
  OutputBuffer out;
  encode_error(out, id, make_error(code, "so it says"), {});
  return std::string(as_text(out.data()));
}

TEST_CASE("a worker that breaks a rule on a line loses the line and the supervisor decides the answers of its calls") {
  using Bytes = std::function<std::string(std::uint64_t id)>;
  const std::vector<Bytes> attacks = {
      [](auto) { return std::string(64, '\xff'); },                     // not a frame
      [](auto) { return std::string("\0\0\0\0\xff\xff\xff\x0f", 8); },  // a huge one
      [](auto) { return framed({{}}); },                                // a frame without a message
      [](auto) {
        return framed({{1, 2}, {3}});
      },                                                // a frame in two segments
      [](auto) { return result(4711); },                // an answer to no call
      [](auto id) { return result(id) + result(id); },  // two answers to one call
      [](auto) { return frames(kHello); },
      [](auto) { return frames(ProtocolViolation{"so there"}); },
      [](auto id) {
        return frames(ChunkView{id, {as_bytes("1")}});
      },
      [](auto) {
        return frames(LineEnded{1, 2, 3, kGuilty, kOthers});
      },
      [](auto) {
        return frames(LineOpened{1, kOthers});
      },
      [](auto) { return frames(WorkerList{}); },
      [](auto) { return frames(LineClosing{100}, LineClosing{100}); },
      [](auto id) { return failure(id, ErrorCode::unavailable); },
      [](auto id) { return failure(id, ErrorCode::out_of_memory); },
      [](auto id) { return failure(id, ErrorCode::cancelled); },          // the call was not cancelled
      [](auto id) { return failure(id, ErrorCode::deadline_exceeded); },  // the call is not overdue
  };
  for (std::size_t attack = 0; attack < attacks.size(); ++attack) {
    CAPTURE(attack);
    auto session = begin_line();
    Answers answers;
    const auto ids = start(session, answers, 3);
    session.worker.send_bytes(attacks[attack](ids[0]));
    run_until(session.client, [&] { return session.client.line_fds().empty(); });
    CHECK_FALSE(session.client.has_line(kModule));
    CHECK(session.client.connected());
    session.client.run_once(1ms);
    CHECK(session.supervisor.receive() == describe(CancelRequest{session.line}));
    session.supervisor.send(LineEnded{session.line, 2, 0, {}, kOthers});
    run_until_answered(session.client, answers, 2);
    session.client.run_once(0ms);
    check_relayed(session.supervisor, ids[2], "2");
    session.supervisor.answer(ids[2], "relayed");
    run_until_answered(session.client, answers, 3);
    CHECK(answers.of(1).error().message.starts_with(kOthers.message));
    CHECK(answers.of(1).error().message.find("broke a rule") != std::string::npos);
    CHECK(session.client.open_calls() == 0);
  }
}

TEST_CASE("texts of a worker's errors are made fit to show") {
  auto session = begin_line();
  Answers answers;
  const auto ids = start(session, answers, 1);
  Error error = make_error(ErrorCode::exception, "a\xff" + std::string(100'000, 'x'), Executed::yes);
  session.worker.fail(ids[0], error);
  run_until_answered(session.client, answers, 1);
  CHECK(answers.of(0).error().message.starts_with("a\xEF\xBF\xBD"));
  CHECK(answers.of(0).error().message.size() <= 33'000);
}

TEST_CASE("a worker that sends half a frame delays no other call and its own call only to its deadline") {
  auto session = begin_line();
  Answers answers;
  CallRequest call = request();
  call.timeout = 50ms;
  const auto id = session.client.start(call, answers.handler(0));
  session.client.run_once(0ms);
  session.worker.send_bytes(result(id).substr(0, 20));
  run_until_answered(session.client, answers, 1);
  CHECK(answers.of(0).error().code == ErrorCode::deadline_exceeded);
  session.supervisor.send(LineEnded{session.line, 1, 0, {}, kOthers});
  run_until(session.client, [&] { return session.client.line_fds().empty(); });
  CHECK(answers.count() == 1);
}

TEST_CASE("a worker that reads nothing does not block the client") {
  auto session = begin_line();
  Answers answers;
  const std::string payload(std::size_t{1} << 20, 'x');
  for (int i = 0; i < 8; ++i) {
    session.client.start(request(payload), answers.handler(i));
    session.client.run_once(0ms);
  }
  CHECK(session.client.unsent_bytes() > payload.size());
  session.supervisor.send(LineEnded{session.line, 0, 0, {}, kOthers});
  Script script([&] {
    for (int i = 0; i < 8; ++i) session.supervisor.answer(session.supervisor.receive_call().id, "relayed");
  });
  run_until_answered(session.client, answers, 8);
}

// --- supervisors that break a rule ---------------------------------------------------------------------------------

TEST_CASE(
    "a line without its socket or an unrequested descriptor or a message for a line that is not open ends the "
    "session") {
  using Steps = std::function<void(Supervisor&, std::uint64_t id, const UniqueFd& socket)>;
  const std::vector<Steps> attacks = {
      [](auto& supervisor, auto id, auto&) {
        supervisor.send(LineOpened{id, kTimeouts});
      },
      [](auto& supervisor, auto id, auto& socket) {
        supervisor.put(LineOpened{id + 1, kTimeouts});
        supervisor.flush_with(socket);
      },
      [](auto& supervisor, auto id, auto& socket) {
        supervisor.put(LineOpened{id, kOthers});
        supervisor.flush_with(socket);
      },
      [](auto& supervisor, auto id, auto& socket) {
        for (int i = 0; i < 2; ++i) {
          supervisor.put(LogRecordMessage{.id = id});  // allowed, as it may have been on its way
          supervisor.flush_with(socket);
        }
      },
      [](auto& supervisor, auto id, auto&) {
        supervisor.send(LineEnded{id, 0, 0, kGuilty, kOthers});
      },
      [](auto& supervisor, auto, auto&) { supervisor.send(LineClosing{0}); },
  };
  for (std::size_t attack = 0; attack < attacks.size(); ++attack) {
    CAPTURE(attack);
    auto session = begin_session();
    auto [near, far] = stream_sockets();
    Script script([&, &near = near] {
      const auto id = session.supervisor.receive_open_line();
      attacks[attack](session.supervisor, id, near);
    });
    const auto opened = session.client.open_line(kModule);
    session.client.run_once(10ms);
    CHECK_FALSE(session.client.connected());
  }
}

// --- the property --------------------------------------------------------------------------------------------------

TEST_CASE("each call is answered once and begun at most once whatever worker and supervisor do in any order") {
  for (unsigned seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 generator(seed);
    const auto random = [&](std::uint64_t below) { return generator() % below; };
    auto session = begin_line();
    Answers answers;
    constexpr int kCalls = 12;
    const auto ids = start(session, answers, kCalls);
    const std::uint64_t begun = random(kCalls + 1);
    std::vector<std::uint64_t> to_answer(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(begun));
    std::vector<bool> was_cancelled(kCalls, false);
    // The worker begins some calls, answers some of those, perhaps announces the end of its line, and dies.
    if (random(2) == 0) session.worker.send(LineClosing{begun});
    while (!to_answer.empty() && random(4) != 0) {
      const auto place = static_cast<std::ptrdiff_t>(random(to_answer.size()));
      session.worker.answer(to_answer[static_cast<std::size_t>(place)], "direct");
      to_answer.erase(to_answer.begin() + place);
      if (random(3) == 0) session.client.run_once(0ms);
      if (random(5) == 0) {
        const auto cancelled = random(kCalls);
        session.client.cancel(ids[cancelled]);
        was_cancelled[cancelled] = true;
      }
    }
    if (random(2) == 0) session.worker.close();
    if (random(2) == 0) session.client.run_once(0ms);
    session.supervisor.send(LineEnded{session.line, begun, 0, {}, kOthers});
    Script script([&] {
      // Only calls that had not begun may be relayed.
      for (std::string got = session.supervisor.receive(); got != "end"; got = session.supervisor.receive()) {
        if (!got.starts_with("call id=")) continue;
        const std::uint64_t id = std::stoull(got.substr(8));
        const auto place = static_cast<std::uint64_t>(std::ranges::find(ids, id) - ids.begin());
        if (place < begun) throw std::runtime_error("a call that was begun is run again: " + got);
        session.supervisor.answer(id, "relayed");
      }
    });
    run_until_answered(session.client, answers, kCalls);
    for (int i = 0; i < kCalls; ++i) {
      const std::string got = summary(answers.of(i));
      CAPTURE(got);
      const bool fits = got == "direct" || got == "relayed" || got == summary(kOthers) ||
                        (was_cancelled[static_cast<std::size_t>(i)] && got.starts_with("cancelled"));
      CHECK(fits);
    }
    CHECK(session.client.open_calls() == 0);
    CHECK(session.client.connected());
    const Client gone = std::move(session.client);
  }
}

}  // namespace
}  // namespace holdfast::ipc
