// When a worker that has nothing to do gets a full look.
#include "supervisor/workers/idle_watch.h"

#include <doctest/doctest.h>

namespace holdfast::supervisor {
namespace {

using namespace std::chrono_literals;
using Duration = IdleWatch::Duration;

constexpr IdleWatch::TimePoint kNow{1000s};
constexpr WorkerId kFirstPhase{IdleWatch::kPhases};
constexpr WorkerId kLastPhase{IdleWatch::kPhases - 1};
constexpr StretchView kIdle{.count = 3};

// The pause after the last of this many full looks, at none of which the worker had used the CPU since the one before.
Duration pause_after(IdleWatch& watch, WorkerId worker, int looks) {
  for (int look = 0; look < looks; ++look) watch.looked(worker, kIdle, CpuUse::none, kNow);
  Duration pause{};
  while (watch.may_wait(kIdle, kNow + pause)) pause += 1ms;
  return pause;
}

TEST_CASE("a worker that was never looked at gets a full look") { CHECK_FALSE(IdleWatch().may_wait({}, kNow)); }

TEST_CASE("a worker that used the CPU is looked at again in the usual time") {
  IdleWatch watch;
  watch.looked(kFirstPhase, kIdle, CpuUse::some_or_unknown, kNow);
  CHECK(watch.may_wait(kIdle, kNow + MemoryWatch::kLook - 1ns));
  CHECK_FALSE(watch.may_wait(kIdle, kNow + MemoryWatch::kLook));
}

TEST_CASE("pauses double while the worker uses no CPU, up to the longest") {
  IdleWatch watch;
  watch.looked(kFirstPhase, kIdle, CpuUse::some_or_unknown, kNow);
  CHECK(pause_after(watch, kFirstPhase, 1) == 2 * MemoryWatch::kLook);
  CHECK(pause_after(watch, kFirstPhase, 1) == 4 * MemoryWatch::kLook);
  CHECK(pause_after(watch, kFirstPhase, 20) == IdleWatch::kLongestPause);
  watch.looked(kFirstPhase, kIdle, CpuUse::some_or_unknown, kNow);
  CHECK_FALSE(watch.may_wait(kIdle, kNow + MemoryWatch::kLook));
}

TEST_CASE("workers of other phases are looked at at other times") {
  IdleWatch watch;
  watch.looked(kLastPhase, kIdle, CpuUse::some_or_unknown, kNow);
  CHECK(pause_after(watch, kLastPhase, 20) == IdleWatch::kLongestPause + (IdleWatch::kPhases - 1) * MemoryWatch::kLook);
}

TEST_CASE("a worker whose page says that it began a stretch is looked at, however long the pause") {
  IdleWatch watch;
  watch.looked(kFirstPhase, kIdle, CpuUse::some_or_unknown, kNow);
  CHECK(watch.may_wait(kIdle, kNow));
  CHECK_FALSE(watch.may_wait({.count = kIdle.count + 1}, kNow));
}

}  // namespace
}  // namespace holdfast::supervisor
