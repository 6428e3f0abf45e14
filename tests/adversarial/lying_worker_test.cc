// Workers that lie, on their socket and on the page that they share with the supervisor. Only such a worker is killed,
// and what it says about others is not believed.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <csignal>
#include <functional>
#include <limits>
#include <random>

#include "ipc/worker_messages.h"
#include "tests/adversarial/attacker.h"
#include "tests/support/calls.h"
#include "tests/support/processes.h"
#include "tests/support/raw_connection.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

using std::chrono::milliseconds;

std::string text_of(const ipc::OutputBuffer& out) { return std::string(ipc::as_text(out.data())); }

std::string json_result_frame(std::uint64_t id, std::string_view payload) {
  ipc::OutputBuffer out;
  ipc::encode_worker_result(out, id, {ipc::as_bytes(payload), ipc::Encoding::json});
  return text_of(out);
}

std::string error_frame(std::uint64_t id, const ipc::Error& error) {
  ipc::OutputBuffer out;
  ipc::encode_worker_error(out, id, error);
  return text_of(out);
}

template <typename Message>
std::string worker_frame(const Message& message) {
  ipc::OutputBuffer out;
  encode(out, message);
  return text_of(out);
}

// Calls the attacker's `function`, checks that this ends its worker and affects nothing else, and returns the answer.
ipc::Answer attack(const std::string& function, const std::string& payload, std::vector<std::string> flags = {},
                   milliseconds timeout = milliseconds(0)) {
  Daemon daemon(under_attack(std::move(flags)));
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"attacker", "ping"})) == "\"pong\"");
  CHECK(outcome(call(client, {"bystander", "ping"})) == "\"pong\"");
  const pid_t attacker = worker_of(client, "attacker").pid;
  const pid_t bystander = worker_of(client, "bystander").pid;
  Calls calls(client);
  const auto waiting = calls.start({"bystander", "wait", "50"});
  const auto attacking =
      calls.start({.module = "attacker", .function = function, .payload = payload, .timeout = timeout});
  while (!calls.is_answered(attacking)) CHECK(outcome(call(client, {"bystander", "ping"})) == "\"pong\"");
  CHECK(outcome(calls.wait_for(waiting)) == "\"waited\"");
  CHECK(eventually([&] { return !is_running(attacker); }));
  CHECK(outcome(call(client, {"attacker", "ping"})) == "\"pong\"");
  CHECK(outcome(call(client, {"bystander", "ping"})) == "\"pong\"");
  CHECK(worker_of(client, "bystander").pid == bystander);
  daemon.stop();
  return calls.answer(attacking);
}

// Has the attacker's worker send these bytes to the supervisor, with the checks of attack(), and returns the call's
// error.
ipc::Error cut_off(const std::string& bytes, const std::string& function = "sendAndHold") {
  return error_of(attack(function, as_json(bytes)));
}

// The number of the bystander's next call on its worker. Makes sure that the attacker's worker has no call of this
// number.
std::uint64_t number_on_the_bystander(ipc::Client& client) {
  for (int i = 0; i < 50; ++i) call(client, {"bystander", "ping"});
  CHECK(outcome(call(client, {"attacker", "callNumber"})) == "1");
  return worker_of(client, "bystander").calls_done + 1;
}

// What an attack on another module's call came to: the error of the attacker's own call.
struct AttackOnCall {
  std::uint64_t call = 0;  // the number of the attacked call on its worker
  ipc::Error error;
};

// Has the attacker's worker send what `bytes` makes of the number of a call that the bystander has not answered, and
// checks that the call is answered by its own worker alone.
AttackOnCall attack_call_of_bystander(const std::function<std::string(std::uint64_t)>& bytes) {
  Daemon daemon(under_attack());
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"bystander", "ping"})) == "\"pong\"");
  const auto id = number_on_the_bystander(client);
  Calls calls(client);
  const auto victim = calls.start({"bystander", "hold"});
  const auto attacking = calls.start({"attacker", "sendAndHold", as_json(bytes(id))});
  const auto error = error_of(calls.wait_for(attacking));
  CHECK_FALSE(calls.is_answered(victim));
  call(client, {"bystander", "release"});
  CHECK(outcome(calls.wait_for(victim)) == "\"held\"");
  daemon.stop();
  return {id, error};
}

