// What several hostile modules can do together to an innocent module.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/syscall.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "tests/adversarial/attacker.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

using std::chrono::milliseconds;

TEST_CASE("modules that each send a part of a large frame do not get others disconnected") {
  constexpr int kAttackers = 31;
  constexpr long kLargest = (long{17} << 20) - 64, kRest = long{1900} << 10;
  DaemonOptions options = under_attack({"--max-workers", "40"});
  const std::string code = options.modules.front().code;
  options.modules = {{"bystander", "exports.large = () => 'x'.repeat(4 << 20);"}};
  for (int i = 0; i < kAttackers; ++i) options.modules.push_back({fmt::format("attacker{}", i), code});
  const Daemon daemon(options);
  ipc::Client client = daemon.connect(), others = daemon.connect();
  REQUIRE(code_of(call(client, {"bystander", "large"})) == "result");

  Calls attacks(others);
  std::uint64_t sent = 0;
  for (int i = 0; i < kAttackers; ++i) {
    const std::string attacker = fmt::format("attacker{}", i);
    REQUIRE(outcome(call(client, {attacker, "ping"})) == "\"pong\"");
    const long size = i + 1 < kAttackers ? kLargest : kRest;
    attacks.start({.module = attacker, .function = "sendAlmostAll", .payload = std::to_string(size)});
    others.run_once(std::chrono::milliseconds(1));
    sent += static_cast<std::uint64_t>(size);
    // The supervisor's memory shows how much of the frame it has received.
    (void)eventually(
        [&] {
          const std::string held = status_field(daemon.pid(), "VmRSS");
          return std::stoull(held) * 1024 > sent;
        },
        std::chrono::milliseconds(2000));
  }
  for (int i = 0; i < 3; ++i) {
    const auto answer = call(client, {"bystander", "large"});
    CHECK_MESSAGE(code_of(answer) == "result", outcome(answer).substr(0, 200));
  }
}

// No worker writes log lines of more than 8 kB. Each of these lines costs the supervisor as much as 2000 of the lines
// that it counts.
TEST_CASE("a worker whose log line is longer than any that a worker writes is killed") {
  const Daemon daemon(under_attack());
  ipc::Client client = daemon.connect();
  const std::string flood = R"js(
    const size = 1 << 20, bytes = new ArrayBuffer(56 + size);
    new Uint32Array(bytes).set([0, 6 + (size >> 3), 0, 0x00010001, 3, 0, 0, 0x00010002, 0, 0, 0, 0, 1, size << 3 | 2]);
    new Uint8Array(bytes, 56).fill(120, 0, size - 1);
    exports.flood = () => { for (let i = 0; i < 100; i++) sendAll(bytes); return 'sent'; };
  )js";
  daemon.add_module({"flooder", under_attack().modules.front().code + flood});
  REQUIRE(outcome(call(client, {"flooder", "ping"})) == "\"pong\"");
  CHECK(code_of(call(client, {"flooder", "flood"})) == "worker_crashed");
}

TEST_CASE("a module that crashes over and over logs no more than one that lives") {
  const std::string noisy = fmt::format(R"js(
    exports.noisy = () => {{
      for (let i = 0; i < 30; i++) console.log('x'.repeat(8000));
      return new Promise(() => setTimeout(() => systemCall({}n, 1n), 1));
    }};
  )js",
                                        SYS_exit_group);
  Daemon daemon({.modules = {{"noisy", noisy}}, .worker = attacker_program()});
  ipc::Client client = daemon.connect();
  for (int i = 0; i < 20; ++i) CHECK(code_of(call(client, {"noisy", "noisy"})) == "worker_crashed");
  constexpr std::size_t kBurstAndSomeSeconds = std::size_t{1} << 20;
  CHECK(daemon.log().size() < kBurstAndSomeSeconds);
  daemon.stop();
}

// The supervisor carries out the consequences of a cancellation at once. If it left them for the next event, they could
// concern a worker that is gone by then: here a call is given to a worker that drained for the cancelled call and is
// about to crash.
TEST_CASE("a call can be cancelled while the worker that drains for it dies") {
  DaemonOptions options = under_attack({"--max-workers", "1", "--stretch", "1m"});
  const std::string code = options.modules.front().code + R"js(
    const spinUntil = (end) => { while (Date.now() < end); };
    exports.dieAt = (time) => { spinUntil(time); fault('illegal instruction'); };
    exports.busy = (time) => spinUntil(Date.now() + time);
  )js";
  options.modules = {{"dying", code}, {"waiting", code}, {"busy", code}};
  Daemon daemon(options);
  ipc::Client client = daemon.connect(), observer = daemon.connect();
  milliseconds until_death(260);
  for (int i = 0; i < 6;) {
    REQUIRE(outcome(call(client, {"dying", "ping"})) == "\"pong\"");
    Calls calls(client);
    const auto death = std::chrono::floor<milliseconds>(std::chrono::system_clock::now()) + until_death;
    const auto dies = calls.start({"dying", "dieAt", std::to_string(death.time_since_epoch().count())});
    client.run_once(milliseconds(20));
    const auto first_in_line = calls.start({"waiting", "ping"});
    client.run_once(milliseconds(20));
    bool drains = false;
    REQUIRE(workers_become(observer, [&](const auto& all) {
      drains =
          std::any_of(all.begin(), all.end(), [](const auto& one) { return one.state == ipc::WorkerState::draining; });
      return drains || std::chrono::system_clock::now() > death;
    }));
    if (!drains) {  // the machine is busy: try again with more time
      until_death *= 2;
      REQUIRE(until_death < std::chrono::minutes(1));
      calls.wait_for_all();
      continue;
    }
    const auto second_in_line = calls.start({"dying", "hold"});
    client.run_once(milliseconds(10));
    const auto third_in_line = calls.start({"busy", "busy", "300"});
    // Cancels shortly before the worker dies, with nothing in between.
    std::this_thread::sleep_until(death - milliseconds(1 + i++ % 3));
    calls.cancel(first_in_line);
    client.run_once(milliseconds(0));
    CHECK(code_of(calls.wait_for(first_in_line)) == "cancelled");
    CHECK(code_of(calls.wait_for(dies)) == "worker_crashed");
    calls.cancel(second_in_line);
    calls.wait_for_all();
    CHECK(code_of(calls.answer(second_in_line)) == "cancelled");
    CHECK(code_of(calls.answer(third_in_line)) == "result");
  }
  daemon.stop();
}

}  // namespace
}  // namespace holdfast::test
