// The calls that wait in each of the scheduler's queues, as of the last look at them. Looking through all calls takes
// long if very many wait, so it is done for a small part of the time, and for all queues at once. Pure.
#pragma once

#include <algorithm>
#include <chrono>
#include <compare>
#include <map>

#include "supervisor/scheduler/ids.h"
#include "supervisor/shares/crowd.h"

namespace holdfast::supervisor {

class Crowds {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  // The calls are looked through at most once in kKnown, and for at most 1 part in kRest + 1 of the time.
  static constexpr std::chrono::milliseconds kKnown{10};
  static constexpr int kRest = 20;

  // The queue of a module, or of the module's quarantine.
  struct Queue {
    ModuleId module{};
    bool is_quarantine = false;
    auto operator<=>(const Queue&) const = default;
  };

  // Whether the last look is too old. If so, the caller looks: begin_look(), add() for each call that waits,
  // end_look().
  bool is_look_due(TimePoint now) const { return now >= look_again_at_; }
  void begin_look() { crowds_.clear(); }
  void add(const Queue& queue, UserId user, ClientId client, CallId call) {
    crowds_[queue].add(user, client, call);
    crowds_[kAll].add(user, client, call);
  }
  void end_look(TimePoint began, TimePoint ended) {
    look_again_at_ = ended + std::max<Duration>((ended - began) * kRest, kKnown);
  }

  // The calls that waited in one queue, or in all together; null: none. Valid until begin_look().
  Crowd* in(const Queue& queue) {
    const auto found = crowds_.find(queue);
    return found == crowds_.end() ? nullptr : &found->second;
  }
  Crowd* in_all() { return in(kAll); }

 private:
  static constexpr Queue kAll{ModuleId{}, false};  // no module has this id

  std::map<Queue, Crowd> crowds_;
  TimePoint look_again_at_{};
};

}  // namespace holdfast::supervisor
