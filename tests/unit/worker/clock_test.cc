#include "worker/plain/clock.h"

#include <doctest/doctest.h>

namespace holdfast::worker {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;

nanoseconds wall_time_at(steady_clock::time_point time) {
  return system_clock::now().time_since_epoch() + (time - steady_clock::now());
}

TEST_CASE("the clock's readings are whole steps since 1970, and none is ahead of the time") {
  CoarseClock clock;
  for (const nanoseconds step : {1ns, 7ns, 100'000ns, 1'500'000ns, 50'000'000ns, 3'600'000'000'000ns}) {
    CAPTURE(step.count());
    clock.set_resolution(step);
    const nanoseconds before = system_clock::now().time_since_epoch();
    const nanoseconds read = clock.now();
    CHECK(read % step == 0ns);
    CHECK(read > before - step);
    CHECK(read <= system_clock::now().time_since_epoch());
  }
}

TEST_CASE("a timer's time is the clock's first step that is not before it") {
  CoarseClock clock;
  clock.set_resolution(1h);
  // The tolerance between the two clocks: the process may be off the CPU between their readings.
  constexpr nanoseconds kInexact = 1min;
  for (const nanoseconds delay : {0ns, 1ns, 1'000'000'000ns, nanoseconds(1h), nanoseconds(25h)}) {
    CAPTURE(delay.count());
    const auto due = steady_clock::now() + delay;
    const auto step = clock.step_after(due);
    CHECK(step >= due);
    CHECK(step <= due + 1h);
    const nanoseconds off = wall_time_at(step) % 1h;
    CHECK((off < kInexact || off > 1h - kInexact));
  }
}

TEST_CASE("timers that are set one after the other for the same step keep their order") {
  CoarseClock clock;
  clock.set_resolution(1ms);
  int out_of_order = 0;
  steady_clock::time_point last{};
  for (int i = 0; i < 100'000; ++i) {
    const auto step = clock.step_after(steady_clock::now() + 5ms);
    if (step < last) ++out_of_order;
    last = step;
  }
  // The process may have been off the CPU between several of the readings.
  CHECK(out_of_order < 10);
}

}  // namespace
}  // namespace holdfast::worker
