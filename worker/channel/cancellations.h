// The calls of a worker that were cancelled: those that have a time of grace to settle in, and those that were gone
// before their function looked at its signal.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>

#include "ipc/worker_messages.h"

namespace holdfast::worker {

class Cancellations {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // How many of the latest cancelled calls are remembered. At most as many functions as a worker has calls, and a few,
  // wait for something in the meantime.
  static constexpr std::size_t kMostRemembered = 1024;

  // The call was told of its cancellation at `now`: it has ipc::kCancelGrace to settle.
  void told(std::uint64_t call, TimePoint now) { graces_.emplace_back(now + ipc::kCancelGrace, call); }

  // Removes and returns a call whose grace is over at `now`; it may have settled since. Nothing if there is none.
  std::optional<std::uint64_t> next_to_let_go(TimePoint now) {
    if (graces_.empty() || graces_.front().first > now) return std::nullopt;
    const std::uint64_t call = graces_.front().second;
    graces_.pop_front();
    return call;
  }

  // When next_to_let_go() next returns a call; nothing if never.
  std::optional<TimePoint> next_end_of_grace() const {
    return graces_.empty() ? std::nullopt : std::optional(graces_.front().first);
  }

  // The call is no longer open. Its function may still look at its signal.
  void remember(std::uint64_t call, ipc::CancelReason reason) {
    remembered_.emplace_back(call, reason);
    if (remembered_.size() > kMostRemembered) remembered_.pop_front();
  }

  // Why that call was cancelled; nothing if it is not remembered.
  std::optional<ipc::CancelReason> reason_of(std::uint64_t call) const {
    const auto found = std::ranges::find(remembered_, call, &std::pair<std::uint64_t, ipc::CancelReason>::first);
    return found == remembered_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  std::deque<std::pair<TimePoint, std::uint64_t>> graces_;  // in the order in which they end
  std::deque<std::pair<std::uint64_t, ipc::CancelReason>> remembered_;
};

}  // namespace holdfast::worker
