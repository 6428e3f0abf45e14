// The scheduler's rules, one at a time. The simulation tests them together (supervisor_scheduler_simulation_test.cc).
#include "supervisor/scheduler/scheduler.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <functional>

#include "tests/unit/scheduler/scheduler_bench.h"

namespace holdfast::supervisor {
namespace {

using testing::Bench;
using testing::kOneWorker;
using testing::kTwoWorkers;
using testing::with_module;
using namespace std::chrono_literals;

// --- the pool ------------------------------------------------------------------------------------------------------

TEST_CASE("no worker is forked before the start, and then as many as are to stand by") {
  Bench bench({.max_workers = 4, .standby = 3});
  CHECK(bench.tick() == "");
  CHECK(bench.start() == "fork w1, fork w2, fork w3");
  CHECK(bench.view(1).phase == WorkerPhase::starting);
  CHECK(bench.forked(2) == "");
  CHECK(bench.view(2).phase == WorkerPhase::standby);
}

TEST_CASE("a call that comes before the start is served after it") {
  Bench bench(kOneWorker);
  CHECK(bench.arrives(1, 'a') == "");
  CHECK(bench.is_queued(1));
  CHECK(bench.start() == "fork w1, fork w2");
  CHECK(bench.forked(1) == "load w1 a, call c1 on w1");
}

TEST_CASE("without calls and without standby workers no process exists") {
  Bench bench({.max_workers = 8, .standby = 0});
  CHECK(bench.start() == "");
  CHECK(bench.scheduler().workers().empty());
  CHECK_FALSE(bench.wakeup_in().has_value());
}

TEST_CASE("a module's first call takes the standby worker, which is replaced") {
  Bench bench(kTwoWorkers);
  bench.started();
  CHECK(bench.arrives(1, 'a') == "load w1 a, call c1 on w1, fork w2");
  CHECK(bench.view(1).phase == WorkerPhase::loading);
  CHECK(bench.view(1).module == testing::module_id('a'));
  CHECK(bench.is_on(1, 1));
  CHECK_FALSE(bench.is_queued(1));
  bench.loaded(1);
  CHECK(bench.view(1).phase == WorkerPhase::ready);
}

TEST_CASE(
    "with replenish_after, the standby worker is replaced after that time, and a further call waits for no other") {
  Bench bench({.max_workers = 3, .standby = 1, .replenish_after = 1ms});
  bench.started();
  CHECK(bench.arrives(1, 'a') == "load w1 a, call c1 on w1");
  CHECK(bench.wakeup_in() == 1ms);
  CHECK(bench.arrives(2, 'b') == "fork w2");
  CHECK(bench.forked(2) == "load w2 b, call c2 on w2");
  CHECK(bench.tick_after(1ms) == "fork w3");
}

TEST_CASE("without a standby worker a call waits for one to be forked") {
  Bench bench({.max_workers = 1, .standby = 0});
  bench.start();
  CHECK(bench.arrives(1, 'a') == "fork w1");
  CHECK(bench.is_queued(1));
  CHECK(bench.forked(1) == "load w1 a, call c1 on w1");
}

TEST_CASE("all calls of a module go to its one worker, whether it has loaded or not") {
  Bench bench(kTwoWorkers);
  bench.started();
  bench.arrives(1, 'a');
  CHECK(bench.arrives(2, 'a') == "call c2 on w1");
  bench.forked(2);
  CHECK(bench.loaded(1) == "");
  CHECK(bench.arrives(3, 'a') == "call c3 on w1");
  CHECK(bench.view(1).calls_in_flight == 3);
}

TEST_CASE("each module gets a worker of its own") {
  Bench bench(kTwoWorkers);
  bench.started();
  CHECK(bench.arrives(1, 'a') == "load w1 a, call c1 on w1, fork w2");
  CHECK(bench.forked(2) == "");
  CHECK(bench.arrives(2, 'b') == "load w2 b, call c2 on w2, fork w3");
}

TEST_CASE("one worker is forked for each module that waits and could have a slot, besides the standby workers") {
  Bench bench({.max_workers = 3, .standby = 1});
  bench.start();
  CHECK(bench.arrives(1, 'a') == "fork w2");
  CHECK(bench.arrives(2, 'a') == "");
  CHECK(bench.arrives(3, 'b') == "fork w3");
  CHECK(bench.arrives(4, 'c') == "fork w4");
  CHECK(bench.arrives(5, 'd') == "");
  CHECK(bench.forked(1) == "load w1 a, call c1 on w1, call c2 on w1");
  CHECK(bench.forked(2) == "load w2 b, call c3 on w2");
  CHECK(bench.forked(3) == "load w3 c, call c4 on w3");
  CHECK(bench.forked(4) == "");
  CHECK(bench.is_queued(5));
}

TEST_CASE("a standby worker that dies is replaced") {
  Bench bench(kOneWorker);
  bench.started();
  CHECK(bench.lost(1) == "fork w2");
}

TEST_CASE("workers forked for calls that nobody waits for any more are removed after the idle time") {
  Bench bench({.max_workers = 2, .standby = 0, .module = {.idle_timeout = 10s}});
  bench.start();
  CHECK(bench.arrives(1, 'a') == "fork w1");
  bench.abandon(1);
  CHECK(bench.forked(1) == "");
  REQUIRE(bench.wakeup_in() == Duration(10s));
  CHECK(bench.tick_after(9s) == "");
  CHECK(bench.tick_after(1s) == "kill w1 idle");
  CHECK(bench.lost(1) == "");
  CHECK(bench.scheduler().workers().empty());
  CHECK_FALSE(bench.wakeup_in().has_value());
}

TEST_CASE("a worker beyond the standby workers is used if it is needed in time") {
  Bench bench({.max_workers = 2, .standby = 0, .module = {.idle_timeout = 10s}});
  bench.start();
  bench.arrives(1, 'a');
  bench.abandon(1);
  bench.forked(1);
  bench.pass(9s);
  CHECK(bench.arrives(2, 'b') == "load w1 b, call c2 on w1");
  CHECK(bench.tick_after(1s) == "");
}

TEST_CASE("with an idle timeout of 0 wanted standby workers cause no immediate wakeups") {
  Bench bench({.max_workers = 100, .standby = 1, .module = {.idle_timeout = 0ns}});
  bench.started();
  // Enough cold starts for more than one standby worker.
  for (std::uint64_t call = 1; call <= 60; ++call) {
    bench.configure(static_cast<char>(call), bench.settings());
    bench.arrives(call, static_cast<char>(call));
    for (const auto& [worker, view] : bench.scheduler().workers()) {
      if (view.phase == WorkerPhase::starting) bench.forked(static_cast<std::uint64_t>(worker));
    }
  }
  REQUIRE(bench.pool().standby >= 2);
  REQUIRE(bench.pool().standby == bench.pool().standby_target);
  CHECK(bench.tick() == "");
  CHECK(bench.wakeup_in() > 0ns);
}

TEST_CASE("the standby workers that are wanted stay, however long they stand by") {
  Bench bench({.max_workers = 2, .standby = 1, .module = {.idle_timeout = 10s}});
  bench.started();
  bench.arrives(1, 'a');
  bench.abandon(1);
  bench.forked(2);
  bench.answered(1);
  CHECK(bench.tick_after(24h) == "");
  CHECK(bench.view(2).phase == WorkerPhase::standby);
}

// --- slots, eviction, the idle timeout -----------------------------------------------------------------------------

TEST_CASE("a full pool lets a module wait until a worker is idle and its slice is over, and then evicts that one") {
  Bench bench = with_module(kOneWorker);
  CHECK(bench.arrives(2, 'b') == "");
  CHECK(bench.is_queued(2));
  bench.pass(100ms);
  CHECK(bench.answered(1) == "kill w1 evicted, load w2 b, call c2 on w2, fork w3");
  CHECK(bench.view(1).phase == WorkerPhase::leaving);
  CHECK(bench.lost(1) == "");
}

TEST_CASE("a waiting module gets its worker once the worker in its way can be evicted even without a standby worker") {
  Bench bench({.max_workers = 1, .standby = 0, .slice = 20ms});
  bench.start();
  bench.arrives(1, 'a');
  bench.forked(1);
  bench.pass(5ms);
  bench.loaded(1);
  bench.answered(1);
  CHECK(bench.arrives(2, 'b') == "");
  REQUIRE(bench.wakeup_in() == Duration(5ms));  // its load time
  CHECK(bench.tick_after(5ms) == "fork w2");
  CHECK(bench.forked(2) == "kill w1 evicted, load w2 b, call c2 on w2");
}

TEST_CASE("no worker is evicted as long as there is a free slot") {
  Bench bench = with_module(kTwoWorkers);
  bench.answered(1);
  CHECK(bench.arrives(2, 'b') == "load w2 b, call c2 on w2, fork w3");
  CHECK(bench.view(1).phase == WorkerPhase::ready);
}

TEST_CASE("no worker is evicted before another one is ready to take the module") {
  Bench bench({.max_workers = 1, .standby = 0});
  bench.start();
  bench.arrives(1, 'a');
  bench.forked(1);
  bench.loaded(1);
  bench.answered(1);
  bench.pass(100ms);
  CHECK(bench.arrives(2, 'b') == "fork w2");
  CHECK(bench.view(1).phase == WorkerPhase::ready);
  CHECK(bench.forked(2) == "kill w1 evicted, load w2 b, call c2 on w2");
}

TEST_CASE("the slot of a worker that dies goes to the next module that waits") {
  Bench bench = with_module(kOneWorker);
  bench.arrives(2, 'b');
  CHECK(bench.lost(1, 1) == "ended c1 started, load w2 b, call c2 on w2, fork w3");
}

TEST_CASE("an idle worker is removed after the idle timeout, not before") {
  Bench bench = with_module({.max_workers = 1, .standby = 1, .module = {.idle_timeout = 60s}});
  bench.answered(1);
  REQUIRE(bench.wakeup_in() == Duration(60s));
  CHECK(bench.tick_after(60s - 1ns) == "");
  CHECK(bench.tick_after(1ns) == "kill w1 idle");
  CHECK(bench.view(1).phase == WorkerPhase::leaving);
  CHECK(bench.lost(1) == "");
  CHECK_FALSE(bench.wakeup_in().has_value());
}

TEST_CASE("a worker that was used within the idle timeout stays until that has passed again") {
  Bench bench = with_module({.max_workers = 1, .standby = 1, .module = {.idle_timeout = 60s}});
  bench.answered(1);
  bench.pass(40s);
  bench.arrives(2, 'a');
  bench.answered(2);
  CHECK(bench.tick_after(20s) == "");
  REQUIRE(bench.wakeup_in() == Duration(40s));
  CHECK(bench.tick_after(40s) == "kill w1 idle");
}

TEST_CASE("a worker with calls is not idle, however long they take") {
  Bench bench = with_module({.max_workers = 1, .standby = 1, .module = {.idle_timeout = 1s}});
  CHECK(bench.tick_after(30min) == "");
  CHECK(bench.view(1).phase == WorkerPhase::ready);
}

TEST_CASE("a worker whose calls were abandoned while it loaded is idle once it has loaded") {
  Bench bench({.max_workers = 1, .standby = 1, .module = {.idle_timeout = 60s}});
  bench.started();
  bench.arrives(1, 'a');
  bench.forked(2);
  CHECK(bench.abandon(1) == "on w1");
  bench.answered(1);
  bench.loaded(1);
  CHECK(bench.tick_after(60s) == "kill w1 idle");
}

TEST_CASE("a changed idle timeout holds for the time that a worker has been idle already") {
  Bench bench = with_module({.max_workers = 1, .standby = 1, .module = {.idle_timeout = 60s}});
  bench.answered(1);
  bench.pass(20s);
  bench.configure('a', {.idle_timeout = 30s});
  REQUIRE(bench.wakeup_in() == Duration(10s));
  CHECK(bench.tick_after(10s) == "kill w1 idle");
}

TEST_CASE("a call for a module whose idle worker was just killed gets another worker") {
  Bench bench = with_module({.max_workers = 1, .standby = 1, .module = {.idle_timeout = 60s}});
  bench.answered(1);
  bench.tick_after(60s);
  CHECK(bench.arrives(2, 'a') == "load w2 a, call c2 on w2, fork w3");
  CHECK(bench.lost(1) == "");
  CHECK(bench.is_on(2, 2));
}

// --- forks that fail -----------------------------------------------------------------------------------------------

TEST_CASE("a failed fork is tried again after a while and calls wait for it") {
  Bench bench({.max_workers = 1, .standby = 1, .fork_retry = 100ms});
  bench.start();
  CHECK(bench.arrives(1, 'a') == "fork w2");
  CHECK(bench.fork_failed(1) == "");
  CHECK(bench.fork_failed(2) == "");
  REQUIRE(bench.wakeup_in() == Duration(100ms));
  CHECK(bench.tick_after(100ms - 1ns) == "");
  CHECK(bench.arrives(2, 'b') == "");
  CHECK(bench.tick_after(1ns) == "fork w3, fork w4");
  CHECK(bench.forked(3) == "load w3 a, call c1 on w3");
}

TEST_CASE("a fork that works ends the pause after one that failed") {
  Bench bench({.max_workers = 2, .standby = 2, .fork_retry = 100ms});
  bench.start();
  CHECK(bench.fork_failed(1) == "");
  CHECK(bench.forked(2) == "fork w3");
  CHECK_FALSE(bench.wakeup_in().has_value());
}

TEST_CASE("while workers can be forked but not used, none is forked for a while") {
  Bench bench({.max_workers = 1, .standby = 1, .fork_retry = 100ms});
  bench.started();
  bench.forks_fail();
  CHECK(bench.lost(1) == "");
  CHECK(bench.arrives(1, 'a') == "");
  REQUIRE(bench.wakeup_in() == Duration(100ms));
  CHECK(bench.tick_after(100ms) == "fork w2, fork w3");
}

TEST_CASE("a worker that is lost before it was forked is asked for again") {
  Bench bench(kOneWorker);
  bench.start();
  CHECK(bench.lost(1) == "fork w2");
}

// --- the next wakeup -----------------------------------------------------------------------------------------------

TEST_CASE("the next wakeup is the earliest of what is due") {
  Bench bench({.max_workers = 2, .standby = 0, .cancel_grace = 10s, .fork_retry = 5s, .module = {.idle_timeout = 40s}});
  bench.start();
  CHECK_FALSE(bench.wakeup_in().has_value());
  bench.arrives(1, 'a', 60s);
  CHECK(bench.wakeup_in() == Duration(60s));
  bench.forked(1);
  bench.loaded(1);
  bench.calls_started(1, 1);
  bench.arrives(2, 'a', 30s);
  CHECK(bench.wakeup_in() == Duration(30s));
  bench.abandon(1);
  CHECK(bench.wakeup_in() == Duration(10s));
  bench.arrives(3, 'b');
  bench.fork_failed(2);
  CHECK(bench.wakeup_in() == Duration(5s));
}

TEST_CASE("what was due is not due again") {
  Bench bench(
      {.max_workers = 2, .standby = 1, .cancel_grace = 10s, .fork_retry = 10s, .module = {.idle_timeout = 10s}});
  bench.started();
  bench.arrives(1, 'a', 10s);
  bench.arrives(2, 'b', 10s);
  bench.fork_failed(2);
  bench.tick_after(10s);
  REQUIRE(bench.wakeup_in().value_or(1s) > Duration(0));
}

// --- what is known -------------------------------------------------------------------------------------------------

TEST_CASE("the workers are listed in the order of their ids") {
  Bench bench({.max_workers = 30, .standby = 30});
  bench.started(30);
  const auto workers = bench.scheduler().workers();
  REQUIRE(workers.size() == 30);
  for (std::size_t i = 0; i < workers.size(); ++i) CHECK(workers[i].first == WorkerId{i + 1});
}

TEST_CASE("a call that is unknown is neither queued nor on a worker") {
  Bench bench = with_module(kOneWorker);
  bench.answered(1);
  CHECK_FALSE(bench.is_queued(1));
  CHECK_FALSE(bench.is_on(1, 1));
  CHECK_FALSE(bench.is_queued(99));
  CHECK_FALSE(bench.is_on(99, 1));
}

// --- broken invariants ---------------------------------------------------------------------------------------------

// Runs `mistake` in a child process and returns whether it ends by abort().
bool aborts(const std::function<void()>& mistake) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGABRT, SIG_DFL);
    if (std::freopen("/dev/null", "w", stderr) == nullptr) ::_exit(1);
    mistake();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

TEST_CASE("an impossible event is a broken invariant and aborts") {
  Bench bench = with_module(kOneWorker);
  REQUIRE_FALSE(aborts([] {}));
  CHECK(aborts([&] { bench.arrives(1, 'a'); }));  // an id that is in use
  CHECK(aborts([&] { bench.answered(99); }));
  CHECK(aborts([&] { bench.abandon(99); }));
  CHECK(aborts([&] { bench.forked(99); }));
  CHECK(aborts([&] { bench.forked(2); }));  // a second time
  CHECK(aborts([&] { bench.fork_failed(2); }));
  CHECK(aborts([&] { bench.loaded(1); }));       // a second time
  CHECK(aborts([&] { bench.loaded(2); }));       // without a module
  CHECK(aborts([&] { bench.load_failed(2); }));  // without a module
  CHECK(aborts([&] { bench.lost(99); }));
  CHECK(aborts([&] { bench.view(99); }));
  CHECK(aborts([&] {
    bench.arrives(2, 'b');
    bench.answered(2);  // it waits for a worker
  }));
  CHECK(aborts([&] {
    bench.abandon(1);
    bench.abandon(1);
  }));
  CHECK(aborts([] { Scheduler({.max_workers = 0}); }));
  CHECK(aborts([] { Scheduler({.cores = 0}); }));
  CHECK(aborts([] { Scheduler({.slice = 0s}); }));
  CHECK(aborts([&] { bench.configure('a', {.max_instances = 0}); }));
  CHECK(aborts([&] { bench.configure('a', {.concurrency = 0}); }));
  CHECK(aborts([&] { bench.configure('a', {.weight = 0}); }));
  CHECK(aborts([&] { bench.configure('a', {.max_instances = 1, .min_warm = 2}); }));
  CHECK(aborts([&] { bench.source_ready('a'); }));  // a source that was not requested
  CHECK(aborts([&] { bench.source_failed('a'); }));
  CHECK(aborts([&] { bench.retire(2); }));  // without a module
  CHECK(aborts([] { Scheduler({.cancel_grace = 0s}); }));
}

}  // namespace
}  // namespace holdfast::supervisor
