#include "worker/channel/turn_owner.h"

#include <doctest/doctest.h>

namespace holdfast::worker {
namespace {

using Page = ipc::SharedPage;

TEST_CASE("calls of one caller have one owner, and those of others have others") {
  CHECK(turn_owner_of(Page::number_of(1, 3)) == turn_owner_of(Page::number_of(2, 3)));
  CHECK(turn_owner_of(Page::number_of(1, 3)) != turn_owner_of(Page::number_of(1, 4)));
}

TEST_CASE("the direct line and the top level have owners that no caller has") {
  const TurnOwner last_caller = turn_owner_of(Page::number_of(1, Page::kMostCallers - 1));
  CHECK(turn_owner_of(Page::kLineBit | 9) == kLineOwner);
  CHECK(turn_owner_of(Page::kNothing) == kTopLevelOwner);
  CHECK(last_caller < kLineOwner);
  CHECK(kLineOwner != kTopLevelOwner);
}

}  // namespace
}  // namespace holdfast::worker
