// Bounds the memory that all workers together hold. When they hold more, the worker that is furthest over its own
// limit must end first. A worker within its limit is never named, however much others hold. Pure: the caller passes
// in what each worker holds.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <unordered_map>

#include "supervisor/scheduler/ids.h"

namespace holdfast::supervisor {

class MemoryBudget {
 public:
  // In bytes; 0: no bound.
  explicit MemoryBudget(std::uint64_t total) : total_(total) {}

  // The worker holds `bytes` now, and may hold `limit`.
  void saw(WorkerId worker, std::uint64_t bytes, std::uint64_t limit) {
    Share& share = shares_[worker];
    sum_ += bytes - share.bytes;
    share = {bytes, limit};
  }

  // The worker is gone, or is about to be.
  void forget(WorkerId worker) {
    const auto found = shares_.find(worker);
    if (found == shares_.end()) return;
    sum_ -= found->second.bytes;
    shares_.erase(found);
  }

  std::uint64_t total() const { return total_; }
  std::uint64_t sum() const { return sum_; }
  // By how many bytes the budget is exceeded; 0: it is not.
  std::uint64_t excess() const { return total_ == 0 ? 0 : sum_ - std::min(sum_, total_); }
  // Whether one more worker may soon exceed the budget.
  bool is_nearly_used_up() const { return total_ != 0 && sum_ >= total_ / 8 * 7; }
  // Whether it is worth looking at workers more often than usual.
  bool is_half_used() const { return total_ != 0 && sum_ >= total_ / 2; }

  // The worker that exceeds its own limit by most; nothing: all are within their limits.
  std::optional<WorkerId> furthest_over_limit() const {
    std::optional<WorkerId> furthest;
    std::uint64_t most = 0;
    for (const auto& [worker, share] : shares_) {
      const std::uint64_t over = share.bytes - std::min(share.bytes, share.limit);
      if (over == 0 || over < most || (over == most && furthest && *furthest < worker)) continue;
      furthest = worker;
      most = over;
    }
    return furthest;
  }

 private:
  struct Share {
    std::uint64_t bytes = 0;
    std::uint64_t limit = 0;
  };

  std::uint64_t total_;
  std::uint64_t sum_ = 0;
  std::unordered_map<WorkerId, Share> shares_;
};

}  // namespace holdfast::supervisor
