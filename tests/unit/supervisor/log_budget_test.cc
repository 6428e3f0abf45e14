#include "supervisor/shares/log_budget.h"

#include <doctest/doctest.h>

namespace holdfast::supervisor {
namespace {

using namespace std::chrono_literals;

constexpr LogBudget::TimePoint kStart{1000s};

// How many lines of `bytes` bytes pass at one moment.
std::size_t lines_at(LogBudget& budget, std::size_t bytes, LogBudget::TimePoint now) {
  std::size_t lines = 0;
  while (lines < 1'000'000 && budget.take(bytes, now)) ++lines;
  return lines;
}

TEST_CASE("a worker may log a burst at once, and no more") {
  LogBudget budget;
  const std::size_t lines = lines_at(budget, 1000, kStart);
  CHECK(lines * 1000 <= LogLimits().burst_bytes);
  CHECK(lines * 1100 > LogLimits().burst_bytes);
}

TEST_CASE("limits hold from the line with which they are given") {
  LogBudget budget;
  CHECK(budget.take(900, kStart, {1000, 1000}));
  CHECK_FALSE(budget.take(900, kStart, {1000, 1000}));
  CHECK(budget.take(900, kStart, {1000, 2000}));
  CHECK_FALSE(budget.take(900, kStart + 100ms, {1000, 1000}));
  CHECK(budget.take(900, kStart + 100ms, {100'000, 1000}) == false);
  CHECK(budget.take(900, kStart + 200ms, {100'000, 1000}));
  CHECK_FALSE(budget.take(0, kStart + 24h, {0, 0}));
}

TEST_CASE("what was used up comes back with the time") {
  LogBudget budget;
  lines_at(budget, 1000, kStart);
  const std::size_t lines = lines_at(budget, 1000, kStart + 1s);
  CHECK(lines > 0);
  CHECK(lines * 1000 <= LogLimits().bytes_per_second + 1000);
  CHECK(lines * 1100 > LogLimits().bytes_per_second - 1100);
}

TEST_CASE("silence saves up no more than one burst") {
  LogBudget budget, other;
  const std::size_t burst = lines_at(other, 1000, kStart);
  lines_at(budget, 1000, kStart);
  CHECK(lines_at(budget, 1000, kStart + 24h) == burst);
}

TEST_CASE("a steady trickle is never refused") {
  LogBudget budget;
  for (int second = 0; second < 100; ++second) {
    for (int line = 0; line < 50; ++line) REQUIRE(budget.take(1000, kStart + second * 1s + line * 20ms));
  }
  CHECK(budget.take_dropped() == 0);
}

TEST_CASE("a line that is larger than a burst is refused, and smaller ones still pass") {
  LogBudget budget;
  CHECK_FALSE(budget.take(std::size_t{1} << 30, kStart));
  CHECK(budget.take(1000, kStart));
}

TEST_CASE("empty lines are lines: a flood of them is refused too") {
  LogBudget budget;
  CHECK(lines_at(budget, 0, kStart) < 10'000);
}

TEST_CASE("each report of lost lines counts against the budget whatever number it names") {
  LogBudget budget;
  int floods = 0;
  for (int i = 0; i < 100'000; ++i) {
    budget.note_dropped(UINT64_MAX);
    if (budget.is_flooded()) ++floods;
  }
  CHECK(floods == 10);
  CHECK(budget.take_dropped() == LogBudget::kMostBelieved);
  lines_at(budget, 1000, kStart);
  for (int i = 0; i < 100'000; ++i) {
    budget.take(1000, kStart);
    if (budget.is_flooded()) ++floods;
  }
  CHECK(floods == 20);
}

TEST_CASE("refused lines are counted until they are asked for") {
  LogBudget budget;
  const std::size_t lines = lines_at(budget, 1000, kStart);  // this also refuses one line
  REQUIRE(lines > 0);
  budget.take(1000, kStart);
  budget.take(1000, kStart);
  CHECK(budget.take_dropped() == 3);
  CHECK(budget.take_dropped() == 0);
}

}  // namespace
}  // namespace holdfast::supervisor
