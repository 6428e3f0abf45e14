// How one module's CPU time affects others.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "tests/adversarial/hostile.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

// Timers that keep a core busy, set by a call that has its answer; and ones that need next to nothing.
const std::string kTimers = R"js(
  let turns = 0;
  const spin = () => {
    turns++;
    for (const end = Date.now() + 300; Date.now() < end;) {}
    setTimeout(spin, 0);
  };
  exports.hog = () => { setTimeout(spin, 0); return 'set'; };
  exports.tick = () => { setInterval(() => turns++, 20); return 'set'; };
  exports.turns = () => turns;
  // Does its work by timers while the call is open.
  exports.work = (wanted) => new Promise((done) => {
    let left = wanted;
    const step = () => {
      for (const end = Date.now() + 20; Date.now() < end;) {}
      if (--left === 0) done('done'); else setTimeout(step, 0);
    };
    step();
  });
  exports.ping = () => 'pong';
)js";

int niceness(pid_t pid) {
  errno = 0;
  const int value = ::getpriority(PRIO_PROCESS, static_cast<id_t>(pid));
  return errno == 0 ? value : -100;
}

bool is_halted(pid_t pid) { return status_field(pid, "State").starts_with("T"); }

TEST_CASE("workers come after the supervisor and the zygote when cores are scarce") {
  Daemon daemon({.modules = {{"timers", kTimers}}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"timers", "ping"})) == "\"pong\"");
  const int usual = niceness(daemon.pid());
  CHECK(niceness(daemon.broker()) == usual);
  CHECK(niceness(daemon.zygote()) == usual);
  for (pid_t worker : daemon.workers()) {
    REQUIRE(eventually([&] { return niceness(worker) > usual || usual == 19; }));
  }
  daemon.stop();
}

TEST_CASE("busy timers of a module without open calls are halted and go on when the module is called") {
  Daemon daemon({.modules = {{"timers", kTimers}, {"quiet", kTimers}}});
  ipc::Client client = daemon.connect();
  for (int i = 0; i < 3; ++i) {
    CHECK(outcome(call(client, {"timers", "hog"})) == "\"set\"");
    const pid_t worker = worker_of(client, "timers").pid;
    REQUIRE(eventually([&] { return is_halted(worker); }));
    CHECK(outcome(call(client, {"timers", "ping"})) == "\"pong\"");
    CHECK(worker_of(client, "timers").pid == worker);
  }
  // The time for which the worker was halted does not count as a stretch that takes too long.
  const pid_t worker = worker_of(client, "timers").pid;
  CHECK(outcome(call(client, {"timers", "turns"})) != "0");
  for (int i = 0; i < 3; ++i) {
    REQUIRE(eventually([&] { return is_halted(worker); }));
    REQUIRE(eventually([&] { return !is_halted(worker); }));
  }
  CHECK(outcome(call(client, {"timers", "ping"})) == "\"pong\"");
  CHECK(worker_of(client, "timers").pid == worker);
  CHECK(outcome(call(client, {"quiet", "ping"})) == "\"pong\"");
  daemon.stop();
}

TEST_CASE("a worker that is halted can be stopped, evicted and shut down") {
  Daemon daemon({.modules = {{"timers", kTimers}, {"other", kTimers}}, .flags = {"--max-workers", "1"}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"timers", "hog"})) == "\"set\"");
  const pid_t worker = worker_of(client, "timers").pid;
  REQUIRE(eventually([&] { return is_halted(worker); }));
  CHECK(outcome(call(client, {"other", "ping"})) == "\"pong\"");
  CHECK(eventually([&] { return !is_running(worker); }));
  CHECK(outcome(call(client, {"other", "hog"})) == "\"set\"");
  const pid_t other = worker_of(client, "other").pid;
  REQUIRE(eventually([&] { return is_halted(other); }));
  daemon.stop();
}

TEST_CASE("timers that need little or work for an open call are not halted") {
  Daemon daemon({.modules = {{"ticking", kTimers}, {"working", kTimers}, {"hog", kTimers}}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"ticking", "tick"})) == "\"set\"");
  CHECK(outcome(call(client, {"hog", "hog"})) == "\"set\"");
  const pid_t hog = worker_of(client, "hog").pid;
  const pid_t ticking = worker_of(client, "ticking").pid;
  REQUIRE(eventually([&] { return is_halted(hog); }));
  CHECK_FALSE(is_halted(ticking));
  // More CPU time than may be used without a call.
  CHECK(outcome(call(client, {"working", "work", "100"})) == "\"done\"");
  CHECK_FALSE(is_halted(ticking));
  CHECK(outcome(call(client, {"ticking", "turns"})) != "0");
  daemon.stop();
}

TEST_CASE("all of fifty modules with busy timers are halted") {
  std::vector<Module> modules = {{"quiet", kTimers}};
  for (int i = 0; i < 50; ++i) modules.push_back({fmt::format("hog{}", i), kTimers});
  Daemon daemon({.modules = modules, .flags = {"--max-workers", "100"}});
  std::vector<pid_t> hogs;
  {
    ipc::Client client = daemon.connect();
    for (int i = 0; i < 50; ++i) CHECK(outcome(call(client, {fmt::format("hog{}", i), "hog"})) == "\"set\"");
    for (const auto& worker : workers(client)) {
      if (worker.module.starts_with("hog")) hogs.push_back(worker.pid);
    }
  }
  REQUIRE(hogs.size() == 50);
  // All but the one whose share it is now.
  CHECK(eventually([&] { return std::count_if(hogs.begin(), hogs.end(), is_halted) >= 48; }));
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"quiet", "ping"})) == "\"pong\"");
  daemon.stop();
}

}  // namespace
}  // namespace holdfast::test
