// Calls of one client that kill their workers must not be visible to other clients of the same module.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/as_user.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/skips.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

using std::chrono::milliseconds;

const Module kVictim{
    "victim",
    "exports.add = async ({ a, b }) => a + b;"
    "exports.loop = () => { for (;;); };"
    "exports.oom = () => { const kept = []; for (;;) kept.push(new Array(1e5).fill(1)); };"
    "exports.spin = (ms) => { const end = Date.now() + ms; while (Date.now() < end); };"
    "exports.loopInMicrotask = () => { queueMicrotask(exports.loop); };"
    "exports.loopInTimer = () => { setTimeout(exports.loop, 1); };"
    "exports.oomInTimer = () => { setTimeout(exports.oom, 1); };"
    "exports.loopInMessage = () => {"
    "  const { port1, port2 } = new MessageChannel(); port1.onmessage = exports.loop; port2.postMessage(1); };"
    "let wakeNow, woken; const sleep = () => { woken = new Promise((wake) => { wakeNow = wake; }); };"
    "sleep();"
    "exports.loopWhenWoken = () => { woken.then(exports.loop); };"
    "exports.wake = () => { wakeNow(); sleep(); return 3; };"};

// Long enough for many workers that a busy machine stops late.
constexpr milliseconds kPatience = std::chrono::minutes(2);

CallTo add() { return {.module = "victim", .function = "add", .payload = R"({"a":1,"b":2})", .timeout = kPatience}; }

struct Poison {
  const char* name;
  CallTo call;
};

const Poison kPoisons[] = {
    {"loop", {.module = "victim", .function = "loop"}},
    {"out of memory", {.module = "victim", .function = "oom"}},
    {"deadline on the CPU", {.module = "victim", .function = "spin", .payload = "60000", .timeout = milliseconds(100)}},
};

Daemon daemon_with(std::vector<std::string> further_flags = {}) {
  std::vector<std::string> flags = {"--stretch",     "200ms", "--memory",           "32MB",
                                    "--socket-mode", "0666",  "--shutdown-timeout", "100ms"};
  flags.insert(flags.end(), further_flags.begin(), further_flags.end());
  return Daemon({.modules = {kVictim}, .flags = flags, .holds_off = true});
}

// Makes bad calls and, as every third call, a good one by a client that has made no bad call. Checks that the good
// calls succeed.
void check_good_calls_succeed(const Daemon& daemon, const Poison& poison, std::optional<uid_t> bad_user = {}) {
  CAPTURE(poison.name);
  CAPTURE(bad_user.has_value());
  ipc::Client good = daemon.connect();
  ipc::Client bad = [&] {
    const As as(bad_user);
    return daemon.connect();
  }();
  Calls bad_calls(bad);
  for (int i = 0; i < 40; ++i) {
    bad_calls.start(poison.call);
    bad_calls.start(poison.call);
    bad.run_once(milliseconds(0));
    CHECK(outcome(call(good, add())) == "3");
  }
  CHECK(bad_calls.count("result") == 0);
  CHECK(stats_of(good, "victim").held_off.count() == 0);
}

TEST_CASE("every call of a connection succeeds though most calls of the module are poison of another client") {
  for (const Poison& poison : kPoisons) {
    for (const auto& bad_user : attackers()) {
      Daemon daemon = daemon_with();
      REQUIRE(::chmod(daemon.folder()->path().c_str(), 0755) == 0);
      check_good_calls_succeed(daemon, poison, bad_user);
      daemon.stop();
    }
  }
}

TEST_CASE("poison calls do no harm to others where the module has one place for its workers") {
  for (const Poison& poison : kPoisons) {
    Daemon daemon = daemon_with({"--max-workers", "1"});
    check_good_calls_succeed(daemon, poison);
    daemon.stop();
  }
}

TEST_CASE("a new connection for each poison call is no way around it") {
  for (const Poison& poison : kPoisons) {
    CAPTURE(poison.name);
    Daemon daemon = daemon_with();
    ipc::Client good = daemon.connect();
    std::vector<std::unique_ptr<ipc::Client>> bad;
    std::vector<std::unique_ptr<Calls>> bad_calls;
    for (int i = 0; i < 40; ++i) {
      bad.push_back(std::make_unique<ipc::Client>(daemon.connect()));
      bad_calls.push_back(std::make_unique<Calls>(*bad.back()));
      bad_calls.back()->start(poison.call);
      bad.back()->run_once(milliseconds(0));
      CHECK(outcome(call(good, add())) == "3");
      // From the first kill on, the good connection has good answers to its credit.
      if (i == 0) bad_calls.back()->wait_for_all();
      for (int more = 0; i == 0 && more < 110; ++more) CHECK(outcome(call(good, add())) == "3");
    }
    CHECK(stats_of(good, "victim").held_off.count() == 0);
    daemon.stop();
  }
}

