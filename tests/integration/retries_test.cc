// Calls whose worker dies during the call: which are run again, how often, and which never.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

using std::chrono::milliseconds;

// Each run of a function writes a line to the log, which leaves the worker when the function waits for something.
// `release` answers `wait` calls. `spin` and `loop` never end, and `loop` logs nothing.
const Module kShared{"shared", R"js(
    let waiting = [];
    exports.wait = (id) => { console.log(`begun ${id}.`); return new Promise((resolve) => waiting.push(() => resolve(id))); };
    exports.release = () => { for (const resolve of waiting.splice(0)) resolve(); return 'released'; };
    const begin = (id) => { console.log(`begun ${id}.`); return new Promise((resolve) => setTimeout(resolve, 1)); };
    exports.spin = async (id) => { await begin(id); while (true) {} };
    exports.devour = async (id) => { await begin(id); const all = []; while (true) all.push([all]); };
    exports.loop = () => { while (true) {} };
    exports.echo = (id) => { console.log(`begun ${id}.`); return id; };
)js"};
const std::vector<std::string> kShortStretch = {"--stretch", "100ms"};

CallTo idempotent(const std::string& function, const std::string& payload) {
  return {.module = "shared", .function = function, .payload = payload, .idempotent = true};
}

std::size_t runs(const Daemon& daemon, int id) { return occurrences(daemon.log(), fmt::format("begun {}.", id)); }

bool begun_times(const Daemon& daemon, ipc::Client& client, int id, std::size_t times) {
  return eventually([&] {
    client.run_once(milliseconds(0));
    return runs(daemon, id) == times;
  });
}

