// The watch over one worker's stretches of JavaScript, with a page and a CPU clock that the test controls.
#include "supervisor/workers/stretch_watch.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <optional>

namespace holdfast::supervisor {
namespace {

using namespace std::chrono_literals;
using TimePoint = StretchWatch::TimePoint;
using Duration = StretchWatch::Duration;

constexpr Duration kBudget = 1s;

// A worker whose page the test sets.
struct Worker {
  StretchWatch watch{kBudget};
  TimePoint now{1000s};
  StretchView page;
  std::optional<Duration> cpu = Duration(5s);  // CPU time from before the test
  std::optional<CpuReading> before;            // the last reading of its CPU clock, made for another reason
  int clock_reads = 0;

  // A new stretch of call `call` begins.
  void begin(std::uint64_t call = 1) { page = {.running = call, .count = page.count + 1, .start = now}; }
  void rest() { page.running = 0; }
  // Time passes; the worker has a CPU for `on_cpu` of it.
  void pass(Duration time, Duration on_cpu) {
    now += time;
    if (cpu) *cpu += on_cpu;
  }
  void run(Duration time) { pass(time, time); }

  StretchWatch::Verdict look() {
    const auto read = [this] {
      ++clock_reads;
      return cpu;
    };
    return watch.look(page, now, read, before);
  }

