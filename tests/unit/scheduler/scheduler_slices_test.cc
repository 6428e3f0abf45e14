// The scheduler's rules for sharing slots, one at a time: which worker makes room for which module and when, how many
// workers a module gets, how many stand by.
#include <doctest/doctest.h>

#include <string>

#include "supervisor/scheduler/scheduler.h"
#include "tests/unit/scheduler/scheduler_bench.h"

namespace holdfast::supervisor {
namespace {

using testing::Bench;
using testing::with_module;
using namespace std::chrono_literals;

constexpr SchedulerOptions kOneSlot = {.max_workers = 1, .standby = 1, .slice = 100ms};
constexpr SchedulerOptions kTwoSlots = {.max_workers = 2, .standby = 1, .slice = 100ms};

// A full pool: modules a, b, … have one worker each, with the calls 1, 2, … They loaded one after the other, each in
// `load_time`.
Bench full(const SchedulerOptions& options, Duration load_time = 0ms) {
  Bench bench(options);
  bench.started();
  for (std::uint64_t i = 1; i <= options.max_workers; ++i) {
    bench.arrives(i, static_cast<char>('a' + i - 1));
    bench.forked(i + 1);
    bench.pass(load_time);
    bench.loaded(i);
  }
  return bench;
}

// --- slices and draining -------------------------------------------------------------------------------------------

TEST_CASE("a busy worker drains once its slice is over and a module waits and then its slot is passed on") {
  Bench bench = full(kOneSlot);
  bench.pass(30ms);
  CHECK(bench.arrives(2, 'b') == "");
  REQUIRE(bench.wakeup_in() == Duration(70ms));
  CHECK(bench.tick_after(70ms - 1ns) == "");
  CHECK(bench.arrives(3, 'a') == "call c3 on w1");
  CHECK(bench.tick_after(1ns) == "drain w1 for b, fork w3");
  CHECK_FALSE(bench.view(1).takes_calls);
  CHECK(bench.arrives(4, 'a') == "");
  CHECK(bench.answered(1) == "");
  CHECK(bench.answered(3) == "kill w1 slice over, load w2 b, call c2 on w2");
  CHECK(bench.is_queued(4));
}

TEST_CASE("a worker whose slice has long been over drains as soon as a module waits") {
  Bench bench = full(kOneSlot);
  bench.pass(1h - 1ns);
  CHECK(bench.arrives(2, 'b') == "drain w1 for b, fork w3");
}

TEST_CASE("a slice begins when the module has loaded, and is as many times as long as the module's weight") {
  Bench bench(kOneSlot);
  bench.started();
  bench.configure('a', {.weight = 3});
  bench.arrives(1, 'a');
  bench.forked(2);
  CHECK(bench.arrives(2, 'b') == "");
  CHECK(bench.tick_after(1s) == "");
  bench.loaded(1);
  REQUIRE(bench.wakeup_in() == Duration(300ms));
  CHECK(bench.tick_after(300ms) == "drain w1 for b, fork w3");
}

TEST_CASE("among modules with equally many busy workers the worker whose slice ended first drains") {
  Bench bench = full({.max_workers = 3, .standby = 1, .slice = 100ms}, 10ms);
  bench.pass(1s);
  CHECK(bench.arrives(4, 'd') == "drain w1 for d, fork w5");
  CHECK(bench.arrives(5, 'e') == "drain w2 for e, fork w6");
}

TEST_CASE("no worker drains for a module for which another makes room already") {
  Bench bench = full(kTwoSlots);
  bench.pass(1s);
  CHECK(bench.arrives(3, 'c') == "drain w1 for c, fork w4");
  CHECK(bench.tick_after(900ms) == "");  // less than the grace time
  CHECK(bench.arrives(4, 'c') == "");
  CHECK(bench.view(2).takes_calls);
}

TEST_CASE("for a module that waits because it had to drain the next eligible worker drains") {
  Bench bench({.max_workers = 2, .standby = 1, .cores = 2, .slice = 100ms});
  bench.started();
  bench.configure('a', {.max_instances = 2, .concurrency = 1});
  bench.arrives(1, 'a');
  bench.forked(2);
  bench.loaded(1);
  bench.pass(80ms);
  bench.arrives(2, 'b');
  bench.forked(3);
  bench.loaded(2);
  bench.answered(1, 1s);
  bench.arrives(3, 'a');
  bench.arrives(4, 'a');
  CHECK(bench.module('a').claims_slot);  // another claim, for which no worker drains
  bench.pass(100ms);
  CHECK(bench.arrives(5, 'c').starts_with("drain w1 for c, drain w2 for a"));
}

TEST_CASE("a worker that drains goes on when its own module's claim comes first") {
  Bench bench = full(kTwoSlots);
  bench.pass(1s);
  CHECK(bench.arrives(3, 'c') == "drain w1 for c, fork w4");
  CHECK(bench.arrives(4, 'a') == "drain w2 for a, fork w5");
  CHECK(bench.arrives(5, 'b') == "");
  // The slot of worker 2 goes to c, which came first. Module a is next, and still has its worker.
  CHECK(bench.answered(2) == "kill w2 slice over, load w3 c, call c3 on w3, call c4 on w1");
  CHECK(bench.view(1).takes_calls);
  bench.calls_started(1, 2);
  CHECK(bench.tick_after(2ms) == "");
  // Worker 1 has a new slice, for which b waits.
  REQUIRE(bench.wakeup_in() == Duration(98ms));
  CHECK(bench.tick_after(98ms).starts_with("drain w1 for b"));
}

TEST_CASE("a worker that drains goes on when nobody waits any more") {
  Bench bench = full(kOneSlot);
  bench.pass(1s);
  CHECK(bench.arrives(2, 'b') == "drain w1 for b, fork w3");
  CHECK(bench.abandon(2) == "queued");
  CHECK(bench.answered(1) == "");
  CHECK(bench.view(1).takes_calls);
  CHECK(bench.arrives(3, 'a') == "call c3 on w1");
}

TEST_CASE("modules that wait for a slot are served first come, first served") {
  Bench bench = full(kOneSlot);
  bench.arrives(2, 'b');
  bench.arrives(3, 'c');
  bench.arrives(4, 'b');
  bench.pass(100ms);
  CHECK(bench.answered(1) == "kill w1 evicted, load w2 b, call c2 on w2, call c4 on w2, fork w3");
  bench.forked(3);
  bench.loaded(2);
  bench.calls_started(2, 2);
  bench.arrives(5, 'a');
  CHECK(bench.tick_after(100ms) == "drain w2 for c, fork w4");
  bench.answered(2);
  CHECK(bench.answered(4) == "kill w2 slice over, load w3 c, call c3 on w3");
}

// --- eviction ------------------------------------------------------------------------------------------------------

TEST_CASE("the idle worker with the least load time per idle time is evicted") {
  Bench bench(kTwoSlots);
  bench.started();
  const auto load = [&](std::uint64_t worker, char module, Duration time) {
    bench.arrives(worker, module);
    bench.forked(worker + 1);
    bench.pass(time);
    bench.loaded(worker);
  };
  load(1, 'a', 400ms);
  load(2, 'b', 10ms);
  bench.pass(1s);
  bench.answered(1);
  bench.pass(900ms);
  bench.answered(2);
  bench.pass(100ms);
  SUBCASE("b has been idle for a tenth of the time, and loads in a fortieth") {
    CHECK(bench.arrives(3, 'c') == "kill w2 evicted, load w3 c, call c3 on w3, fork w4");
  }
  SUBCASE("a call makes its worker's idle time begin again") {
    bench.arrives(3, 'b');
    bench.answered(3);
    bench.pass(1ms);
    CHECK(bench.arrives(4, 'c') == "kill w1 evicted, load w3 c, call c4 on w3, fork w4");
  }
}

TEST_CASE("while fewer workers are allowed waiting modules get the places of idle workers first") {
  Bench bench({.max_workers = 4, .standby = 1});
  bench.started();
  for (std::uint64_t i = 1; i <= 3; ++i) {
    bench.arrives(i, static_cast<char>('a' + i - 1));
    bench.loaded(i);
    bench.forked(i + 1);
  }
  bench.answered(1);
  bench.answered(2);
  bench.pass(10s);
  CHECK(bench.bound_workers(2) == "");
  CHECK(bench.pool().slots_taken == 3);
  bench.arrives(4, 'd');
  CHECK(bench.is_on(4, 4));
  CHECK(bench.pool().slots_taken == 2);
  CHECK(bench.view(3).phase == WorkerPhase::ready);
  bench.arrives(5, 'e');
  bench.forked(5);
  CHECK(bench.is_queued(5));
  bench.bound_workers(std::nullopt);
  CHECK(bench.is_on(5, 5));
  // At least one module can always be served.
  bench.bound_workers(0);
  bench.loaded(4);
  bench.loaded(5);
  for (std::uint64_t call = 3; call <= 5; ++call) bench.answered(call);
  bench.pass(10s);
  bench.arrives(6, 'f');
  bench.forked(6);
  CHECK(bench.is_on(6, 6));
}

TEST_CASE("an eviction states its reason") {
  Bench bench = full(kTwoSlots, 20ms);
  bench.answered(1);
  bench.answered(2);
  bench.pass(1s);
  Decisions out;
  const TimePoint now = TimePoint{1000s} + 1040ms;
  bench.holding_sources().arrives(3, 'c');
  bench.scheduler().source_ready(testing::module_id('c'), now, out);
  REQUIRE_FALSE(out.empty());
  const auto* kill = std::get_if<KillWorker>(&out.front());
  REQUIRE(kill != nullptr);
  CHECK(kill->reason == KillWorker::Reason::evicted);
  CHECK(kill->candidates == 2);
  CHECK(kill->idle_for == Duration(1s));
  CHECK(kill->load_time == Duration(20ms));
}

TEST_CASE("a worker that is idle for less time than it took to load is not evicted before its slice is over") {
  Bench bench = full(kOneSlot, 40ms);
  bench.pass(10ms);
  bench.answered(1);
  CHECK(bench.arrives(2, 'b') == "");
  SUBCASE("after its slice") {
    REQUIRE(bench.wakeup_in() == Duration(40ms));
    CHECK(bench.tick_after(40ms - 1ns) == "");
    CHECK(bench.tick_after(1ns) == "kill w1 evicted, load w2 b, call c2 on w2, fork w3");
  }
  SUBCASE("it keeps its slot for one slice however often it is called") {
    for (std::uint64_t call = 3; call <= 5; ++call) {
      CHECK(bench.tick_after(25ms) == "");
      CHECK(bench.arrives(call, 'a') == "call c" + std::to_string(call) + " on w1");
      if (call < 5) CHECK(bench.answered(call) == "");
    }
    CHECK(bench.tick_after(15ms) == "drain w1 for b, fork w3");
    CHECK(bench.answered(5) == "kill w1 slice over, load w2 b, call c2 on w2");
  }
}

TEST_CASE("a worker that loads is neither evicted nor drained") {
  Bench bench(kOneSlot);
  bench.started();
  bench.arrives(1, 'a');
  bench.forked(2);
  CHECK(bench.arrives(2, 'b') == "");
  CHECK(bench.tick_after(1min) == "");
}

// --- several workers of one module ---------------------------------------------------------------------------------

// Module a, whose calls take `cpu_time`, has loaded worker 1 in 10 ms. The worker has one call, call 2, and has started
// it.
Bench growing(Duration cpu_time, SchedulerOptions options = {.max_workers = 4, .standby = 1, .cores = 4}) {
  options.module = {.max_instances = 3, .concurrency = 1};
  Bench bench(options);
  bench.started();
  bench.arrives(1, 'a');
  bench.forked(2);
  bench.pass(10ms);
  bench.loaded(1);
  bench.answered(1, cpu_time);
  bench.arrives(2, 'a');
  return bench;
}

TEST_CASE("a module gets a further worker when its queue is longer than a start is worth") {
  Bench bench = growing(4ms);
  CHECK(bench.arrives(3, 'a') == "");
  CHECK(bench.arrives(4, 'a') == "");
  CHECK(bench.arrives(5, 'a') == "load w2 a, call c3 on w2, fork w3");
  CHECK(bench.module('a').instances == 2);
  // A third worker takes twice as many waiting calls, as they wait for two workers now.
  bench.forked(3);
  for (std::uint64_t call = 6; call <= 8; ++call) CHECK(bench.arrives(call, 'a') == "");
  CHECK(bench.arrives(9, 'a') == "load w3 a, call c4 on w3, fork w4");
}

TEST_CASE("a module whose calls are of unknown length gets no further worker") {
  Bench bench({.max_workers = 4, .standby = 1, .cores = 4, .module = {.max_instances = 3, .concurrency = 1}});
  bench.started();
  for (std::uint64_t call = 1; call <= 50; ++call) bench.arrives(call, 'a');
  CHECK(bench.module('a').instances == 1);
}

TEST_CASE("a module has at most max_instances workers, and at most as many as there are cores") {
  for (const auto& [cores, most] : {std::pair<std::size_t, std::size_t>{8, 3}, {2, 2}, {1, 1}}) {
    Bench bench = growing(1s, {.max_workers = 8, .standby = 1, .cores = cores});
    std::uint64_t worker = 2;
    for (std::uint64_t call = 3; call <= 60; ++call) {
      if (bench.arrives(call, 'a').find("load") != std::string::npos) bench.forked(++worker);
    }
    CHECK(bench.module('a').instances == most);
  }
}

TEST_CASE("a module gets a further worker only after those that have none") {
  Bench bench = growing(1s, {.max_workers = 2, .standby = 1, .cores = 4, .slice = 100ms});
  bench.arrives(10, 'b');
  bench.forked(3);
  bench.loaded(2);
  bench.arrives(3, 'a');
  bench.arrives(11, 'c');
  bench.pass(100ms);
  CHECK(bench.answered(10).starts_with("kill w2 evicted, load w3 c, call c11 on w3"));
}

TEST_CASE("a module gets a further worker only from a module that has more workers for its weight") {
  // Module a has two workers; there are three slots.
  Bench bench = growing(1s, {.max_workers = 3, .standby = 1, .cores = 4});
  CHECK(bench.arrives(3, 'a') == "load w2 a, call c3 on w2, fork w3");
  bench.forked(3);
  bench.loaded(2);
  bench.arrives(10, 'b');
  bench.forked(4);
  bench.loaded(3);
  bench.answered(10, 1s);
  bench.arrives(11, 'b');
  SUBCASE("two workers against two are not more") {
    bench.arrives(12, 'b');
    CHECK(bench.module('b').claims_slot);
    CHECK(bench.tick_after(1s) == "");
  }
  SUBCASE("two workers are more if the other module weighs more") {
    bench.configure('b', {.max_instances = 3, .concurrency = 1, .weight = 3});
    bench.arrives(12, 'b');
    CHECK(bench.tick_after(1s) == "drain w1 for b, fork w5");
  }
}

TEST_CASE("the worker of the module with the most workers for its weight drains") {
  Bench bench = growing(1s, {.max_workers = 3, .standby = 1, .cores = 4});
  bench.arrives(3, 'a');
  bench.forked(3);
  bench.pass(1ms);
  bench.loaded(2);
  bench.arrives(10, 'b');
  bench.forked(4);
  bench.loaded(3);
  bench.pass(1s);
  SUBCASE("a has two, b one") { CHECK(bench.arrives(11, 'c').starts_with("drain w1 for c")); }
  SUBCASE("a has two and weighs four times as much") {
    bench.configure('a', {.max_instances = 3, .concurrency = 1, .weight = 4});
    CHECK(bench.arrives(11, 'c').starts_with("drain w3 for c"));
  }
}

TEST_CASE("calls go to the worker that will start them first and to the oldest of equal workers") {
  Bench bench = growing(1s);
  CHECK(bench.arrives(3, 'a') == "load w2 a, call c3 on w2, fork w3");
  bench.loaded(2);
  bench.answered(3, 1s);
  bench.answered(2, 1s);
  CHECK(bench.arrives(4, 'a') == "call c4 on w1");
  CHECK(bench.arrives(5, 'a') == "call c5 on w2");
}

TEST_CASE("a module whose limit of workers falls loses those with the fewest calls") {
  Bench bench = growing(1s);
  bench.arrives(3, 'a');
  bench.forked(3);
  bench.loaded(2);
  bench.answered(2, 1s);
  CHECK(bench.configure('a', {.max_instances = 1}) == "kill w1 retired");
  CHECK(bench.view(2).takes_calls);
  CHECK(bench.module('a').instances == 1);
}

// --- workers that are kept warm ------------------------------------------------------------------------------------

TEST_CASE("a module with min_warm gets its workers before it is called, and again when one is lost") {
  Bench bench({.max_workers = 3, .standby = 1});
  bench.started();
  CHECK(bench.configure('a', {.max_instances = 2, .min_warm = 2}) == "load w1 a, fork w2, fork w3");
  CHECK(bench.forked(2) == "load w2 a");
  bench.forked(3);
  bench.loaded(1);
  bench.loaded(2);
  CHECK(bench.lost(2) == "load w3 a, fork w4");
}

TEST_CASE("workers that are kept warm are not removed as idle, not evicted and not drained") {
  Bench bench = full(kOneSlot);
  bench.configure('a', {.min_warm = 1, .idle_timeout = 1s});
  bench.pass(1min);
  CHECK(bench.arrives(2, 'b', 1min) == "");
  CHECK(bench.view(1).takes_calls);
  CHECK(bench.answered(1) == "");
  CHECK(bench.tick_after(1min) == "overdue c2 queued");
  CHECK(bench.view(1).phase == WorkerPhase::ready);
  CHECK_FALSE(bench.wakeup_in().has_value());
}

TEST_CASE("of a module's workers only as many are kept warm as it says") {
  Bench bench = growing(1s);
  bench.configure('a', {.max_instances = 3, .concurrency = 1, .min_warm = 1, .idle_timeout = 10s});
  bench.arrives(3, 'a');
  bench.loaded(2);
  bench.answered(2, 1s);
  bench.answered(3, 1s);
  const std::string said = bench.tick_after(10s);
  CHECK((said == "kill w1 idle" || said == "kill w2 idle"));
  CHECK(bench.tick_after(1min) == "");
  CHECK(bench.module('a').instances == 1);
}

TEST_CASE("a worker that is no longer to be kept warm is removed after its idle timeout") {
  Bench bench(kTwoSlots);
  bench.started();
  bench.configure('a', {.min_warm = 1, .idle_timeout = 10s});
  bench.loaded(1);
  bench.pass(1min);
  bench.configure('a', {.idle_timeout = 10s});
  CHECK(bench.tick() == "kill w1 idle");
}

// --- standby workers -----------------------------------------------------------------------------------------------

// Starts this many modules cold at once; each one is gone before the next.
void start_cold(Bench& bench, std::uint64_t times) {
  static std::uint64_t call = 1'000'000;
  for (std::uint64_t i = 0; i < times; ++i) {
    bench.arrives(++call, 'z');
    for (const auto& [id, view] : bench.scheduler().workers()) {
      if (view.module) bench.lost(static_cast<std::uint64_t>(id), 1);
    }
    for (const auto& [id, view] : bench.scheduler().workers()) {
      if (view.phase == WorkerPhase::starting) bench.forked(static_cast<std::uint64_t>(id));
    }
  }
}

TEST_CASE("the number of standby workers grows with recent cold starts up to its maximum") {
  Bench bench({.max_workers = 2, .standby = 2, .max_standby = 5});
  bench.started(2);
  CHECK(bench.pool().standby_target == 2);
  start_cold(bench, 100);  // 20 a second, averaged over five seconds: one within 50 ms
  CHECK(bench.pool().standby_target == 3);
  CHECK(bench.pool().standby == 3);
  start_cold(bench, 1000);
  CHECK(bench.pool().standby_target == 5);
  bench.scheduler().bound_standbys(4);
  CHECK(bench.pool().standby_target == 4);
}

TEST_CASE("surplus standby workers are removed when cold starts become rare") {
  Bench bench({.max_workers = 2, .standby = 1, .module = {.idle_timeout = 10s}});
  bench.started();
  start_cold(bench, 300);
  CHECK(bench.pool().standby == 4);
  for (int i = 0; i < 4; ++i) bench.tick_after(10s);
  CHECK(bench.pool().standby == 1);
}

TEST_CASE("without standby workers there are none, however many cold starts there were") {
  Bench bench({.max_workers = 2, .standby = 0});
  bench.start();
  start_cold(bench, 300);
  CHECK(bench.pool().standby_target == 0);
}

TEST_CASE("standby workers are replaced all at once") {
  Bench bench({.max_workers = 2, .standby = 2});
  bench.started(2);
  const std::string said = bench.renew_standbys();
  CHECK((said == "kill w1 retired, kill w2 retired, fork w3, fork w4" ||
         said == "kill w2 retired, kill w1 retired, fork w3, fork w4"));
}

// --- calls that only wait ------------------------------------------------------------------------------------------

constexpr SchedulerOptions kGrace = {.max_workers = 1, .standby = 1, .slice = 100ms, .waiting_grace = 50ms};

TEST_CASE("a worker that drains while others wait is reported as overdue after each grace time and at last for good") {
  Bench bench = testing::with_module(kGrace);
  bench.arrives(2, 'b');
  CHECK(bench.tick_after(100ms) == "drain w1 for b, fork w3");
  CHECK(bench.wakeup_in() == Duration(50ms));
  CHECK(bench.tick_after(50ms - 1ns) == "");
  CHECK(bench.tick_after(1ns) == "drain of w1 overdue");
  for (int graces = 2; graces < Scheduler::kGracesOfWorking; ++graces) {
    CHECK(bench.tick_after(50ms) == "drain of w1 overdue");
  }
  CHECK(bench.tick_after(50ms) == "drain of w1 overdue, finally");
  bench.stopping(1);
  CHECK(bench.lost(1, 1) == "ended c1 started, load w2 b, call c2 on w2");
}

TEST_CASE("calls on a worker that gave its slot away run again if they are idempotent or had not begun") {
  Bench bench(kGrace);
  bench.started();
  bench.arrives(1, 'a', Bench::Arrival{.idempotent = true});
  bench.arrives(2, 'a');
  bench.arrives(3, 'a');
  bench.forked(2);
  bench.loaded(1);
  bench.calls_started(1, 2);
  bench.arrives(4, 'b');
  bench.tick_after(100ms);
  CHECK(bench.tick_after(50ms) == "drain of w1 overdue");
  bench.stopping(1);
  CHECK(bench.lost(1, 2) == "ended c2 started, load w2 b, call c4 on w2");
  CHECK(bench.is_queued(1));
  CHECK(bench.is_queued(3));
}

TEST_CASE("a worker that drains is not overdue when no module waits") {
  Bench bench = testing::with_module(kGrace);
  bench.arrives(2, 'b');
  CHECK(bench.tick_after(100ms) == "drain w1 for b, fork w3");
  bench.abandon(2);
  CHECK(bench.tick_after(50ms) == "");
}

TEST_CASE("among workers that could drain the one whose user has the most slots alone drains first") {
  Bench bench({.max_workers = 3, .standby = 1, .slice = 100ms});
  bench.started();
  bench.arrives(1, 'a', Bench::Arrival{.client = 1, .user = 1});
  bench.forked(2);
  bench.loaded(1);
  bench.pass(1ms);
  bench.arrives(2, 'b', Bench::Arrival{.client = 2, .user = 2});
  bench.forked(3);
  bench.loaded(2);
  bench.arrives(3, 'c', Bench::Arrival{.client = 3, .user = 2});
  bench.forked(4);
  bench.loaded(3);
  bench.pass(200ms);
  // The slice of worker 1 ended first, but its user has only one slot.
  CHECK(bench.arrives(4, 'd', Bench::Arrival{.client = 1, .user = 1}) == "drain w2 for d, fork w5");
}

}  // namespace
}  // namespace holdfast::supervisor
