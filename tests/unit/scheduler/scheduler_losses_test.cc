// The scheduler's rules for failures, one at a time: lost workers, loads, sources, modules that are held off.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "supervisor/scheduler/scheduler.h"
#include "tests/unit/scheduler/scheduler_bench.h"

namespace holdfast::supervisor {
namespace {

using testing::Bench;
using testing::kOneWorker;
using testing::kTwoWorkers;
using testing::with_module;
using namespace std::chrono_literals;

// --- workers that end ----------------------------------------------------------------------------------------------

TEST_CASE("started calls on a lost worker end and the others run again in their order") {
  Bench bench = with_module({.max_workers = 1, .standby = 1, .module = {.concurrency = 4}});
  for (std::uint64_t call = 2; call <= 6; ++call) bench.arrives(call, 'a');
  CHECK(bench.lost(1, 2) ==
        "ended c1 started, c2 started, load w2 a, call c3 on w2, call c4 on w2, call c5 on w2, call c6 on w2, fork w3");
  CHECK(bench.scheduler().open_calls() == 4);
}

TEST_CASE("calls that run again come before those that waited") {
  Bench bench = with_module({.max_workers = 1, .standby = 1, .module = {.concurrency = 2}});
  for (std::uint64_t call = 2; call <= 4; ++call) bench.arrives(call, 'a');
  CHECK(bench.lost(1, 0) == "load w2 a, call c1 on w2, call c2 on w2, fork w3");
  CHECK(bench.answered(1) == "call c3 on w2");
}

TEST_CASE("a call that was answered is not among those of a lost worker") {
  Bench bench = with_module(kOneWorker);
  bench.arrives(2, 'a');
  bench.answered(1);
  CHECK(bench.lost(1, 2) == "ended c2 started");
}

TEST_CASE("an abandoned call ends with its worker and does not run again") {
  Bench bench = with_module(kOneWorker);
  bench.arrives(2, 'a');
  bench.abandon(1);
  CHECK(bench.lost(1, 0) == "ended c1 abandoned, load w2 a, call c2 on w2, fork w3");
  CHECK(bench.scheduler().open_calls() == 1);
}

TEST_CASE("a module whose worker was lost waits behind those that waited before") {
  Bench bench = with_module(kOneWorker);
  bench.arrives(2, 'b');
  CHECK(bench.lost(1, 0) == "load w2 b, call c2 on w2, fork w3");
  CHECK(bench.is_queued(1));
  bench.forked(3);
  bench.loaded(2);
  bench.pass(100ms);
  CHECK(bench.answered(2) == "kill w2 evicted, load w3 a, call c1 on w3, fork w4");
}

TEST_CASE("a call that no worker has started runs again without limit") {
  Bench bench(kOneWorker);
  bench.started();
  CHECK(bench.arrives(1, 'a') == "load w1 a, call c1 on w1, fork w2");
  for (std::uint64_t worker = 2; worker < 10; ++worker) {
    bench.forked(worker);
    CHECK(bench.lost(worker - 1, 0) == fmt::format("load w{0} a, call c1 on w{0}, fork w{1}", worker, worker + 1));
  }
}

TEST_CASE("an idempotent call that was started runs again, at most max_retries times") {
  Bench bench({.max_workers = 1, .standby = 1, .module = {.max_retries = 2}});
  bench.started();
  bench.arrives(1, 'a', Bench::Arrival{.idempotent = true});
  bench.forked(2);
  CHECK(bench.lost(1, 1) == "load w2 a, call c1 on w2, fork w3");
  bench.forked(3);
  CHECK(bench.lost(2, 1) == "load w3 a, call c1 on w3, fork w4");
  bench.forked(4);
  CHECK(bench.lost(3, 1) == "ended c1 started");
}

TEST_CASE("a call that is to blame does not run again, idempotent or not, started or not") {
  Bench bench(kOneWorker);
  bench.started();
  bench.arrives(1, 'a', Bench::Arrival{.idempotent = true});
  bench.arrives(2, 'a', Bench::Arrival{.idempotent = true});
  bench.forked(2);
  CHECK(bench.lost(1, WorkerLoss{.started = 2, .guilty = CallId{1}}) ==
        "ended c1 started, load w2 a, call c2 on w2, fork w3");
  bench.forked(3);
  CHECK(bench.lost(2, WorkerLoss{.started = 0, .guilty = CallId{2}}) == "ended c2 not started");
}

TEST_CASE("an idempotent call does not run again when its deadline has passed") {
  Bench bench(kOneWorker);
  bench.started();
  bench.arrives(1, 'a', Bench::Arrival{.time = 5s, .idempotent = true});
  bench.arrives(2, 'a', Bench::Arrival{.time = 5s});
  bench.pass(5s);
  CHECK(bench.lost(1, 1) == "ended c1 started, c2 not started");
}

TEST_CASE("a worker that claims to have started more calls than it was given has started all, and no more") {
  Bench bench = with_module(kOneWorker);
  bench.arrives(2, 'a');
  bench.calls_started(1, 1'000'000);
  CHECK(bench.arrives(3, 'a') == "call c3 on w1");
  CHECK(bench.lost(1, 0) == "ended c1 started, c2 started, load w2 a, call c3 on w2, fork w3");
}

TEST_CASE("calls that a worker was seen to start count as started whatever its end reports") {
  Bench bench = with_module(kOneWorker);
  bench.arrives(2, 'a');
  bench.calls_started(1, 2);
  CHECK(bench.lost(1, 0) == "ended c1 started, c2 started");
}

TEST_CASE("a call that runs again keeps its deadline") {
  Bench bench(kOneWorker);
  bench.started();
  bench.arrives(1, 'a', 10s);
  bench.pass(4s);
  bench.lost(1, 0);
  CHECK(bench.wakeup_in() == Duration(6s));
  CHECK(bench.tick_after(6s) == "overdue c1 queued");
}

TEST_CASE("a worker that is being stopped gets no more calls; its module claims another slot") {
  Bench bench = with_module(kTwoWorkers);
  bench.stopping(1);
  CHECK(bench.arrives(2, 'a') == "load w2 a, call c2 on w2, fork w3");
  CHECK(bench.lost(1, 1) == "ended c1 started");
}

TEST_CASE("calls for a worker that is being stopped wait for its slot if there is no other") {
  Bench bench = with_module(kOneWorker);
  CHECK(bench.stopping(1) == "");
  CHECK(bench.arrives(2, 'a') == "fork w3");
  CHECK(bench.is_queued(2));
  CHECK(bench.lost(1, 1) == "ended c1 started, load w2 a, call c2 on w2");
}

TEST_CASE("a worker that is being stopped with calls keeps its slot until it is lost") {
  Bench bench = with_module(kOneWorker);
  bench.stopping(1);
  CHECK(bench.arrives(2, 'b') == "fork w3");
  CHECK(bench.answered(1) == "");
  CHECK(bench.is_queued(2));
  CHECK(bench.lost(1, 1) == "load w2 b, call c2 on w2");
}

TEST_CASE("a worker that is being stopped without calls has no slot any more") {
  Bench bench = with_module(kOneWorker);
  bench.answered(1);
  bench.stopping(1);
  CHECK(bench.arrives(2, 'b') == "load w2 b, call c2 on w2, fork w3");
  CHECK(bench.lost(1) == "");
}

TEST_CASE("messages of a worker that is being stopped count only for its calls") {
  Bench bench(kOneWorker);
  bench.started();
  bench.arrives(1, 'a');
  bench.forked(2);
  bench.stopping(1);
  CHECK(bench.loaded(1) == "");
  CHECK(bench.view(1).phase == WorkerPhase::leaving);
  bench.arrives(2, 'a');
  CHECK(bench.answered(1) == "");
  CHECK(bench.view(1).calls_done == 1);
  CHECK(bench.lost(1, 1) == "load w2 a, call c2 on w2");
}

TEST_CASE("stopping a standby worker does not touch any module") {
  Bench bench(kOneWorker);
  bench.started();
  bench.stopping(1);
  bench.arrives(1, 'a');
  CHECK(bench.is_queued(1));
  CHECK(bench.lost(1) == "");
  CHECK(bench.forked(2) == "load w2 a, call c1 on w2");
}

// --- modules that cannot be loaded ---------------------------------------------------------------------------------

TEST_CASE("a module that cannot be loaded ends all its calls including waiting and abandoned ones") {
  Bench bench({.max_workers = 1, .standby = 1, .module = {.concurrency = 2}});
  bench.started();
  for (std::uint64_t call = 1; call <= 4; ++call) bench.arrives(call, 'a');
  bench.forked(2);
  bench.abandon(1);
  CHECK(bench.load_failed(1) == "ended c1, c2, c3, c4");
  CHECK(bench.scheduler().open_calls() == 0);
  CHECK(bench.view(1).phase == WorkerPhase::leaving);
  CHECK(bench.view(1).calls_in_flight == 0);
  CHECK(bench.lost(1) == "");
}

TEST_CASE("the slot of a module that cannot be loaded goes to the next, and the next call tries the load again") {
  Bench bench(kOneWorker);
  bench.started();
  bench.arrives(1, 'a');
  bench.forked(2);
  bench.arrives(2, 'b');
  CHECK(bench.load_failed(1) == "ended c1, load w2 b, call c2 on w2, fork w3");
  bench.forked(3);
  bench.loaded(2);
  CHECK(bench.arrives(3, 'a') == "");
  bench.pass(100ms);
  CHECK(bench.answered(2) == "kill w2 evicted, load w3 a, call c3 on w3, fork w4");
}

TEST_CASE("a load that fails on a worker which is being stopped ends all the module's calls") {
  Bench bench(kOneWorker);
  bench.started();
  bench.arrives(1, 'a');
  bench.forked(2);
  bench.stopping(1);
  bench.arrives(2, 'a');
  bench.arrives(3, 'b');
  CHECK(bench.load_failed(1) == "ended c1, c2, load w2 b, call c3 on w2");
  CHECK(bench.lost(1) == "");
}

TEST_CASE("a failed load on a worker that is being stopped without calls ends no other calls") {
  Bench bench(kOneWorker);
  bench.started();
  bench.arrives(1, 'a');
  bench.forked(2);
  bench.abandon(1);
  bench.answered(1);
  bench.stopping(1);
  CHECK(bench.arrives(2, 'a') == "load w2 a, call c2 on w2, fork w3");
  CHECK(bench.load_failed(1) == "");
  CHECK(bench.is_on(2, 2));
  CHECK(bench.lost(1) == "");
  CHECK(bench.is_on(2, 2));
}

// --- sources -------------------------------------------------------------------------------------------------------

TEST_CASE("a module's source is asked for before it claims a slot, once for all its calls") {
  Bench bench(kOneWorker);
  bench.holding_sources().started();
  CHECK(bench.arrives(1, 'a') == "fetch a");
  CHECK(bench.arrives(2, 'a') == "");
  CHECK(bench.module('a').claims_slot);
  CHECK(bench.source_ready('a') == "load w1 a, call c1 on w1, call c2 on w1, fork w2");
  CHECK_FALSE(bench.module('a').claims_slot);
}

TEST_CASE("a source that is unavailable ends the calls that wait for it and the next call requests it again") {
  Bench bench(kOneWorker);
  bench.holding_sources().started();
  bench.arrives(1, 'a');
  bench.arrives(2, 'a');
  CHECK(bench.source_failed('a') == "ended c1, c2");
  CHECK(bench.scheduler().open_calls() == 0);
  CHECK(bench.arrives(3, 'a') == "fetch a");
}

TEST_CASE("a source that arrives when no call waits is not loaded") {
  Bench bench(kOneWorker);
  bench.holding_sources().started();
  bench.arrives(1, 'a');
  bench.abandon(1);
  CHECK_FALSE(bench.scheduler().forget(testing::module_id('a')));
  CHECK(bench.source_ready('a') == "");
  CHECK(bench.scheduler().forget(testing::module_id('a')));
}

TEST_CASE("modules wait for a slot in the order in which their sources came") {
  Bench bench({.max_workers = 1, .standby = 0});
  bench.holding_sources().start();
  bench.arrives(1, 'a');
  bench.arrives(2, 'b');
  bench.source_ready('b');
  bench.source_ready('a');
  CHECK(bench.forked(1) == "load w1 b, call c2 on w1");
}

TEST_CASE("a source that changes retires the module's workers, and is fetched for the calls to come") {
  Bench bench = with_module(kTwoWorkers);
  bench.holding_sources();
  CHECK(bench.source_changed('a') == "");
  CHECK_FALSE(bench.view(1).takes_calls);
  CHECK(bench.arrives(2, 'a') == "fetch a");
  CHECK(bench.answered(1) == "kill w1 retired");
  CHECK(bench.source_ready('a') == "load w2 a, call c2 on w2, fork w3");
}

TEST_CASE("a source that changes while it is fetched is fetched again whether or not the old one arrived") {
  Bench bench(kOneWorker);
  bench.holding_sources().started();
  bench.arrives(1, 'a');
  bench.source_changed('a');
  CHECK(bench.source_ready('a') == "fetch a");
  bench.source_changed('a');
  CHECK(bench.source_failed('a') == "fetch a");
  CHECK(bench.source_ready('a') == "load w1 a, call c1 on w1, fork w2");
}

// --- modules that fail again and again -----------------------------------------------------------------------------

constexpr HoldOffOptions kAtTheSecondFailure = {.free_failures = 1, .first_delay = 1s, .healthy_answers = 2};

TEST_CASE("a module whose workers die of no call is held off and its new calls are refused while earlier ones wait") {
  Bench bench({.max_workers = 1, .standby = 1, .hold_off = kAtTheSecondFailure, .module = {.concurrency = 1}});
  bench.started();
  bench.arrives(1, 'a');
  bench.arrives(2, 'a');
  bench.arrives(3, 'a');
  bench.forked(2);
  CHECK(bench.lost(1, WorkerLoss{.started = 1, .own_fault = true}) ==
        "ended c1 started, load w2 a, call c2 on w2, fork w3");
  bench.forked(3);
  CHECK(bench.lost(2, WorkerLoss{.started = 1, .own_fault = true}) == "ended c2 started");
  CHECK(bench.arrives(4, 'a') == "refuse c4 held off");
  CHECK(bench.is_queued(3));
  CHECK_FALSE(bench.module('a').claims_slot);
  REQUIRE(bench.wakeup_in() == Duration(1s));
  CHECK(bench.tick_after(1s - 1ns) == "");
  CHECK(bench.tick_after(1ns) == "load w3 a, call c3 on w3, fork w4");
  CHECK(bench.arrives(5, 'a') == "");
}

TEST_CASE("a module that is held off while it waits for a slot loses its place") {
  Bench bench({.max_workers = 1, .standby = 1, .hold_off = kAtTheSecondFailure});
  bench.started();
  bench.arrives(1, 'b');
  bench.forked(2);
  bench.loaded(1);
  bench.holding_sources();
  bench.arrives(2, 'a');
  bench.source_ready('a');
  CHECK(bench.module('a').claims_slot);
  bench.stopping(1);
  bench.lost(1);
  CHECK(bench.view(2).phase == WorkerPhase::loading);
  bench.lost(2, WorkerLoss{.own_fault = true});
  bench.source_ready('a');
  bench.forked(3);
  bench.lost(3, WorkerLoss{.own_fault = true});
  CHECK(bench.module('a').held_off_until.has_value());
  CHECK_FALSE(bench.module('a').claims_slot);
  CHECK(bench.is_queued(2));
}

TEST_CASE("loads and sources that fail count for holding off; a changed source ends it") {
  Bench bench({.max_workers = 1, .standby = 1, .hold_off = kAtTheSecondFailure});
  bench.holding_sources().started();
  bench.arrives(1, 'a');
  bench.source_failed('a');
  bench.arrives(2, 'a');
  bench.source_ready('a');
  CHECK(bench.load_failed(1) == "ended c2");
  CHECK(bench.arrives(3, 'a') == "refuse c3 held off");
  bench.source_changed('a');
  CHECK(bench.arrives(4, 'a') == "fetch a");
}

TEST_CASE("a worker that has answered shows that its module works whatever ends the worker") {
  Bench bench({.max_workers = 1, .standby = 1, .hold_off = kAtTheSecondFailure});
  bench.started();
  for (std::uint64_t worker = 1; worker < 6; ++worker) {
    bench.arrives(2 * worker, 'a');
    bench.arrives(2 * worker + 1, 'a');
    bench.answered(2 * worker);
    bench.forked(worker + 1);
    bench.lost(worker, WorkerLoss{.started = 2, .own_fault = true});
    CHECK_FALSE(bench.module('a').held_off_until.has_value());
  }
}

TEST_CASE("calls that kill their workers do not hold their module off") {
  Bench bench({.max_workers = 1, .standby = 1, .hold_off = kAtTheSecondFailure});
  bench.started();
  for (std::uint64_t worker = 1; worker < 20; ++worker) {
    bench.arrives(worker, 'a', Bench::Arrival{.client = worker, .user = static_cast<unsigned>(worker)});
    REQUIRE(bench.is_on(worker, worker));
    bench.forked(worker + 1);
    bench.lost(worker, WorkerLoss{.started = 1, .guilty = CallId{worker}, .own_fault = true});
    CHECK_FALSE(bench.module('a').held_off_until.has_value());
  }
}

TEST_CASE("a module that is kept warm is held off though nobody calls it, if its loads are stopped again and again") {
  Bench bench({.max_workers = 2, .standby = 1});
  bench.started();
  ModuleSettings warm = bench.settings();
  warm.min_warm = 1;
  bench.configure('a', warm);
  for (std::uint64_t worker = 1; worker <= 4; ++worker) {
    CAPTURE(worker);
    REQUIRE(bench.view(worker).phase == WorkerPhase::loading);
    CHECK_FALSE(bench.module('a').held_off_until.has_value());
    bench.stopping(worker);  // its top level never ends
    bench.forked(worker + 1);
    bench.load_failed(worker);
    bench.lost(worker);
  }
  CHECK(bench.module('a').held_off_until.has_value());
}

TEST_CASE("a failed load that is reported again at the end of the worker counts as one failure") {
  Bench bench(kOneWorker);
  bench.started();
  for (std::uint64_t worker = 1; worker <= 3; ++worker) {
    CAPTURE(worker);
    bench.arrives(worker, 'a');
    REQUIRE(bench.view(worker).phase == WorkerPhase::loading);
    bench.load_failed(worker);
    bench.load_failed(worker);
    bench.lost(worker);
    bench.forked(worker + 1);
  }
  CHECK_FALSE(bench.module('a').held_off_until.has_value());
}

}  // namespace
}  // namespace holdfast::supervisor
