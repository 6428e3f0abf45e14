// For how long a worker was halted (SIGSTOP) in the stretch of JavaScript that it is in. That time is no part of the
// stretch: nothing ran. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

#include "supervisor/workers/stretch_watch.h"

namespace holdfast::supervisor {

class HaltedTime {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  // The worker is halted now, in the stretch with this count (StretchView::count).
  void halt(std::uint64_t stretch, TimePoint now) {
    if (std::exchange(stretch_, stretch) != stretch) time_ = {};
    halted_at_ = now;
  }

  // The halted worker goes on now, in the stretch with this count. Returns by how much that stretch starts later
  // because of this halt: zero if it is not the one in which the worker was halted.
  Duration go_on(std::uint64_t stretch, TimePoint now) {
    const Duration halted = now - *halted_at_;
    halted_at_.reset();
    if (stretch != stretch_) return Duration::zero();
    time_ += halted;
    return halted;
  }

  bool is_halted() const { return halted_at_.has_value(); }

  // The view, with the stretch's start moved by the time that the worker was halted in it.
  StretchView without(StretchView view) const {
    if (view.count == stretch_) view.start += time_;
    return view;
  }

 private:
  std::optional<TimePoint> halted_at_;  // nothing: it is not halted
  std::uint64_t stretch_ = 0;           // the count of the stretch that `time_` is about
  Duration time_{};                     // of halts that are over
};

}  // namespace holdfast::supervisor
