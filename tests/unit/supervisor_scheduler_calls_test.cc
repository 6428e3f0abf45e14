// The scheduler's rules for calls, one at a time: queues, deadlines, cancellations, lost workers, sources, hold-off.
#include <utility>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "supervisor/scheduler.h"
#include "tests/unit/supervisor_scheduler_bench.h"

namespace holdfast::supervisor {
namespace {

using testing::Bench;
using namespace std::chrono_literals;

// One module at a time, one worker ready beside it.
constexpr SchedulerOptions kOneWorker = {.max_workers = 1, .standby = 1};
constexpr SchedulerOptions kTwoWorkers = {.max_workers = 2, .standby = 1};

// A bench whose worker 1 has loaded module a for call 1; worker 2 is on standby.
Bench with_module(const SchedulerOptions& options) {
  Bench bench(options);
  bench.started();
  bench.arrives(1, 'a');
  bench.forked(2);
  bench.loaded(1);
  return bench;
}

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

TEST_CASE("an abandoned call keeps its place on the worker until that has answered") {
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

// How long a refused call is told to wait.
Duration retry_after(Bench& bench, ModuleId module) {
  Decisions out;
  const auto refused = bench.scheduler().call_arrived(
      {.id = CallId{1000}, .module = module, .client = ClientId{1}, .deadline = TimePoint::max()}, TimePoint{1000s},
      out);
  REQUIRE(refused.has_value());
  CHECK(out.empty());
  return refused->retry_after;
}

TEST_CASE("who is refused is told how long the queue takes by what calls took, from 10 ms to 10 s") {
  for (const auto& [cpu_time, expected] :
       {std::pair<Duration, Duration>{5ms, 50ms}, {1us, 10ms}, {10s, 10s}, {0s, 10ms}}) {
    Bench bench = with_module({.max_workers = 1, .standby = 1, .module = {.concurrency = 1, .queue_limit = 10}});
    bench.answered(1, cpu_time);
    for (std::uint64_t call = 2; call <= 12; ++call) bench.arrives(call, 'a');
    CHECK(retry_after(bench, testing::module_id('a')) == expected);
  }
}

TEST_CASE("the clients of a module have their turns, one call each") {
  Bench bench = with_module({.max_workers = 1, .standby = 1, .module = {.concurrency = 1}});
  for (std::uint64_t call = 2; call <= 4; ++call) bench.arrives(call, 'a', Bench::Arrival{.client = 1});
  bench.arrives(5, 'a', Bench::Arrival{.client = 2});
  bench.arrives(6, 'a', Bench::Arrival{.client = 3});
  bench.arrives(7, 'a', Bench::Arrival{.client = 2});
  CHECK(bench.answered(1) == "call c2 on w1");
  CHECK(bench.answered(2) == "call c5 on w1");
  CHECK(bench.answered(5) == "call c6 on w1");
  CHECK(bench.answered(6) == "call c3 on w1");
  CHECK(bench.answered(3) == "call c7 on w1");
  CHECK(bench.answered(7) == "call c4 on w1");
}

TEST_CASE("a call that has waited too long costs its client no turn") {
  Bench bench = with_module({.max_workers = 1, .standby = 1, .module = {.concurrency = 1}});
  bench.arrives(2, 'a', Bench::Arrival{.time = 5s, .client = 1});
  bench.arrives(3, 'a', Bench::Arrival{.client = 1});
  bench.arrives(4, 'a', Bench::Arrival{.client = 2});
  bench.pass(5s);
  CHECK(bench.answered(1) == "overdue c2 queued, call c3 on w1");
}

// --- how far ahead a worker is given calls -------------------------------------------------------------------------

TEST_CASE("of a module's first calls a worker is given four that it has not started") {
  Bench bench(kOneWorker);
  bench.started();
  for (std::uint64_t call = 1; call <= 4; ++call) bench.arrives(call, 'a');
  CHECK(bench.is_on(4, 1));
  CHECK(bench.arrives(5, 'a') == "look at w1");
  CHECK(bench.is_queued(5));
  CHECK(bench.calls_started(1, 1) == "call c5 on w1");
}

TEST_CASE("a worker is given as many calls ahead as it will start within two milliseconds, and one at least") {
  for (const auto& [cpu_time, ahead] : {std::pair<Duration, std::uint64_t>{200us, 10}, {1ms, 2}, {5s, 1}}) {
    Bench bench = with_module(kOneWorker);
    bench.answered(1, cpu_time);
    std::uint64_t call = 2;
    while (!bench.is_queued(call)) bench.arrives(++call, 'a');
    CHECK(bench.view(1).calls_in_flight == ahead);
  }
}

TEST_CASE("while calls wait only for others to be started, the worker is looked at every two milliseconds") {
  Bench bench = with_module(kOneWorker);
  bench.answered(1, 1s);
  CHECK(bench.arrives(2, 'a') == "call c2 on w1");
  CHECK(bench.arrives(3, 'a') == "look at w1");
  CHECK(bench.arrives(4, 'a') == "");  // it is looked at already
  REQUIRE(bench.wakeup_in() == Duration(2ms));
  CHECK(bench.tick_after(2ms) == "look at w1");
  CHECK(bench.calls_started(1, 2) == "call c3 on w1");
  CHECK(bench.calls_started(1, 3) == "call c4 on w1");
  CHECK(bench.tick_after(2ms) == "");
  CHECK(bench.wakeup_in() > Duration(2ms));
}

TEST_CASE("a worker that has as many calls as it may have is not looked at") {
  Bench bench = with_module({.max_workers = 1, .standby = 1, .module = {.concurrency = 1}});
  CHECK(bench.arrives(2, 'a') == "");
  CHECK(bench.tick_after(1s) == "");
}

// --- deadlines and calls that nobody waits for ---------------------------------------------------------------------

TEST_CASE("a call whose time is over in the queue is told and forgotten") {
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

TEST_CASE("a call whose deadline has passed when it comes is told at once, and keeps nobody from a worker") {
  Bench bench = with_module(kOneWorker);
  CHECK(bench.arrives(2, 'a', 0s) == "overdue c2 queued");
  CHECK(bench.arrives(3, 'b', -1s) == "overdue c3 queued");
  CHECK(bench.scheduler().open_calls() == 1);
  CHECK(bench.arrives(4, 'a') == "call c4 on w1");
}

TEST_CASE("a call is not given to a worker once its deadline has passed, be the tick late") {
  Bench bench = with_module({.max_workers = 1, .standby = 1, .module = {.concurrency = 1}});
  bench.arrives(2, 'a', 5s);
  bench.arrives(3, 'a');
  bench.pass(5s);
  CHECK(bench.answered(1) == "overdue c2 queued, call c3 on w1");
}

TEST_CASE("a call whose time is over on a worker is told once, and stays there until it is abandoned or answered") {
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
  // What was started is the worker's own word.
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

TEST_CASE("a module that stopped waiting and calls again waits at the end") {
  Bench bench = with_module(kOneWorker);
  bench.arrives(2, 'b');
  bench.arrives(3, 'c');
  bench.abandon(2);
  bench.arrives(4, 'b');
  bench.pass(100ms);  // the slice
  CHECK(bench.answered(1) == "kill w1 evicted, load w2 c, call c3 on w2, fork w3");
}

TEST_CASE("a worker that does not give up an abandoned call within the grace is told, again after each further grace") {
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

TEST_CASE("a late cancellation is told once, however late the tick") {
  Bench bench = with_module({.max_workers = 1, .standby = 1, .cancel_grace = 1s});
  bench.abandon(1);
  CHECK(bench.tick_after(10s) == "late cancel c1 on w1");
  CHECK(bench.wakeup_in() == Duration(1s));
}

TEST_CASE("a worker that gives up its calls in time is not told of") {
  Bench bench = with_module({.max_workers = 1, .standby = 1, .cancel_grace = 1s, .module = {.idle_timeout = 1h}});
  bench.abandon(1);
  bench.pass(1s - 1ns);
  bench.answered(1);
  CHECK(bench.tick_after(1h - 1s) == "");
}

TEST_CASE("a worker that is being stopped is not told of for a cancellation") {
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

// --- workers that end ----------------------------------------------------------------------------------------------

TEST_CASE("of the calls on a lost worker those that were started end, and the others run again in their order") {
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

TEST_CASE("a call that no worker has started runs again however often it takes") {
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

TEST_CASE("what a worker was seen to have started it has started, whatever its end says") {
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

TEST_CASE("what a worker that is being stopped still says counts for its calls only") {
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

TEST_CASE("a module that cannot be loaded ends all its calls, also those that wait and those that were abandoned") {
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

TEST_CASE("a load that fails on a worker without calls which is being stopped ends nobody else's calls") {
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

TEST_CASE("a source that cannot be had ends the calls that wait for it, and the next call asks again") {
  Bench bench(kOneWorker);
  bench.holding_sources().started();
  bench.arrives(1, 'a');
  bench.arrives(2, 'a');
  CHECK(bench.source_failed('a') == "ended c1, c2");
  CHECK(bench.scheduler().open_calls() == 0);
  CHECK(bench.arrives(3, 'a') == "fetch a");
}

TEST_CASE("a source that comes when nobody waits any more is not loaded") {
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

TEST_CASE("a source that changes while it is fetched is fetched again, whether the outdated one was had or not") {
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

TEST_CASE("a module that fails again is held off: its calls are refused, and those that wait go on waiting") {
  Bench bench({.max_workers = 1, .standby = 1, .hold_off = kAtTheSecondFailure, .module = {.concurrency = 1}});
  bench.started();
  bench.arrives(1, 'a');
  bench.arrives(2, 'a');
  bench.arrives(3, 'a');
  bench.forked(2);
  CHECK(bench.lost(1, WorkerLoss{.started = 1, .fault_of_module = true}) ==
        "ended c1 started, load w2 a, call c2 on w2, fork w3");
  bench.forked(3);
  CHECK(bench.lost(2, WorkerLoss{.started = 1, .fault_of_module = true}) == "ended c2 started");
  CHECK(bench.arrives(4, 'a') == "refuse c4 held off");
  CHECK(bench.is_queued(3));
  CHECK_FALSE(bench.module('a').claims_slot);
  REQUIRE(bench.wakeup_in() == Duration(1s));
  CHECK(bench.tick_after(1s - 1ns) == "");
  CHECK(bench.tick_after(1ns) == "load w3 a, call c3 on w3, fork w4");
  CHECK(bench.arrives(5, 'a') == "");
}

TEST_CASE("a module that is held off while it waits for a slot loses its place") {
  Bench bench({.max_workers = 2,
               .standby = 1,
               .cores = 2,
               .hold_off = kAtTheSecondFailure,
               .module = {.max_instances = 2, .concurrency = 1}});
  bench.started();
  bench.arrives(1, 'a');
  bench.forked(2);
  bench.loaded(1);
  bench.arrives(2, 'b');
  bench.forked(3);
  bench.loaded(2);
  bench.answered(1, 1s);
  // One more is worth it; there is no slot.
  bench.arrives(3, 'a', Bench::Arrival{});
  bench.arrives(4, 'a', Bench::Arrival{});
  CHECK(bench.module('a').claims_slot);
  bench.lost(1, WorkerLoss{.started = 2, .fault_of_module = true});
  bench.forked(4);
  CHECK(bench.module('a').instances == 1);
  bench.arrives(5, 'a', Bench::Arrival{});
  CHECK(bench.module('a').claims_slot);
  CHECK(bench.lost(3, WorkerLoss{.started = 1, .fault_of_module = true}) == "ended c4 started");
  CHECK_FALSE(bench.module('a').claims_slot);
  CHECK(bench.is_queued(5));
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

TEST_CASE("answers show that a module is well") {
  Bench bench({.max_workers = 1, .standby = 1, .hold_off = kAtTheSecondFailure});
  bench.started();
  for (std::uint64_t worker = 1; worker < 6; ++worker) {
    bench.arrives(3 * worker, 'a');
    bench.arrives(3 * worker + 1, 'a');
    bench.arrives(3 * worker + 2, 'a');
    bench.answered(3 * worker);
    bench.answered(3 * worker + 1);
    bench.forked(worker + 1);
    bench.lost(worker, WorkerLoss{.started = 3, .fault_of_module = true});
    CHECK_FALSE(bench.module('a').held_off_until.has_value());
  }
}

}  // namespace
}  // namespace holdfast::supervisor
