#include "supervisor/shares/client_log_budget.h"

#include <doctest/doctest.h>

namespace holdfast::supervisor {
namespace {

using namespace std::chrono_literals;

constexpr ClientLogBudget::TimePoint kMorning{1000s};
constexpr UserId kEvil{1}, kGood{2};
constexpr std::size_t kBytes = 100;

std::uint64_t lines_at(ClientLogBudget& budget, UserId user, ClientLogBudget::TimePoint now, int tries = 100'000) {
  std::uint64_t lines = 0;
  for (int i = 0; i < tries; ++i) lines += budget.take(user, kBytes, now).has_value() ? 1 : 0;
  return lines;
}

TEST_CASE("a user whose clients flood the log is bounded, and another is logged as ever") {
  ClientLogBudget budget;
  const auto lines = lines_at(budget, kEvil, kMorning);
  CHECK(lines * kBytes <= ClientLogBudget::kOfUser.burst_bytes);
  CHECK(lines > 100);
  CHECK(budget.take(kGood, kBytes, kMorning) == 0);
}

TEST_CASE("the number of refused lines of a user is logged with its next line") {
  ClientLogBudget budget;
  const auto lines = lines_at(budget, kEvil, kMorning, 10'000);
  CHECK(budget.take(kEvil, kBytes, kMorning + 1min) == 10'000 - lines);
  CHECK(budget.take(kEvil, kBytes, kMorning + 1min) == 0);
}

TEST_CASE("many users together have a bound, too, and what it refuses is counted for each") {
  ClientLogBudget budget;
  std::uint64_t lines = 0;
  for (uid_t user = 1; user <= 100; ++user) lines += lines_at(budget, UserId{user}, kMorning, 1000);
  CHECK(lines * kBytes <= ClientLogBudget::kOfAll.burst_bytes);
  CHECK(budget.take(UserId{100}, kBytes, kMorning + 1min) == 1000);
}

TEST_CASE("users beyond the number that is remembered are bounded too") {
  ClientLogBudget budget;
  std::uint64_t lines = 0;
  for (uid_t user = 1; user <= 100'000; ++user) lines += lines_at(budget, UserId{user}, kMorning, 1);
  CHECK(lines * kBytes <= ClientLogBudget::kOfAll.burst_bytes);
}

}  // namespace
}  // namespace holdfast::supervisor
