// Waiting calls, while there are no slots left, may delay other modules for a moment only.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::test {
namespace {

using std::chrono::milliseconds;

// A way to stay on a worker for as long as the caller's timeout allows.
struct Wait {
  const char* name;
  const char* code;
};

const Wait kWaits[] = {
    {"a promise that nobody keeps", "exports.stay = () => new Promise(() => {});"},
    {"a timer after a timer",
     "exports.stay = async () => { for (;;) await new Promise((done) => setTimeout(done, 10)); };"},
    {"the CPU, in small steps",
     "exports.stay = async () => { for (;;) { const end = Date.now() + 5; while (Date.now() < end);"
     " await new Promise((done) => setTimeout(done, 0)); } };"},
};

constexpr milliseconds kHour = std::chrono::hours(1);
constexpr milliseconds kSlotPatience = std::chrono::minutes(2);

CallTo stay(int module) { return {.module = "stay" + std::to_string(module), .function = "stay", .timeout = kHour}; }

TEST_CASE("a module is served though calls that stay for an hour fill all slots") {
  constexpr int kSlots = 4;
  for (const Wait& wait : kWaits) {
    CAPTURE(wait.name);
    std::vector<Module> modules = {{"good", "exports.ping = () => 'pong';"}};
    for (int i = 0; i < kSlots; ++i) modules.push_back({"stay" + std::to_string(i), wait.code});
    Daemon daemon({.modules = modules,
                   .flags = {"--max-workers", std::to_string(kSlots), "--waiting-grace", "200ms", "--slice", "20ms"}});
    ipc::Client bad = daemon.connect();
    ipc::Client good = daemon.connect();
    Calls calls(bad);
    for (int i = 0; i < kSlots; ++i) calls.start(stay(i));
    bad.run_once(milliseconds(0));
    REQUIRE(workers_become(good, [](const auto& workers) {
      return std::count_if(workers.begin(), workers.end(),
                           [](const auto& worker) { return worker.state == ipc::WorkerState::busy; }) == kSlots;
    }));
    CHECK(outcome(call(good, {.module = "good", .function = "ping", .timeout = kSlotPatience})) == "\"pong\"");
    while (calls.order().empty()) bad.run_once();
    const ipc::Error error = error_of(calls.answer(calls.order().front()));
    CHECK(ipc::to_string(error.code) == "worker_crashed");
    CHECK(error.retryable);
    CHECK(error.executed == ipc::Executed::maybe);
    CHECK(error.detail == "slot_given_away");
    CHECK(contains(error.message, "its slot given to another module"));
    CHECK(contains(error.message, "--waiting-grace"));
    daemon.stop();
  }
}

TEST_CASE("an idempotent call that waits gives way and runs again when there is a slot") {
  Daemon daemon({.modules = {{"good", "exports.ping = () => 'pong';"},
                             {"stay", "exports.stay = (ms) => new Promise((done) => setTimeout(() => done(7), ms));"}},
                 .flags = {"--max-workers", "1", "--waiting-grace", "50ms", "--slice", "20ms"}});
  ipc::Client bad = daemon.connect();
  ipc::Client good = daemon.connect();
  Calls calls(bad);
  const auto waiting = calls.start(
      {.module = "stay", .function = "stay", .payload = "3000", .timeout = kSlotPatience, .idempotent = true});
  bad.run_once(milliseconds(0));
  REQUIRE(workers_become(good, [](const auto& workers) {
    return std::any_of(workers.begin(), workers.end(),
                       [](const auto& worker) { return worker.state == ipc::WorkerState::busy; });
  }));
  CHECK(outcome(call(good, {.module = "good", .function = "ping", .timeout = kSlotPatience})) == "\"pong\"");
  CHECK_FALSE(calls.is_answered(waiting));
  CHECK(outcome(calls.wait_for(waiting)) == "7");
  CHECK(calls.answer(waiting).usage.attempts == 2);
  daemon.stop();
}

}  // namespace
}  // namespace holdfast::test
