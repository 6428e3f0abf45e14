// Bounds what the supervisor logs about clients, for each user and for all together: a client that breaks the protocol
// again and again must neither fill the operator's disk nor hide what other clients do.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <unordered_map>

#include "supervisor/scheduler/ids.h"
#include "supervisor/shares/log_budget.h"

namespace holdfast::supervisor {

// Pure.
class ClientLogBudget {
 public:
  using TimePoint = LogBudget::TimePoint;

  static constexpr LogLimits kOfUser{.bytes_per_second = 16 << 10, .burst_bytes = 64 << 10};
  static constexpr LogLimits kOfAll{.bytes_per_second = 64 << 10, .burst_bytes = 256 << 10};

  // Whether a line with `bytes` of text about a client of `user` may be logged now; nullopt: it may not. Else returns
  // how many lines about that user were refused since the last one that was logged.
  std::optional<std::uint64_t> take(UserId user, std::size_t bytes, TimePoint now) {
    if (users_.size() >= kMostUsers && !users_.contains(user))
      users_.clear();  // the users' counts are lost; the bound for all still holds
    LogBudget& own = users_[user];
    // A user over its own bound takes nothing from the bound for all.
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
