// The scheduler's rules for calls, one at a time: queues, dispatch to workers, deadlines, cancellations.
#include <doctest/doctest.h>

#include <utility>

#include "supervisor/scheduler/scheduler.h"
#include "tests/unit/scheduler/scheduler_bench.h"

namespace holdfast::supervisor {
namespace {

using testing::Bench;
using testing::kOneWorker;
using testing::kTwoWorkers;
using testing::with_module;
using namespace std::chrono_literals;

// --- queues --------------------------------------------------------------------------------------------------------

TEST_CASE("a worker is given at most `concurrency` calls, and further ones in the order of their arrival") {
  Bench bench = with_module({.max_workers = 1, .standby = 1, .module = {.concurrency = 2}});
  CHECK(bench.arrives(2, 'a') == "call c2 on w1");
  CHECK(bench.arrives(3, 'a') == "");
  CHECK(bench.arrives(4, 'a') == "");
  CHECK(bench.is_queued(3));
  CHECK(bench.answered(2) == "call c3 on w1");
  CHECK(bench.answered(1) == "call c4 on w1");
  CHECK(bench.view(1).calls_in_flight == 2);
  CHECK(bench.view(1).calls_done == 2);
}

TEST_CASE("an abandoned call keeps its place on the worker until it is answered") {
  Bench bench = with_module({.max_workers = 1, .standby = 1, .module = {.concurrency = 1}});
  bench.arrives(2, 'a');
  CHECK(bench.abandon(1) == "on w1");
  CHECK(bench.is_on(1, 1));
  CHECK(bench.is_queued(2));
  CHECK(bench.answered(1) == "call c2 on w1");
}

TEST_CASE("a call beyond the queue's limit is refused and forgotten") {
  Bench bench = with_module({.max_workers = 1, .standby = 1, .module = {.concurrency = 1, .queue_limit = 2}});
  bench.arrives(2, 'a');
  bench.arrives(3, 'a');
  CHECK(bench.arrives(4, 'a') == "refuse c4 module queue full");
  CHECK_FALSE(bench.is_queued(4));
  CHECK(bench.scheduler().open_calls() == 3);
  bench.answered(1);
  CHECK(bench.arrives(5, 'a') == "");
  CHECK(bench.is_queued(5));
}

TEST_CASE("the queue's limit is counted for each module by itself, and calls on workers do not count") {
  Bench bench = with_module({.max_workers = 1, .standby = 1, .module = {.concurrency = 2, .queue_limit = 1}});
  CHECK(bench.arrives(2, 'a') == "call c2 on w1");
  CHECK(bench.arrives(3, 'a') == "");
  CHECK(bench.arrives(4, 'b') == "");
  CHECK(bench.arrives(5, 'a') == "refuse c5 module queue full");
  CHECK(bench.arrives(6, 'b') == "refuse c6 module queue full");
}

TEST_CASE("open calls are those that are neither answered nor abandoned") {
  Bench bench = with_module({.max_workers = 1, .standby = 1, .module = {.concurrency = 2}});
  bench.arrives(2, 'a');
  bench.arrives(3, 'a');
  CHECK(bench.scheduler().open_calls() == 3);
  bench.abandon(1);
  CHECK(bench.scheduler().open_calls() == 2);
  bench.answered(1);
  CHECK(bench.scheduler().open_calls() == 2);
  bench.abandon(3);
  CHECK(bench.scheduler().open_calls() == 1);
  bench.answered(2);
  CHECK(bench.scheduler().open_calls() == 0);
}

TEST_CASE("calls that wait are limited for each client, whatever they wait for") {
  Bench bench({.max_workers = 1, .standby = 0, .client_queue_limit = 2});
  bench.start();
  bench.arrives(1, 'a', Bench::Arrival{.client = 1});
  bench.arrives(2, 'b', Bench::Arrival{.client = 1});
  CHECK(bench.arrives(3, 'c', Bench::Arrival{.client = 1}) == "refuse c3 client queue full");
  CHECK(bench.arrives(4, 'a', Bench::Arrival{.client = 2}) == "");
  CHECK(bench.abandon(2) == "queued");
  CHECK(bench.arrives(5, 'a', Bench::Arrival{.client = 1}) == "");
}

TEST_CASE("calls that wait are limited for all together") {
  Bench bench({.max_workers = 1, .standby = 0, .total_queue_limit = 2});
  bench.start();
  bench.arrives(1, 'a', Bench::Arrival{.client = 1});
  bench.arrives(2, 'b', Bench::Arrival{.client = 2});
  CHECK(bench.arrives(3, 'c', Bench::Arrival{.client = 3}) == "refuse c3 all queues full");
}

// The retry time that a refused call gets.
Duration retry_after(Bench& bench, ModuleId module) {
  Decisions out;
  const auto refused = bench.scheduler().call_arrived(
      {.id = CallId{1000}, .module = module, .caller = {.client = ClientId{1}}, .deadline = TimePoint::max()},
      TimePoint{1000s}, out);
  REQUIRE(refused.has_value());
  CHECK(out.empty());
  return refused->retry_after;
}

TEST_CASE("a refused caller gets a retry time of 10 ms to 10 s from the length of past calls") {
  for (const auto& [cpu_time, expected] :
       {std::pair<Duration, Duration>{5ms, 50ms}, {1us, 10ms}, {10s, 10s}, {0s, 10ms}}) {
    Bench bench = with_module({.max_workers = 1, .standby = 1, .module = {.concurrency = 1, .queue_limit = 10}});
    bench.answered(1, cpu_time);
    for (std::uint64_t call = 2; call <= 12; ++call) bench.arrives(call, 'a');
    CHECK(retry_after(bench, testing::module_id('a')) == expected);
  }
}

TEST_CASE("the clients of a module are served round-robin with one call each if calls cost the same") {
  Bench bench = with_module({.max_workers = 1, .standby = 1, .module = {.concurrency = 1}});
  for (std::uint64_t call = 2; call <= 4; ++call) bench.arrives(call, 'a', Bench::Arrival{.client = 1});
  bench.arrives(5, 'a', Bench::Arrival{.client = 2});
  bench.arrives(6, 'a', Bench::Arrival{.client = 3});
  bench.arrives(7, 'a', Bench::Arrival{.client = 2});
  CHECK(bench.answered(1) == "call c5 on w1");
  CHECK(bench.answered(5) == "call c6 on w1");
  CHECK(bench.answered(6) == "call c2 on w1");
  CHECK(bench.answered(2) == "call c7 on w1");
  CHECK(bench.answered(7) == "call c3 on w1");
  CHECK(bench.answered(3) == "call c4 on w1");
}

TEST_CASE("users share a module by what their calls cost, however many connections each has") {
  Bench bench = with_module({.max_workers = 1, .standby = 1, .module = {.concurrency = 1}});
  bench.arrives(2, 'a', Bench::Arrival{.client = 1, .user = 1});
  bench.arrives(3, 'a', Bench::Arrival{.client = 1, .user = 1});
  bench.arrives(4, 'a', Bench::Arrival{.client = 2, .user = 1});
  for (std::uint64_t call = 5; call <= 7; ++call) bench.arrives(call, 'a', Bench::Arrival{.client = 3, .user = 2});
  CHECK(bench.answered(1, 3ms) == "call c5 on w1");
  CHECK(bench.answered(5, 1ms) == "call c6 on w1");
  CHECK(bench.answered(6, 1ms) == "call c7 on w1");
  CHECK(bench.answered(7, 1ms) == "call c4 on w1");
  CHECK(bench.answered(4, 1ms) == "call c2 on w1");
}

TEST_CASE("the cost of running calls and of what answered calls left behind counts too") {
  SchedulerOptions options = kOneWorker;
  options.module.concurrency = 2;
  Bench bench(options);
  bench.started();
  bench.arrives(1, 'a', Bench::Arrival{.client = 1});
  bench.arrives(2, 'a', Bench::Arrival{.client = 2});
  bench.loaded(1);
  for (std::uint64_t call : {3, 4}) bench.arrives(call, 'a', Bench::Arrival{.client = 1});
  for (std::uint64_t call : {5, 6}) bench.arrives(call, 'a', Bench::Arrival{.client = 2});
  bool is_dear = true;
  SUBCASE("of the client that waited first") { bench.ran(1, {UserId{1}, ClientId{1}, FunctionId{1}}, 50ms); }
  SUBCASE("of one that does not wait") {
    bench.ran(1, {UserId{1}, ClientId{3}, FunctionId{1}}, 50ms);
    is_dear = false;
  }
  CHECK(bench.answered(2, 0s) == (is_dear ? "call c5 on w1" : "call c3 on w1"));
  CHECK(bench.answered(1, 0s) == (is_dear ? "call c6 on w1" : "call c5 on w1"));
}

TEST_CASE("a call that ends in the queue costs its client nothing") {
  Bench bench = with_module({.max_workers = 1, .standby = 1, .module = {.concurrency = 1}});
  bench.arrives(2, 'a', Bench::Arrival{.time = 5s, .client = 1});
  bench.arrives(3, 'a', Bench::Arrival{.client = 1});
  bench.arrives(4, 'a', Bench::Arrival{.client = 2});
  bench.pass(5s);
  CHECK(bench.answered(1, 0s) == "overdue c2 queued, call c3 on w1");
}

// --- how far ahead a worker is given calls -------------------------------------------------------------------------

TEST_CASE("a worker gets four of the first calls of a module ahead") {
  Bench bench(kOneWorker);
  bench.started();
  for (std::uint64_t call = 1; call <= 4; ++call) bench.arrives(call, 'a');
  CHECK(bench.is_on(4, 1));
  CHECK(bench.arrives(5, 'a') == "look at w1");
  CHECK(bench.is_queued(5));
  CHECK(bench.calls_started(1, 1) == "call c5 on w1");
}

TEST_CASE("a worker gets as many calls ahead as it will start within two milliseconds and at least one") {
  for (const auto& [cpu_time, ahead] : {std::pair<Duration, std::uint64_t>{200us, 10}, {1ms, 2}, {5s, 1}}) {
    Bench bench = with_module(kOneWorker);
    bench.answered(1, cpu_time);
    std::uint64_t call = 2;
    while (!bench.is_queued(call)) bench.arrives(++call, 'a');
    CHECK(bench.view(1).calls_in_flight == ahead);
  }
}

TEST_CASE("while calls wait only for others to start the worker is inspected every two milliseconds") {
  Bench bench = with_module(kOneWorker);
  bench.answered(1, 1s);
  CHECK(bench.arrives(2, 'a') == "call c2 on w1");
  CHECK(bench.arrives(3, 'a') == "look at w1");
  CHECK(bench.arrives(4, 'a') == "");  // the worker is inspected already
  REQUIRE(bench.wakeup_in() == Duration(2ms));
  CHECK(bench.tick_after(2ms) == "look at w1");
  CHECK(bench.calls_started(1, 2) == "call c3 on w1, look at w1");
  CHECK(bench.calls_started(1, 3) == "call c4 on w1");
  CHECK(bench.tick_after(2ms) == "");
  CHECK(bench.wakeup_in() > Duration(2ms));
}

TEST_CASE("a worker with its maximum of calls is not inspected") {
  Bench bench = with_module({.max_workers = 1, .standby = 1, .module = {.concurrency = 1}});
  CHECK(bench.arrives(2, 'a') == "");
  CHECK(bench.tick_after(1s) == "");
}

TEST_CASE("calls that a worker has not started within eight milliseconds of CPU time are taken back") {
  Bench bench = with_module(kOneWorker);
  bench.answered(1, 100us);
  for (std::uint64_t call = 2; call <= 6; ++call) bench.arrives(call, 'a');
  CHECK(bench.tick_after(2ms) == "look at w1");
  CHECK(bench.calls_started(1, 2, 50ms) == "");
  CHECK(bench.tick_after(2ms) == "look at w1");
  CHECK(bench.calls_started(1, 2, 57ms) == "");
  CHECK(bench.tick_after(2ms) == "look at w1");
  CHECK(bench.calls_started(1, 2, 58ms) == "take back from w1");
  CHECK(bench.arrives(7, 'a', Bench::Arrival{.client = 2, .user = 2}) == "look at w1");
  // The calls that were taken back go ahead one at a time, in the round-robin order with others.
  CHECK(bench.calls_taken_back(1, 2, 6) == "call c7 on w1");
  for (std::uint64_t call = 3; call <= 6; ++call) CHECK(bench.is_queued(call));
  CHECK(bench.answered(2, 50ms) == "");
  CHECK(bench.calls_started(1, 7, 60ms) == "call c3 on w1");
}

TEST_CASE("a worker that has started all its calls gets new time and one with a single call keeps it") {
  Bench bench = with_module(kOneWorker);
  bench.answered(1, 100us);
  bench.arrives(2, 'a');
  bench.arrives(3, 'a');
  CHECK(bench.tick_after(2ms) == "look at w1");
  CHECK(bench.calls_started(1, 3, 1s) == "");
  bench.arrives(4, 'a');
  bench.arrives(5, 'a');
  CHECK(bench.tick_after(2ms) == "look at w1");
  CHECK(bench.calls_started(1, 4, 2s) == "");
  CHECK(bench.tick_after(2ms) == "");
}

TEST_CASE("after calls were taken back each quick call lets one more go ahead") {
  Bench bench = with_module(kOneWorker);
  bench.answered(1, 0s);
  for (std::uint64_t call = 2; call <= 20; ++call) bench.arrives(call, 'a');
  bench.calls_started(1, 2);
  bench.calls_started(1, 2, 1s);
  CHECK(bench.calls_taken_back(1, 2, 20) == "call c3 on w1");
  CHECK(bench.answered(2, 2ms) == "");
  CHECK(bench.answered(3, 0s) == "call c4 on w1, call c5 on w1");
  CHECK(bench.answered(4, 0s) == "call c6 on w1, call c7 on w1");
}

TEST_CASE("calls that are taken back wait before the other calls of their client and abandoned ones are forgotten") {
  Bench bench = with_module({.max_workers = 1, .standby = 1, .module = {.concurrency = 4}});
  bench.answered(1, 0s);
  for (std::uint64_t call = 2; call <= 7; ++call) bench.arrives(call, 'a', call == 5 ? 5s : Duration(1h));
  bench.abandon(4);
  bench.pass(5s);
  CHECK(bench.is_on(5, 1));
  CHECK(bench.calls_taken_back(1, 2, 5) == "overdue c5 queued, call c3 on w1, call c6 on w1, call c7 on w1");
  CHECK(bench.scheduler().open_calls() == 4);
}

TEST_CASE("a worker that drains gives back what it has not started, and its slot when it is idle") {
  Bench bench = with_module({.max_workers = 1, .standby = 1, .slice = 10ms});
  bench.answered(1, 100us);
  for (std::uint64_t call = 2; call <= 4; ++call) bench.arrives(call, 'a');
  bench.arrives(5, 'b');
  CHECK(bench.tick_after(1s) == "look at w1, drain w1 for b, fork w3");
  CHECK(bench.calls_started(1, 2) == "");
  CHECK(bench.calls_started(1, 2, 1s) == "take back from w1");
  CHECK(bench.calls_taken_back(1, 2, 4) == "");
  CHECK(bench.is_queued(3));
  CHECK(bench.answered(2, 1s).starts_with("kill w1 slice over"));
}

// --- deadlines and calls that nobody waits for ---------------------------------------------------------------------

TEST_CASE("a call whose time ends in the queue is reported and forgotten") {
  Bench bench({.max_workers = 1, .standby = 0});
  bench.start();
  bench.arrives(1, 'a', 5s);
  bench.arrives(2, 'b', 1h);
  REQUIRE(bench.wakeup_in() == Duration(5s));
  CHECK(bench.tick_after(5s - 1ns) == "");
  CHECK(bench.tick_after(1ns) == "overdue c1 queued");
  CHECK_FALSE(bench.is_queued(1));
  CHECK(bench.scheduler().open_calls() == 1);
}

TEST_CASE("a call that arrives after its deadline is reported at once and takes no worker") {
  Bench bench = with_module(kOneWorker);
  CHECK(bench.arrives(2, 'a', 0s) == "overdue c2 queued");
  CHECK(bench.arrives(3, 'b', -1s) == "overdue c3 queued");
  CHECK(bench.scheduler().open_calls() == 1);
  CHECK(bench.arrives(4, 'a') == "call c4 on w1");
}

TEST_CASE("a call is not given to a worker after its deadline even if the tick is late") {
  Bench bench = with_module({.max_workers = 1, .standby = 1, .module = {.concurrency = 1}});
  bench.arrives(2, 'a', 5s);
  bench.arrives(3, 'a');
  bench.pass(5s);
  CHECK(bench.answered(1) == "overdue c2 queued, call c3 on w1");
}

TEST_CASE("a call whose time ends on a worker is reported once and stays there until it is abandoned or answered") {
  Bench bench(kOneWorker);
  bench.started();
  bench.arrives(1, 'a', 5s);
  CHECK(bench.tick_after(5s) == "overdue c1 on w1");
  CHECK(bench.tick_after(1h) == "");
  CHECK(bench.is_on(1, 1));
  CHECK(bench.scheduler().open_calls() == 1);
  CHECK(bench.abandon(1) == "on w1");
  CHECK(bench.scheduler().open_calls() == 0);
  CHECK(bench.is_on(1, 1));
}

TEST_CASE("calls become overdue in the order of their deadlines, whenever they came") {
  Bench bench(kOneWorker);
  bench.started();
  bench.arrives(1, 'a', 9s);
  bench.arrives(2, 'a', 3s);
  bench.arrives(3, 'b', 6s);
  CHECK(bench.wakeup_in() == Duration(3s));
  CHECK(bench.tick_after(10s) == "overdue c2 on w1, overdue c3 queued, overdue c1 on w1");
}

TEST_CASE("a call that was overdue ends with the worker that was stopped for it, even if it had not been started") {
  Bench bench(kOneWorker);
  bench.started();
  bench.arrives(1, 'a', 5s);
  bench.forked(2);
  CHECK(bench.tick_after(5s) == "overdue c1 on w1");
  bench.stopping(1);
  // Only the worker itself says what it has started.
  CHECK(bench.lost(1, 0) == "ended c1 not started");
  CHECK(bench.scheduler().open_calls() == 0);
}

TEST_CASE("a call that is abandoned in the queue is gone, and a module without calls no longer waits") {
  Bench bench = with_module(kOneWorker);
  bench.arrives(2, 'b');
  bench.arrives(3, 'c');
  CHECK(bench.abandon(2) == "queued");
  CHECK_FALSE(bench.is_queued(2));
  bench.pass(100ms);  // the slice
  CHECK(bench.answered(1) == "kill w1 evicted, load w2 c, call c3 on w2, fork w3");
}

TEST_CASE("a module keeps its place among those that wait when one of its calls is abandoned") {
  Bench bench = with_module(kOneWorker);
  bench.arrives(2, 'b');
  bench.arrives(3, 'c');
  bench.arrives(4, 'b');
  CHECK(bench.abandon(2) == "queued");
  bench.pass(100ms);  // the slice
  CHECK(bench.answered(1) == "kill w1 evicted, load w2 b, call c4 on w2, fork w3");
}

TEST_CASE("a module that stopped waiting and is called again has the place that it had") {
  Bench bench = with_module(kOneWorker);
  bench.arrives(2, 'b');
  bench.arrives(3, 'c');
  bench.abandon(2);
  bench.arrives(4, 'b');
  bench.pass(100ms);  // the slice
  CHECK(bench.answered(1) == "kill w1 evicted, load w2 b, call c4 on w2, fork w3");
}

TEST_CASE("a worker that keeps an abandoned call beyond the grace time is reported after each grace time") {
  Bench bench = with_module({.max_workers = 1, .standby = 1, .cancel_grace = 1s});
  CHECK(bench.abandon(1) == "on w1");
  REQUIRE(bench.wakeup_in() == Duration(1s));
  CHECK(bench.tick_after(1s - 1ns) == "");
  CHECK(bench.tick_after(1ns) == "late cancel c1 on w1");
  REQUIRE(bench.wakeup_in() == Duration(1s));
  CHECK(bench.tick_after(1s - 1ns) == "");
  CHECK(bench.tick_after(1ns) == "late cancel c1 on w1");
  CHECK(bench.view(1).phase == WorkerPhase::ready);
  bench.answered(1);
  CHECK(bench.tick_after(1s) == "");
}

TEST_CASE("a late cancellation is reported once however late the tick") {
  Bench bench = with_module({.max_workers = 1, .standby = 1, .cancel_grace = 1s});
  bench.abandon(1);
  CHECK(bench.tick_after(10s) == "late cancel c1 on w1");
  CHECK(bench.wakeup_in() == Duration(1s));
}

TEST_CASE("a worker that gives up its calls in time is not reported") {
  Bench bench = with_module({.max_workers = 1, .standby = 1, .cancel_grace = 1s, .module = {.idle_timeout = 1h}});
  bench.abandon(1);
  bench.pass(1s - 1ns);
  bench.answered(1);
  CHECK(bench.tick_after(1h - 1s) == "");
}

TEST_CASE("a worker that is being stopped is not reported for a late cancellation") {
  Bench bench = with_module({.max_workers = 1, .standby = 1, .cancel_grace = 1s});
  bench.abandon(1);
  bench.stopping(1);
  CHECK(bench.tick_after(1s) == "");
}

TEST_CASE("the calls of a worker that was stopped for a late cancellation wait for its successor") {
  Bench bench = with_module({.max_workers = 1, .standby = 1, .cancel_grace = 1s});
  bench.arrives(2, 'a');
  bench.abandon(1);
  bench.tick_after(1s);
  bench.stopping(1);
  CHECK(bench.tick_after(1s) == "");
  CHECK(bench.lost(1, 1) == "ended c1 abandoned, load w2 a, call c2 on w2, fork w3");
}

TEST_CASE("an abandoned call's deadline no longer counts") {
  Bench bench({.max_workers = 1, .standby = 1, .cancel_grace = 10s});
  bench.started();
  bench.arrives(1, 'a', 5s);
  bench.abandon(1);
  CHECK(bench.tick_after(5s) == "");
  CHECK(bench.answered(1) == "");
}

}  // namespace
}  // namespace holdfast::supervisor