// --- on the socket -------------------------------------------------------------------------------------------------

TEST_CASE("a worker that sends garbage is killed, and its call is told what rule was broken") {
  const auto error = cut_off(std::string(1000, '\xFF'));
  CHECK(ipc::to_string(error.code) == "worker_crashed");
  CHECK(contains(error.message, "broke the protocol"));
  CHECK(error.detail != "");
  CHECK(error.executed == ipc::Executed::maybe);
}

TEST_CASE("a worker whose header announces 4 GB, a frame larger than an answer may be, or many segments, is killed") {
  CHECK(contains(cut_off(frame_header({0x1fff'ffff})).detail, "bytes"));
  CHECK(contains(cut_off(frame_header({(18 << 20) / 8})).detail, "bytes"));
  CHECK(contains(cut_off(frame_header(std::vector<std::uint32_t>(1000, 1))).detail, "segments"));
  CHECK(contains(cut_off(frame_header({1, 1})).detail, "segments"));
}

TEST_CASE("a worker that sends a frame without a valid message is killed") {
  CHECK(code_of(tl::unexpected(cut_off(frame({0xffff'ffff'ffff'ffff})))) == "worker_crashed");
  CHECK(code_of(tl::unexpected(cut_off(frame({})))) == "worker_crashed");
  CHECK(code_of(tl::unexpected(cut_off(frame({0x0000'0001'0000'0000, 0x63})))) == "worker_crashed");
}

TEST_CASE("a worker that answers a call which does not exist is killed") {
  CHECK(contains(cut_off(json_result_frame(123456, "1")).detail, "123456"));
  CHECK(contains(cut_off(json_result_frame(0, "1")).detail, "call 0"));
  CHECK(contains(cut_off(json_result_frame(std::numeric_limits<std::uint64_t>::max(), "1")).detail, "does not have"));
}

TEST_CASE("a worker that answers twice is killed and the first answer stands") {
  const auto answer = attack("send", as_json(json_result_frame(kOwnId, "\"first\"")));
  CHECK(outcome(answer) == "\"first\"");
}

TEST_CASE("a worker that answers deadline_exceeded before the deadline is killed") {
  const auto error = cut_off(error_frame(kOwnId, {.code = ipc::ErrorCode::deadline_exceeded, .message = "so it says"}));
  CHECK(ipc::to_string(error.code) == "worker_crashed");
}

TEST_CASE("only the worker that sends damaged messages or random bytes ends and the supervisor lives") {
  Daemon daemon(under_attack({"--log-level", "error"}));
  ipc::Client client = daemon.connect();
  const std::string whole = json_result_frame(kOwnId, R"({"a":[1,2,3]})") +
                            worker_frame(ipc::LogLine{ipc::LogLevel::info, "a line", 1}) +
                            error_frame(kOwnId, {.code = ipc::ErrorCode::exception, .message = "m", .stack = "s"}) +
                            worker_frame(ipc::Stopped{ipc::StopReason::fatal, 1, "stack", "detail"}) +
                            worker_frame(ipc::LoadFailed{}) + worker_frame(ipc::Loaded{});
  std::mt19937 random(20240229);
  const auto below = [&](std::size_t bound) {
    return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random);
  };
  for (int round = 0; round < 60; ++round) {
    CAPTURE(round);
    // If the bytes announce more than follows, they swallow the next answer too, until the supervisor finds that the
    // worker is stuck. The timeout is longer than the time that the supervisor needs to find that an idle worker does
    // not give up a call.
    const CallTo ping = {.module = "attacker", .function = "ping", .timeout = milliseconds(5000)};
    CHECK(eventually([&] { return outcome(call(client, ping)) == "\"pong\""; }));
    std::string bytes = whole;
    if (round % 4 == 0) {
      for (char& byte : bytes) byte = static_cast<char>(below(256));
    } else {
      for (std::size_t flips = 1 + below(8); flips > 0; --flips) {
        bytes[below(bytes.size())] ^= static_cast<char>(1U << below(8));
      }
    }
    const CallTo attack{"attacker", "sendAndHold", as_json(bytes), milliseconds(100)};
    call(client, attack);  // its outcome does not matter
    CHECK(outcome(call(client, {"bystander", "ping"})) == "\"pong\"");
  }
  CHECK(outcome(call(client, {"attacker", "ping"})) == "\"pong\"");
  CHECK(worker_of(client, "bystander").calls_done == 60);
  daemon.stop();
}

TEST_CASE("no worker can answer another module's call") {
  const auto attacked =
      attack_call_of_bystander([](std::uint64_t call) { return json_result_frame(call, "\"forged\""); });
  CHECK(contains(attacked.error.detail, std::to_string(attacked.call)));
}

TEST_CASE("no worker can pass off an error as one of the supervisor") {
  for (const auto code :
       {ipc::ErrorCode::cpu_exceeded, ipc::ErrorCode::deadline_exceeded, ipc::ErrorCode::out_of_memory,
        ipc::ErrorCode::sandbox_violation, ipc::ErrorCode::worker_crashed, ipc::ErrorCode::overloaded,
        ipc::ErrorCode::permission_denied, ipc::ErrorCode::unavailable, ipc::ErrorCode::load_failed}) {
    ipc::Error forged;
    forged.code = code;
    forged.message = "forged";
    const auto error = cut_off(error_frame(kOwnId, forged));
    CHECK(ipc::to_string(error.code) == "worker_crashed");
    CHECK_FALSE(contains(error.message, "forged"));
  }
}

TEST_CASE("a worker whose answer is in an encoding that does not exist is killed") {
  ipc::OutputBuffer out;
  ipc::encode_worker_result(out, kOwnId, {ipc::as_bytes("1"), static_cast<ipc::Encoding>(99)});
  CHECK(contains(cut_off(text_of(out)).detail, "encoding 99"));
}

TEST_CASE("a worker that reports an impossible time of work is killed") {
  for (const std::chrono::nanoseconds time :
       {std::chrono::nanoseconds(999'000), std::chrono::nanoseconds(std::chrono::minutes(10))}) {
    CHECK(contains(cut_off(worker_frame(ipc::WorkerRan{kOwnId, time})).detail, "longer than it has lived"));
  }
}

TEST_CASE("a result that is not JSON reaches no terminal") {
  Daemon daemon(under_attack());
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"attacker", "ping"})) == "\"pong\"");
  const std::string rude = as_json(json_result_frame(kOwnId, "not JSON \x1b[31m\n"));
  const Finished done =
      run({command_program(), "invoke", "attacker@v1", "sendAndHold", "-", "--socket", daemon.socket_path()},
          {.input = rude});
  CHECK(done.status == 3);
  CHECK(done.output == "");
  CHECK(contains(done.errors, "error: protocol_error"));
  CHECK_FALSE(contains(done.errors, "\x1b"));
}

TEST_CASE("the texts of a worker's error are cut and cleaned before a client sees them") {
  ipc::Error error;
  error.code = ipc::ErrorCode::exception;
  error.message = std::string(1 << 20, 'm') + "\xFF";
  error.stack = "\xC0\xAF" + std::string(1 << 20, 's');
  error.properties = "{\"code\":\"" + std::string(8 << 10, 'p') + "\"}";
  Daemon daemon(under_attack({"--memory", "256MB", "--stretch", "30s"}));
  ipc::Client client = daemon.connect();
  const auto seen = error_of(call(client, {"attacker", "sendAndHold", as_json(error_frame(kOwnId, error))}));
  CHECK(ipc::to_string(seen.code) == "exception");
  CHECK(seen.message.size() <= 32 << 10);
  CHECK(seen.stack.size() <= 32 << 10);
  CHECK_FALSE(contains(seen.stack, "\xC0"));
  CHECK(seen.properties == "");
  for (const char* properties : {"no JSON", "[]", "{\"code\":\"\xFF\"}", "{}}"}) {
    error.properties = properties;
    CHECK(error_of(call(client, {"attacker", "sendAndHold", as_json(error_frame(kOwnId, error))})).properties == "");
  }
}

TEST_CASE("a worker that reports the result of its load twice is killed and the supervisor lives") {
  CHECK(code_of(tl::unexpected(cut_off(worker_frame(ipc::Loaded{})))) == "worker_crashed");
  CHECK(code_of(attack("sendAndHold", as_json(worker_frame(ipc::LoadFailed{})))) != "result");
}

TEST_CASE("a module that reports its load as finished while it loads is killed and the supervisor lives") {
  DaemonOptions options = under_attack();
  const std::string loaded = as_json(worker_frame(ipc::Loaded{}));
  // The attacker's module, with a top level that sends a message.
  options.modules.push_back(
      {"eager", options.modules.front().code + fmt::format("\nsendAll(bytesOf({}, {{}}));", loaded)});
  Daemon daemon(std::move(options));
  ipc::Client client = daemon.connect();
  CHECK(code_of(call(client, {"eager", "ping"})) != "unavailable");
  CHECK(outcome(call(client, {"bystander", "ping"})) == "\"pong\"");
  daemon.stop();
}

TEST_CASE("a worker that reports a failed load and does not end is killed") {
  DaemonOptions options = under_attack({"--stretch", "1m"});
  ipc::Error error;
  error.code = ipc::ErrorCode::load_failed;
  error.message = "so it says";
  const std::string failed = as_json(worker_frame(ipc::LoadFailed{error}));
  options.modules.push_back(
      {"eager", options.modules.front().code + fmt::format("\nsendAll(bytesOf({}, {{}})); spin();", failed)});
  Daemon daemon(std::move(options));
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"bystander", "ping"})) == "\"pong\"");
  const auto before = daemon.workers();
  CHECK(outcome(call(client, {"eager", "ping"})) == "load_failed: so it says");
  CHECK(eventually([&] {
    const auto listed = workers(client);
    return daemon.workers().size() == listed.size();
  }));
  daemon.stop();
}

TEST_CASE("the fatal report of a worker can blame no call of another worker and is cut and cleaned") {
  const std::string stack = std::string(100'000, 'x') + "\xFF\x1b[31m";
  const auto error = attack_call_of_bystander([&](std::uint64_t call) {
                       return worker_frame(ipc::Stopped{ipc::StopReason::out_of_memory, call, stack, "heap"});
                     }).error;
  CHECK(error.stack.size() <= 32 << 10);
  CHECK_FALSE(contains(error.stack, "\xFF"));
}

TEST_CASE("what a worker logs cannot forge a line or drown the log") {
  Daemon daemon(under_attack());
  ipc::Client client = daemon.connect();
  const std::string forged = "text\x1b[2J\n2030-01-01T00:00:00 critical forged \xFF\xFE";
  CHECK(outcome(call(client, {"attacker", "send",
                              as_json(worker_frame(ipc::LogLine{ipc::LogLevel::info, forged, 7}))})) == "\"sent\"");
  REQUIRE(daemon.logged("forged"));
  CHECK(contains(daemon.log(), R"(text\x1b[2J\n2030-01-01T00:00:00 critical forged)"));
  CHECK_FALSE(contains(daemon.log(), "\x1b"));
}

TEST_CASE(
    "a worker that floods the supervisor is stopped by the deadline of its call at the latest and others are served") {
  const std::string line = worker_frame(ipc::LogLine{ipc::LogLevel::info, std::string(8000, 'x'), 0});
  std::string many;
  for (int i = 0; i < 8; ++i) many += line;
  const auto answer = attack("sendForEver", as_json(many), {"--stretch", "300ms"}, milliseconds(1000));
  CHECK((code_of(answer) == "cpu_exceeded" || code_of(answer) == "deadline_exceeded"));
}

TEST_CASE(
    "a worker that reads no more requests is killed at the deadline of its calls and does not fill the memory of the "
    "supervisor") {
  Daemon daemon(under_attack({"--stretch", "10m"}));
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"attacker", "ping"})) == "\"pong\"");
  const pid_t attacker = worker_of(client, "attacker").pid;
  Calls calls(client);
  calls.start({.module = "attacker", .function = "spin", .timeout = milliseconds(500)});
  const std::string large = "\"" + std::string(4 << 20, 'x') + "\"";
  for (int i = 0; i < 60; ++i) {
    calls.start({.module = "attacker", .function = "echo", .payload = large, .timeout = milliseconds(30'000)});
  }
  while (!calls.is_answered(0)) {
    client.run_once(milliseconds(10));
    CHECK(std::stoull(status_field(daemon.pid(), "RssAnon")) < 300 << 10);  // kB
  }
  CHECK(code_of(calls.answer(0)) == "deadline_exceeded");
  CHECK(eventually([&] { return !is_running(attacker); }));
  calls.wait_for_all();
  CHECK(calls.count("result") == 60);  // the worker had started none of them
  daemon.stop();
}

// --- on the shared page --------------------------------------------------------------------------------------------

TEST_CASE("a worker that claims to run nothing, and loops, is stopped at its call's deadline") {
  for (const char* function : {"lieAndSpin", "lieAndLoop"}) {
    const auto answer = attack(function, R"([["running",0]])", {"--stretch", "100ms"}, milliseconds(400));
    CHECK(code_of(answer) == "deadline_exceeded");
  }
}

TEST_CASE("a worker that claims to have begun in the future gains no time") {
  for (const std::string start :
       {"9223372036854775807", "18446744073709551615", "4611686018427387904", "1000000000000000000", "0"}) {
    CAPTURE(start);
    const auto answer = attack("lieAndSpin", fmt::format(R"([["stretchStart","{}"]])", start), {"--stretch", "100ms"},
                               milliseconds(10'000));
    CHECK(code_of(answer) == "cpu_exceeded");
  }
}

TEST_CASE("a worker that claims to begin a new stretch all the time is stopped at its call's deadline") {
  const auto answer = attack("renewStretches", "null", {"--stretch", "100ms"}, milliseconds(500));
  CHECK((code_of(answer) == "deadline_exceeded" || code_of(answer) == "cpu_exceeded"));
}

TEST_CASE(
    "a worker that claims to be idle, and to run from time to time, does not keep the CPU beyond its call's deadline") {
  Daemon daemon(under_attack({"--stretch", "100ms"}));
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"attacker", "ping"})) == "\"pong\"");
  const pid_t attacker = worker_of(client, "attacker").pid;
  const CallTo spin{.module = "attacker", .function = "spinAsIdle", .timeout = milliseconds(300)};
  CHECK(code_of(call(client, spin)) == "deadline_exceeded");
  CHECK(eventually([&] { return !is_running(attacker); }));
  CHECK(outcome(call(client, {"attacker", "ping"})) == "\"pong\"");
  daemon.stop();
}

TEST_CASE("a worker that claims to run another module's call harms that call in no way") {
  Daemon daemon(under_attack({"--stretch", "100ms"}));
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"bystander", "ping"})) == "\"pong\"");
  const auto id = number_on_the_bystander(client);
  Calls calls(client);
  const auto victim = calls.start({"bystander", "hold"});
  const auto attacking = calls.start({"attacker", "lieAndSpin", fmt::format(R"([["running",{}]])", id)});
  CHECK(code_of(calls.wait_for(attacking)) != "result");
  CHECK_FALSE(calls.is_answered(victim));
  call(client, {"bystander", "release"});
  CHECK(outcome(calls.wait_for(victim)) == "\"held\"");
  daemon.stop();
}

TEST_CASE("a worker that claims to be loading for ever is stopped") {
  const auto answer = attack("lieAndSpin", R"([["running","18446744073709551615"]])", {"--stretch", "100ms"});
  CHECK(code_of(answer) != "result");
}

TEST_CASE("a worker that claims to have started nothing has its call given to others only so often") {
  Daemon daemon(under_attack());
  ipc::Client client = daemon.connect();
  const auto error = error_of(call(client, {"attacker", "lieAndExit", R"([[["lastTaken",0]],9])"}));
  CHECK(ipc::to_string(error.code) == "worker_crashed");
  CHECK(outcome(call(client, {"attacker", "ping"})) == "\"pong\"");
  daemon.stop();
}

TEST_CASE("a worker that claims to have started everything costs only its own module's calls") {
  Daemon daemon(under_attack({"--stretch", "100ms"}));
  ipc::Client client = daemon.connect();
  Calls calls(client);
  calls.start({"attacker", "lieAndSpin", R"([["lastTaken","18446744073709551615"]])"});
  for (int i = 0; i < 10; ++i) calls.start({"attacker", "ping"});
  const auto victim = calls.start({"bystander", "hold"});
  CHECK(code_of(calls.wait_for(0)) == "cpu_exceeded");
  for (std::size_t ping = 1; ping <= 10; ++ping) calls.wait_for(ping);
  CHECK_FALSE(calls.is_answered(victim));
  call(client, {"bystander", "release"});
  CHECK(outcome(calls.wait_for(victim)) == "\"held\"");
  daemon.stop();
}

TEST_CASE("a worker that claims to have done nothing is charged what the kernel counted, and cannot be charged less") {
  Daemon daemon(under_attack({"--stretch", "100ms"}));
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"attacker", "ping"})) == "\"pong\"");
  const std::string lies = R"([["running",0],["stretchStart",0],["stretchCount",0],["lastTaken",0]])";
  const ipc::Answer answer =
      call(client, {.module = "attacker", .function = "lieAndSpin", .payload = lies, .timeout = milliseconds(500)});
  CHECK(code_of(answer) == "deadline_exceeded");
  CHECK(answer.usage.attempts == 1);
  CHECK(answer.usage.bytes_in == lies.size());
  CHECK(answer.usage.run >= milliseconds(400));
  CHECK(answer.usage.cpu >= milliseconds(50));
  CHECK(stats_of(client, "attacker").cpu >= answer.usage.cpu);
  daemon.stop();
}

TEST_CASE("a worker that exits as if a call was refused and names one that does not exist is worker_crashed") {
  for (const std::string number : {"4294967295", "2147483648", "99999", "1"}) {
    CAPTURE(number);
    const auto answer = attack("lieAndExit", fmt::format(R"([[["refusedSystemCall","{}"]],{}])", number, 128 + SIGSYS));
    CHECK(code_of(answer) == "sandbox_violation");
  }
}

TEST_CASE("a worker that uses the CPU after its answer while it claims to be idle is removed after its idle time") {
  Daemon daemon(under_attack({"--stretch", "100ms", "--idle-timeout", "300ms"}));
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"attacker", "answerLieAndSpin", R"([["running",0]])"})) == "\"answered\"");
  const pid_t attacker = worker_of(client, "attacker").pid;
  CHECK(eventually([&] { return !is_running(attacker); }));
  CHECK(outcome(call(client, {"attacker", "ping"})) == "\"pong\"");
  daemon.stop();
}

TEST_CASE("the exit status of a worker that could not lock itself is not believed of one that holds a module") {
  const auto answer = attack("lieAndExit", "[[],71]");
  CHECK(code_of(answer) == "worker_crashed");
}

}  // namespace
}  // namespace holdfast::test
