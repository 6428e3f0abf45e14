#include "supervisor/workers/memory_budget.h"

#include <doctest/doctest.h>

namespace holdfast::supervisor {
namespace {

constexpr WorkerId kOne{1}, kTwo{2}, kThree{3};

TEST_CASE("a budget is exceeded by the sum of all and no longer once one has freed memory") {
  MemoryBudget budget(100);
  budget.saw(kOne, 60, 80);
  budget.saw(kTwo, 40, 80);
  CHECK(budget.sum() == 100);
  CHECK(budget.excess() == 0);
  budget.saw(kTwo, 55, 80);
  CHECK(budget.excess() == 15);
  budget.saw(kOne, 10, 80);
  CHECK(budget.excess() == 0);
  budget.forget(kTwo);
  budget.forget(kThree);
  CHECK(budget.sum() == 10);
}

TEST_CASE("the process furthest over its limit is named and not the largest one") {
  MemoryBudget budget(100);
  budget.saw(kOne, 500, 500);
  budget.saw(kTwo, 70, 50);
  budget.saw(kThree, 45, 15);
  CHECK(budget.furthest_over_limit() == kThree);
  budget.forget(kThree);
  CHECK(budget.furthest_over_limit() == kTwo);
  budget.forget(kTwo);
  CHECK(budget.excess() == 400);
  CHECK_FALSE(budget.furthest_over_limit());
}

TEST_CASE("without a budget nothing is exceeded") {
  MemoryBudget budget(0);
  budget.saw(kOne, std::uint64_t{1} << 40, 1);
  CHECK(budget.excess() == 0);
  CHECK_FALSE(budget.is_nearly_used_up());
  CHECK_FALSE(budget.is_half_used());
}

}  // namespace
}  // namespace holdfast::supervisor