  // Looks whenever the watch wants to, while the worker has a CPU for `share` of the time, until the stretch has
  // exceeded its budget. Returns how long that took, or nullopt if it took longer than `longest`.
  std::optional<Duration> caught_after(double share, Duration longest = 100 * kBudget) {
    const TimePoint begin = now;
    while (now - begin <= longest) {
      const auto verdict = look();
      if (verdict.exceeded) return now - begin;
      REQUIRE(verdict.look_again > now);
      const Duration wait = verdict.look_again - now;
      pass(wait, std::chrono::duration_cast<Duration>(wait * share));
    }
    return std::nullopt;
  }
};

// --- the budget ----------------------------------------------------------------------------------------------------

TEST_CASE("a stretch that runs without a break is caught when its budget is used up") {
  Worker worker;
  worker.begin();
  CHECK(worker.caught_after(1.0) == kBudget);
}

TEST_CASE("a stretch that ends within the budget is not caught, however many follow") {
  Worker worker;
  for (int i = 0; i < 100; ++i) {
    worker.begin();
    worker.run(kBudget - 1ns);
    CHECK_FALSE(worker.look().exceeded);
    worker.rest();
    worker.run(1ns);
  }
}

TEST_CASE("stretches that follow each other without a look between them are not added up") {
  Worker worker;
  worker.begin();
  worker.run(900ms);
  CHECK_FALSE(worker.look().exceeded);
  worker.begin();
  worker.run(600ms);
  CHECK_FALSE(worker.look().exceeded);
  worker.begin();
  worker.run(600ms);
  CHECK_FALSE(worker.look().exceeded);
  worker.run(400ms);
  CHECK(worker.look().exceeded);
}

TEST_CASE("a worker that runs nothing is looked at again before a stretch could use up its budget") {
  Worker worker;
  const auto verdict = worker.look();
  CHECK_FALSE(verdict.exceeded);
  CHECK(verdict.look_again > worker.now);
  CHECK(verdict.look_again <= worker.now + kBudget);
}

TEST_CASE("a stretch that begins between two looks is caught as the one that begins at a look") {
  Worker worker;
  const auto again = worker.look().look_again;
  worker.pass(100ms, 0s);
  worker.begin();
  worker.run(again - worker.now);
  const auto late = worker.now - worker.page.start;
  const auto caught = worker.caught_after(1.0);
  REQUIRE(caught.has_value());
  CHECK(late + *caught == kBudget);
}

TEST_CASE("the CPU clock is not read for stretches that last less than half of the budget") {
  Worker worker;
  for (int i = 0; i < 10; ++i) {
    worker.begin();
    worker.run(kBudget / 2 - 1ns);
    worker.look();
    worker.rest();
    worker.look();
  }
  CHECK(worker.clock_reads == 0);
}

// --- a busy machine ------------------------------------------------------------------------------------------------

TEST_CASE("time that a worker waits for a CPU does not count against it") {
  Worker worker;
  worker.begin();
  const auto caught = worker.caught_after(0.1);
  REQUIRE(caught.has_value());
  // The first half of the budget is counted in wall-clock time; the other half takes ten times as long.
  CHECK(*caught >= kBudget / 2 + 10 * (kBudget / 2) - 1us);
  CHECK(*caught <= kBudget / 2 + 10 * (kBudget / 2) + kBudget / 16 + 5ms);
}

TEST_CASE("no time of waiting for a CPU counts if the CPU clock was read when the stretch began") {
  Worker worker;
  worker.before = {worker.now, *worker.cpu};
  worker.pass(1ms, 0s);
  worker.begin();
  const auto caught = worker.caught_after(0.1);
  REQUIRE(caught.has_value());
  CHECK(*caught >= 10 * kBudget);
  CHECK(*caught <= 10 * kBudget + kBudget / 16 + 5ms);
}

TEST_CASE("before the first reading within a stretch all time counts and after it only CPU time") {
  Worker worker;
  worker.begin();
  worker.pass(200ms, 0s);
  worker.before = {worker.now, *worker.cpu};
  worker.pass(400ms, 0s);
  const auto caught = worker.caught_after(1.0);
  REQUIRE(caught.has_value());
  CHECK(*caught == kBudget - 200ms);
}

TEST_CASE("a false start long before the last reading gains nothing") {
  Worker worker;
  worker.before = {worker.now, *worker.cpu};
  worker.begin();
  worker.page.start -= 10s;
  const auto caught = worker.caught_after(1.0);
  REQUIRE(caught.has_value());
  CHECK(*caught <= kBudget);
}

TEST_CASE("a worker that gets no CPU at all is not caught") {
  Worker worker;
  worker.begin();
  CHECK_FALSE(worker.caught_after(0.0).has_value());
}

TEST_CASE("CPU time that was used before the stretch does not count") {
  Worker worker;
  worker.cpu = Duration(1h);
  worker.begin();
  worker.run(600ms);
  CHECK_FALSE(worker.look().exceeded);
  worker.pass(600ms, 100ms);
  CHECK_FALSE(worker.look().exceeded);
}

TEST_CASE("waiting for a CPU in one stretch is no credit for the next") {
  Worker worker;
  worker.begin();
  worker.run(600ms);
  worker.look();
  worker.pass(10s, 0s);
  CHECK_FALSE(worker.look().exceeded);
  worker.begin();
  CHECK(worker.caught_after(1.0) == kBudget);
}

TEST_CASE("without a CPU clock all time counts") {
  Worker worker;
  worker.cpu.reset();
  worker.begin();
  CHECK(worker.caught_after(0.0) == kBudget);
}

TEST_CASE("a CPU clock that fails during a stretch makes all its time count") {
  Worker worker;
  worker.begin();
  worker.run(600ms);
  CHECK_FALSE(worker.look().exceeded);
  worker.cpu.reset();
  worker.pass(400ms, 0s);
  CHECK(worker.look().exceeded);
}

// --- lies ----------------------------------------------------------------------------------------------------------

TEST_CASE("a start in the future gains no time") {
  Worker worker;
  worker.begin();
  worker.page.start = worker.now + 24h;
  CHECK(worker.caught_after(1.0) == kBudget);
}

TEST_CASE("a start that moves along with the time gains no time while the count stays") {
  Worker worker;
  worker.begin();
  const TimePoint begin = worker.now;
  bool caught = false;
  while (!caught && worker.now < begin + 10 * kBudget) {
    worker.page.start = worker.now;
    const auto verdict = worker.look();
    caught = verdict.exceeded;
    if (!caught) worker.run(verdict.look_again - worker.now);
  }
  CHECK(caught);
  CHECK(worker.now - begin <= 2 * kBudget);
}

TEST_CASE("a count that stays at 0 or rises without a new start gains no time") {
  Worker worker;
  worker.begin();
  SUBCASE("0") { worker.page.count = 0; }
  SUBCASE("rising") {}
  const bool rising = worker.page.count != 0;
  const TimePoint begin = worker.now;
  for (;;) {
    if (rising) ++worker.page.count;
    const auto verdict = worker.look();
    if (verdict.exceeded) break;
    REQUIRE(worker.now < begin + 10 * kBudget);
    worker.run(verdict.look_again - worker.now);
  }
  CHECK(worker.now - begin == kBudget);
}

TEST_CASE("a count that does not rise between stretches gives a new stretch no more time") {
  Worker worker;
  worker.begin();
  worker.run(600ms);
  worker.look();
  worker.page.start = worker.now;
  const auto caught = worker.caught_after(1.0);
  REQUIRE(caught.has_value());
  CHECK(*caught <= kBudget);
}

TEST_CASE("a stretch that claims to have ended and goes on with its old start is caught") {
  Worker worker;
  worker.begin();
  worker.run(600ms);
  worker.look();
  worker.rest();
  const auto again = worker.look().look_again;
  worker.page.running = 1;
  worker.run(again - worker.now);
  CHECK(worker.look().exceeded);
}

TEST_CASE("a start before the machine was booted is caught at once, and does nothing worse") {
  Worker worker;
  worker.begin();
  SUBCASE("at 0") { worker.page.start = TimePoint(); }
  SUBCASE("before 0") { worker.page.start = TimePoint(-1ns); }
  SUBCASE("the earliest possible time") { worker.page.start = TimePoint::min(); }
  CHECK(worker.look().exceeded);
}

TEST_CASE("the latest possible start gains no time") {
  Worker worker;
  worker.begin();
  worker.page.start = TimePoint::max();
  CHECK(worker.caught_after(1.0) == kBudget);
}

TEST_CASE("a worker that sleeps near the end of its budget is not inspected all the time") {
  Worker worker;
  worker.begin();
  worker.page.start = worker.now - kBudget + 2ms;
  int looks = 0;
  for (const TimePoint end = worker.now + kBudget; worker.now < end; ++looks) {
    const auto verdict = worker.look();
    REQUIRE_FALSE(verdict.exceeded);
    worker.pass(verdict.look_again - worker.now, 0s);
  }
  CHECK(looks <= 20);
}

TEST_CASE("a stretch of the module's top level is watched like any other") {
  Worker worker;
  worker.begin(UINT64_MAX);
  CHECK(worker.caught_after(1.0) == kBudget);
}

}  // namespace
}  // namespace holdfast::supervisor
