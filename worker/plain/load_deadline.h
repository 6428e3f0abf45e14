// How long a module's top level may await something. Knows no clock.
#pragma once

#include <fmt/format.h>

#include <chrono>
#include <optional>
#include <string>

#include "ipc/base/units.h"

namespace holdfast::worker {

// No other module can use the worker in that time. It equals a call's default timeout, and is much less than the time
// after which the supervisor takes the worker for broken (kLongestLoad in supervisor/workers/workers.cc).
constexpr std::chrono::seconds kLongestTopLevelAwait{30};

class LoadDeadline {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // Whether anything is left that can end the wait of a top level: a timer, or a task that is queued.
  enum class WakeUp { possible, impossible };

  // The load begins.
  void begin(TimePoint now) { at_ = now + kLongestTopLevelAwait; }
  TimePoint at() const { return at_; }

  // Why a top level that still awaits something at `now` cannot be loaded; nothing if it may go on.
  std::optional<std::string> failure(TimePoint now, WakeUp wake_up) const {
    if (wake_up == WakeUp::impossible) {
      return "the module's top-level await never settles: no timer is set, and nothing else can wake it";
    }
    if (now < at_) return std::nullopt;
    return fmt::format("the module's top-level await has not settled within {}",
                       ipc::format_duration(kLongestTopLevelAwait));
  }

 private:
  TimePoint at_{};
};

}  // namespace holdfast::worker
