// Clients' requests for the list of workers and for statistics. These take longer than calls, so one is served after
// the other, and users are served round-robin. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "supervisor/scheduler/ids.h"
#include "supervisor/shares/user_turns.h"

namespace holdfast::supervisor {

struct ViewRequest {
  enum class Kind { workers, stats };
  ClientId client{};
  std::uint64_t id = 0;  // the client's own
  Kind kind = Kind::workers;
};

class ViewRequests {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  bool empty() const { return turns_.empty(); }

  void add(UserId user, const ViewRequest& request) { turns_.add(user, request); }

  // Takes out the next request, with its user; nullopt: none is due.
  std::optional<std::pair<UserId, ViewRequest>> take(TimePoint now) {
    std::erase_if(paused_, [&](const auto& entry) { return entry.second <= now; });
    return turns_.take([&](UserId user) { return !paused_.contains(user); });
  }

  // No request of this user is due before `until`.
  void pause(UserId user, TimePoint until) { paused_[user] = until; }

  // When the first request is due, which may be in the past; nullopt: there is none.
  std::optional<TimePoint> next_wakeup() const {
    std::optional<TimePoint> first;
    turns_.for_each_user([&](UserId user) {
      const auto paused = paused_.find(user);
      const TimePoint due = paused == paused_.end() ? TimePoint::min() : paused->second;
      if (!first || due < *first) first = due;
    });
    return first;
  }

 private:
  UserTurns<ViewRequest> turns_;
  std::map<UserId, TimePoint> paused_;
};

}  // namespace holdfast::supervisor
