// How long a worker that was asked to stop may take.
#include "supervisor/workers/stop_patience.h"

#include <doctest/doctest.h>

#include <optional>

namespace holdfast::supervisor {
namespace {

using namespace std::chrono_literals;
using Duration = StopPatience::Duration;

constexpr StopPatience::TimePoint kAsked{1000s};
constexpr Duration kUsedBefore = 5s;

StopPatience begun() {
  StopPatience patience;
  patience.begin(kAsked, kUsedBefore);
  return patience;
}

TEST_CASE("nothing is to be looked at before a worker is asked to stop") {
  CHECK_FALSE(StopPatience().look_at().has_value());
}

TEST_CASE("a worker that uses the CPU all the time is killed when it has used its patience up, not before") {
  StopPatience patience = begun();
  REQUIRE(patience.look_at() == kAsked + StopPatience::kCpuTime);
  CHECK_FALSE(patience.is_over(kAsked + StopPatience::kCpuTime - 1ns, kUsedBefore + StopPatience::kCpuTime - 1ns));
  CHECK(patience.is_over(kAsked + StopPatience::kCpuTime, kUsedBefore + StopPatience::kCpuTime));
  CHECK_FALSE(patience.look_at().has_value());
}

TEST_CASE("a worker that waits for a CPU gets the rest of its patience, and is looked at when it may be over") {
  StopPatience patience = begun();
  const auto now = kAsked + StopPatience::kCpuTime;
  CHECK_FALSE(patience.is_over(now, kUsedBefore + 10ms));
  CHECK(patience.look_at() == now + StopPatience::kCpuTime - 10ms);
}

TEST_CASE("a worker that never gets a CPU is killed at the limit by the clock") {
  StopPatience patience = begun();
  for (auto now = *patience.look_at(); now < kAsked + StopPatience::kByClock; now = *patience.look_at()) {
    REQUIRE_FALSE(patience.is_over(now, kUsedBefore));
    REQUIRE(patience.look_at() > now);
    REQUIRE(*patience.look_at() <= kAsked + StopPatience::kByClock);
  }
  CHECK(patience.is_over(kAsked + StopPatience::kByClock, kUsedBefore));
}

TEST_CASE("a worker whose CPU time cannot be read any more is killed at once") {
  StopPatience patience = begun();
  CHECK(patience.is_over(kAsked + 1ms, std::nullopt));
}

TEST_CASE("there is nothing to wait for when the worker has hung up") {
  StopPatience patience = begun();
  patience.end();
  CHECK_FALSE(patience.look_at().has_value());
}

}  // namespace
}  // namespace holdfast::supervisor
