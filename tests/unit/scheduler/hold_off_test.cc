#include "supervisor/scheduler/hold_off.h"

#include <doctest/doctest.h>

namespace holdfast::supervisor {
namespace {

using namespace std::chrono_literals;

constexpr HoldOffOptions kOptions = {
    .free_failures = 2, .first_delay = 100ms, .longest_delay = 1s, .healthy_answers = 3, .healthy_time = 1min};
constexpr HoldOff::TimePoint kNow{1000s};

HoldOff after_failures(int failures) {
  HoldOff hold_off;
  for (int i = 0; i < failures; ++i) hold_off.failed(kOptions, kNow);
  return hold_off;
}

TEST_CASE("a module is held off from the first failure that is not free and no longer than reported") {
  CHECK_FALSE(HoldOff().until(kNow).has_value());
  CHECK_FALSE(after_failures(2).until(kNow).has_value());
  const HoldOff held_off = after_failures(3);
  CHECK(held_off.until(kNow) == kNow + 100ms);
  CHECK(held_off.until(kNow + 99ms) == kNow + 100ms);
  CHECK_FALSE(held_off.until(kNow + 100ms).has_value());
}

TEST_CASE("each further failure doubles the delay, up to the longest") {
  CHECK(after_failures(4).until(kNow) == kNow + 200ms);
  CHECK(after_failures(6).until(kNow) == kNow + 800ms);
  CHECK(after_failures(7).until(kNow) == kNow + 1s);
  CHECK(after_failures(100'000).until(kNow) == kNow + 1s);
}

TEST_CASE("enough consecutive answers end a row of failures and one fewer does not") {
  HoldOff hold_off = after_failures(3);
  hold_off.answered(kOptions);
  hold_off.answered(kOptions);
  CHECK(hold_off.until(kNow).has_value());
  hold_off.answered(kOptions);
  CHECK_FALSE(hold_off.until(kNow).has_value());
  hold_off.failed(kOptions, kNow);
  CHECK_FALSE(hold_off.until(kNow).has_value());
}

TEST_CASE("a failure makes the answers before it count for nothing") {
  HoldOff hold_off = after_failures(2);
  hold_off.answered(kOptions);
  hold_off.answered(kOptions);
  hold_off.failed(kOptions, kNow);
  hold_off.answered(kOptions);
  CHECK(hold_off.until(kNow).has_value());
}

TEST_CASE("a failure long after the last begins a new row") {
  HoldOff hold_off = after_failures(5);
  hold_off.failed(kOptions, kNow + 1min + 1ns);
  CHECK_FALSE(hold_off.until(kNow + 1min + 1ns).has_value());
}

}  // namespace
}  // namespace holdfast::supervisor
