#include "worker/channel/cancellations.h"

#include <doctest/doctest.h>

namespace holdfast::worker {
namespace {

using namespace std::chrono_literals;

const auto kNow = std::chrono::steady_clock::now();

TEST_CASE("calls that were told are let go when their grace is over, in the order in which they were told") {
  Cancellations cancellations;
  CHECK_FALSE(cancellations.next_end_of_grace());
  cancellations.told(1, kNow);
  cancellations.told(2, kNow + 5ms);
  CHECK(cancellations.next_end_of_grace() == kNow + ipc::kCancelGrace);
  CHECK_FALSE(cancellations.next_to_let_go(kNow + ipc::kCancelGrace - 1ns));
  CHECK(cancellations.next_to_let_go(kNow + ipc::kCancelGrace) == 1);
  CHECK_FALSE(cancellations.next_to_let_go(kNow + ipc::kCancelGrace));
  CHECK(cancellations.next_end_of_grace() == kNow + ipc::kCancelGrace + 5ms);
  CHECK(cancellations.next_to_let_go(kNow + 1h) == 2);
  CHECK_FALSE(cancellations.next_to_let_go(kNow + 1h));
}

TEST_CASE("the latest cancelled calls are remembered with their reason, and older ones forgotten") {
  Cancellations cancellations;
  cancellations.remember(1, ipc::CancelReason::deadline_exceeded);
  for (std::uint64_t call = 2; call <= Cancellations::kMostRemembered; ++call) {
    cancellations.remember(call, ipc::CancelReason::cancelled);
  }
  CHECK(cancellations.reason_of(1) == ipc::CancelReason::deadline_exceeded);
  CHECK(cancellations.reason_of(2) == ipc::CancelReason::cancelled);
  CHECK_FALSE(cancellations.reason_of(Cancellations::kMostRemembered + 1));
  cancellations.remember(Cancellations::kMostRemembered + 1, ipc::CancelReason::cancelled);
  CHECK_FALSE(cancellations.reason_of(1));
  CHECK(cancellations.reason_of(2) == ipc::CancelReason::cancelled);
}

}  // namespace
}  // namespace holdfast::worker