// These functions do their damage after their answer.
TEST_CASE("a client is also blamed for what its answered calls leave behind and kills their worker") {
  for (const std::string function : {"loopInMicrotask", "loopInTimer", "oomInTimer", "loopInMessage"}) {
    for (const auto& bad_user : attackers()) {
      CAPTURE(function);
      CAPTURE(bad_user.has_value());
      Daemon daemon = daemon_with();
      REQUIRE(::chmod(daemon.folder()->path().c_str(), 0755) == 0);
      ipc::Client good = daemon.connect();
      ipc::Client bad = [&] {
        const As as(bad_user);
        return daemon.connect();
      }();
      Calls bad_calls(bad);
      int met_by_good = 0;
      for (int i = 0; i < 30; ++i) {
        const std::size_t place = bad_calls.start({.module = "victim", .function = function, .timeout = kPatience});
        bad.run_once(milliseconds(0));
        if (i < 2) bad_calls.wait_for(place);  // later ones are paused
        const ipc::Answer answer = call(good, add());
        CHECK(outcome(answer) == "3");
        if (answer.usage.attempts > 1) ++met_by_good;
      }
      CHECK(met_by_good <= 3);
      daemon.stop();
    }
  }
}

// The supervisor cannot tell which of the two is at fault, so it must not blame the good one.
TEST_CASE("whose call sets off what another user's had left to do, and dies of it, is not blamed for that" *
          needs_root_for_holdfastd()) {
  Daemon daemon = daemon_with();
  REQUIRE(::chmod(daemon.folder()->path().c_str(), 0755) == 0);
  ipc::Client good = daemon.connect();
  ipc::Client bad = [&] {
    const As as(*attackers().back());
    return daemon.connect();
  }();
  for (int i = 0; i < 3; ++i) {
    CHECK(outcome(call(bad, {"victim", "loopWhenWoken"})) == "null");
    const pid_t worker = worker_of(good, "victim").pid;
    call(good, {"victim", "wake"});  // on another worker there would be nothing to wake
    REQUIRE(eventually([&] { return !is_running(worker); }));
  }
  daemon.stop();
}

TEST_CASE("a client whose call sets off what its own call left behind is blamed for the kill") {
  Daemon daemon = daemon_with();
  ipc::Client good = daemon.connect();
  ipc::Client bad = daemon.connect();
  Calls bad_calls(bad);
  int met_by_good = 0;
  for (int i = 0; i < 30; ++i) {
    bad_calls.start({.module = "victim", .function = "loopWhenWoken", .timeout = kPatience});
    const std::size_t place = bad_calls.start({.module = "victim", .function = "wake", .timeout = kPatience});
    bad.run_once(milliseconds(0));
    if (i < 2) bad_calls.wait_for(place);
    const ipc::Answer answer = call(good, add());
    CHECK(outcome(answer) == "3");
    if (answer.usage.attempts > 1) ++met_by_good;
  }
  CHECK(met_by_good <= 4);
  daemon.stop();
}

// There are more bad calls than one worker could serve.
TEST_CASE("on a connection whose calls of one function kill workers the calls of other functions succeed") {
  for (const Poison& poison : kPoisons) {
    CAPTURE(poison.name);
    Daemon daemon = daemon_with();
    ipc::Client gateway = daemon.connect();
    Calls calls(gateway);
    for (int i = 0; i < 100; ++i) {
      for (int more = 0; more < 3; ++more) calls.start(poison.call);
      CHECK(outcome(call(gateway, add())) == "3");
    }
    daemon.stop();
  }
}

TEST_CASE("on the connection of a gateway good calls succeed beside ones that kill workers") {
  for (const Poison& poison : kPoisons) {
    CAPTURE(poison.name);
    Daemon daemon = daemon_with();
    ipc::Client gateway = daemon.connect();
    Calls calls(gateway);
    std::vector<std::size_t> good;
    for (int i = 1; i <= 200; ++i) {
      if (i % 50 == 0) {
        calls.start(poison.call);
      } else {
        good.push_back(calls.start(add()));
      }
    }
    calls.wait_for_all();
    for (std::size_t place : good) CHECK(outcome(calls.answer(place)) == "3");
    daemon.stop();
  }
}

}  // namespace
}  // namespace holdfast::test