TEST_CASE("an idempotent call whose worker is killed is run again, answered once, and tells of both attempts") {
  Daemon daemon({.modules = {kShared}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  const auto waiting = calls.start(idempotent("wait", "7"));
  REQUIRE(begun_times(daemon, client, 7, 1));
  ::kill(worker_of(client, "shared").pid, SIGKILL);
  REQUIRE(begun_times(daemon, client, 7, 2));
  CHECK(outcome(call(client, {"shared", "release"})) == "\"released\"");
  const ipc::Answer& answer = calls.wait_for(waiting);
  CHECK(outcome(answer) == "7");
  CHECK(answer.usage.attempts == 2);
  CHECK(stats_of(client, "shared").retries == 1);
  CHECK(runs(daemon, 7) == 2);
  daemon.stop();
}

TEST_CASE("an idempotent call is run again when its worker is stopped for another call and that call is not") {
  for (const auto& [guilty_function, its_code] :
       {std::pair{"spin", "cpu_exceeded"}, std::pair{"devour", "out_of_memory"}}) {
    CAPTURE(guilty_function);
    Daemon daemon({.modules = {kShared}, .flags = {"--stretch", "2s", "--memory", "16MB"}});
    ipc::Client client = daemon.connect();
    Calls calls(client);
    const auto waiting = calls.start(idempotent("wait", "7"));
    const auto guilty = calls.start(idempotent(guilty_function, "666"));
    CHECK(code_of(calls.wait_for(guilty)) == its_code);
    CHECK(calls.answer(guilty).usage.attempts == 1);
    REQUIRE(begun_times(daemon, client, 7, 2));
    CHECK(outcome(call(client, {"shared", "release"})) == "\"released\"");
    CHECK(outcome(calls.wait_for(waiting)) == "7");
    CHECK(calls.answer(waiting).usage.attempts == 2);
    daemon.stop();
    CHECK(runs(daemon, 666) == 1);
  }
}

TEST_CASE("idempotent calls are run again when the zygote dies") {
  Daemon daemon({.modules = {kShared}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  constexpr int kCalls = 5;
  for (int id = 0; id < kCalls; ++id) calls.start(idempotent("wait", std::to_string(id)));
  REQUIRE(begun_times(daemon, client, kCalls - 1, 1));
  ::kill(daemon.zygote(), SIGKILL);
  for (int id = 0; id < kCalls; ++id) REQUIRE(begun_times(daemon, client, id, 2));
  CHECK(outcome(call(client, {"shared", "release"})) == "\"released\"");
  calls.wait_for_all();
  for (std::size_t id = 0; id < kCalls; ++id) {
    CHECK(outcome(calls.answer(id)) == std::to_string(id));
    // The call may also have been given to a worker that died with the same zygote before it began the call.
    CHECK(calls.answer(id).usage.attempts >= 2);
  }
  daemon.stop();
  for (int id = 0; id < kCalls; ++id) CHECK(runs(daemon, id) == 2);
}

TEST_CASE("an idempotent call is run again at most --max-retries times, and then is worker_crashed") {
  for (const std::size_t max_retries : {0, 1, 3}) {
    CAPTURE(max_retries);
    Daemon daemon({.modules = {kShared}, .flags = {"--max-retries", std::to_string(max_retries)}});
    ipc::Client client = daemon.connect();
    Calls calls(client);
    calls.start(idempotent("wait", "7"));
    for (std::size_t run = 1; run <= max_retries + 1; ++run) {
      REQUIRE(begun_times(daemon, client, 7, run));
      CHECK_FALSE(calls.is_answered(0));
      ::kill(worker_of(client, "shared").pid, SIGKILL);
    }
    const auto error = error_of(calls.wait_for(0));
    CHECK(ipc::to_string(error.code) == "worker_crashed");
    CHECK(error.detail == "SIGKILL");
    CHECK(error.executed == ipc::Executed::maybe);
    CHECK(error.retryable);
    CHECK(calls.answer(0).usage.attempts == max_retries + 1);
    CHECK(stats_of(client, "shared").retries == max_retries);
    daemon.stop();
    CHECK(runs(daemon, 7) == max_retries + 1);
  }
}

TEST_CASE("a call that is not said to be idempotent is never run again once it was started") {
  Daemon daemon({.modules = {kShared}, .flags = kShortStretch});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  calls.start({"shared", "wait", "7"});
  REQUIRE(begun_times(daemon, client, 7, 1));
  ::kill(worker_of(client, "shared").pid, SIGKILL);
  const auto error = error_of(calls.wait_for(0));
  CHECK(ipc::to_string(error.code) == "worker_crashed");
  CHECK(error.retryable);
  CHECK(calls.answer(0).usage.attempts == 1);

  calls.start({"shared", "wait", "8"});
  calls.start({"shared", "spin", "666"});
  calls.wait_for_all();
  CHECK(code_of(calls.answer(1)) == "worker_crashed");
  CHECK(outcome(call(client, {"shared", "echo", "9"})) == "9");
  CHECK(stats_of(client, "shared").retries == 0);
  daemon.stop();
  CHECK(runs(daemon, 7) == 1);
  CHECK(runs(daemon, 8) == 1);
}

TEST_CASE("a call that never began is run again even without retries and however many workers die") {
  Daemon daemon({.modules = {kShared}, .flags = {"--stretch", "50ms", "--max-retries", "0"}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  constexpr int kSpins = 6;
  for (int i = 0; i < kSpins; ++i) calls.start({"shared", "loop"});
  const auto last = calls.start({"shared", "echo", "7"});
  calls.wait_for_all();
  CHECK(calls.count("cpu_exceeded") == kSpins);
  CHECK(outcome(calls.answer(last)) == "7");
  CHECK(calls.answer(last).usage.attempts >= 1);
  daemon.stop();
  CHECK(runs(daemon, 7) == 1);
}

TEST_CASE("a call whose time is over is not run again, on the CPU or not") {
  Daemon daemon({.modules = {kShared}, .flags = {"--stretch", "1m"}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"shared", "echo", "1"})) == "1");
  Calls calls(client);
  CallTo waiting = idempotent("wait", "7");
  CallTo spinning = idempotent("spin", "666");
  waiting.timeout = spinning.timeout = milliseconds(500);
  calls.start(waiting);
  calls.start(spinning);
  calls.wait_for_all();
  for (std::size_t place : {0, 1}) CHECK(code_of(calls.answer(place)) == "deadline_exceeded");
  // The next worker has been started and serves its calls.
  CHECK(outcome(call(client, {"shared", "echo", "8"})) == "8");
  daemon.stop();
  CHECK(runs(daemon, 7) == 1);
  CHECK(runs(daemon, 666) == 1);
}

TEST_CASE("a call that its client cancels is not run again") {
  Daemon daemon({.modules = {kShared}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  calls.start(idempotent("wait", "7"));
  REQUIRE(begun_times(daemon, client, 7, 1));
  const pid_t worker = worker_of(client, "shared").pid;
  ::kill(worker, SIGSTOP);  // the stopped worker cannot confirm anything
  calls.cancel(0);
  CHECK(code_of(calls.wait_for(0)) == "cancelled");
  ::kill(worker, SIGKILL);
  CHECK(outcome(call(client, {"shared", "echo", "8"})) == "8");
  daemon.stop();
  CHECK(runs(daemon, 7) == 1);
}

}  // namespace
}  // namespace holdfast::test
