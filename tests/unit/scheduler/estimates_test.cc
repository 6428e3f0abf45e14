#include "supervisor/scheduler/estimates.h"

#include <doctest/doctest.h>

namespace holdfast::supervisor {
namespace {

using namespace std::chrono_literals;

TEST_CASE(
    "an estimate is empty at first and then the first value and moves an eighth of the way to each further value") {
  Estimate estimate;
  CHECK_FALSE(estimate.value().has_value());
  estimate.add(80ms);
  CHECK(estimate.value() == Estimate::Duration(80ms));
  estimate.add(160ms);
  CHECK(estimate.value() == Estimate::Duration(90ms));
  estimate.add(10ms);
  CHECK(estimate.value() == Estimate::Duration(80ms));
}

TEST_CASE("an estimate approaches a constant value") {
  Estimate estimate;
  estimate.add(1s);
  for (int i = 0; i < 100; ++i) estimate.add(1ms);
  CHECK(estimate.value() < Estimate::Duration(1100us));
}

TEST_CASE("a recent rate counts new events in full and old events not at all") {
  const RecentRate::TimePoint now{1000s};
  RecentRate rate;
  CHECK(rate.per_second(now) == 0);
  for (int i = 0; i < 10; ++i) rate.add(now);
  CHECK(rate.per_second(now) == doctest::Approx(2));
  CHECK(rate.per_second(now + 5s) == doctest::Approx(2 / 2.718281828));
  CHECK(rate.per_second(now + 10min) == doctest::Approx(0));
}

TEST_CASE("the recent rate of steady events is their frequency") {
  RecentRate::TimePoint now{1000s};
  RecentRate rate;
  for (int i = 0; i < 10'000; ++i) rate.add(now += 10ms);
  CHECK(rate.per_second(now) == doctest::Approx(100).epsilon(0.01));
}

}  // namespace
}  // namespace holdfast::supervisor
