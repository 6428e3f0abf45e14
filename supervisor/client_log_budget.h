// How much the supervisor logs of what clients do: one that breaks the protocol again and again must not fill the
// operator's disk, nor hide what others do. A bound for each user, and one for all together.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <unordered_map>

#include "supervisor/ids.h"
#include "supervisor/log_budget.h"

namespace holdfast::supervisor {

// Pure.
class ClientLogBudget {
 public:
  using TimePoint = LogBudget::TimePoint;

  static constexpr LogLimits kOfUser{.bytes_per_second = 16 << 10, .burst_bytes = 64 << 10};
  static constexpr LogLimits kOfAll{.bytes_per_second = 64 << 10, .burst_bytes = 256 << 10};

  // Nothing: a line with `bytes` of text that a client of `user` has caused may not be logged now. Else how many lines
  // of that user were refused since the last one that was not.
  std::optional<std::uint64_t> take(UserId user, std::size_t bytes, TimePoint now) {
    if (users_.size() >= kMostUsers && !users_.contains(user))
      users_.clear();  // their counts are lost, the bound holds
    LogBudget& own = users_[user];
    // A user who is over its bound takes nothing from the others.
    if (!own.take(bytes, now, kOfUser)) return std::nullopt;
    if (!all_.take(bytes, now, kOfAll)) {
      own.note_dropped(1);
      return std::nullopt;
    }
    return own.take_dropped();
  }

 private:
  static constexpr std::size_t kMostUsers = 1024;

  std::unordered_map<UserId, LogBudget> users_;
  LogBudget all_;
};

}  // namespace holdfast::supervisor
