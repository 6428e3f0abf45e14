// Decides whether a process is stuck whose event loop was asked for a sign of life and gives none. Pure.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

namespace holdfast::supervisor {

class TurnWatch {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  // An event loop may be without a turn for this long.
  static constexpr std::chrono::seconds kPatience{5};
  // How often the process is looked at while it owes an answer.
  static constexpr std::chrono::milliseconds kLookInterval{500};

  // What proc_pid_stat(5) tells about the process.
  struct Look {
    char state = 'S';
    Duration cpu_time{};
  };

  void asked(TimePoint now, const Look& look) {
    last_ = Seen{now, look};
    stuck_for_ = Duration::zero();
  }
  void answered() { last_.reset(); }
  bool owes_answer() const { return last_.has_value(); }

  // True: the process is stuck. Only time in which it slept or had a CPU counts, because a process that waits for a
  // CPU on a busy host is not stuck. When the process was stopped, as a debugger does it, the count begins anew.
  bool is_stuck(TimePoint now, const Look& look) {
    if (!last_) return false;
    const Seen before = std::exchange(*last_, Seen{now, look});
    // A look that comes late was delayed by a busy host, or by the host's sleep: that time does not count in full.
    const Duration passed = std::min<Duration>(now - before.at, 2 * kLookInterval);
    if (is_stopped(look) || is_stopped(before.look)) {
      stuck_for_ = Duration::zero();
    } else if (is_asleep(look) && is_asleep(before.look)) {
      stuck_for_ += passed;
    } else {
      stuck_for_ += std::min(passed, std::max(look.cpu_time - before.look.cpu_time, Duration::zero()));
    }
    return stuck_for_ >= kPatience;
  }

 private:
  struct Seen {
    TimePoint at;
    Look look;
  };
  static bool is_asleep(const Look& look) { return look.state == 'S' || look.state == 'D'; }
  static bool is_stopped(const Look& look) { return look.state == 'T' || look.state == 't'; }

  std::optional<Seen> last_;
  Duration stuck_for_{};
};

}  // namespace holdfast::supervisor
