// Whether a process whose event loop was asked for a sign of life, and gives none, is stuck. Pure.
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

  // So long a loop may not turn.
  static constexpr std::chrono::seconds kPatience{5};
  // How often it is looked at while it owes an answer.
  static constexpr std::chrono::milliseconds kLookInterval{500};

  // What proc_pid_stat(5) tells of it.
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

  // True: it is stuck. Time counts in which it slept, or had a processor: one that only waits for a processor, on a
  // busy host, is not stuck. One that was stopped, as a debugger does it, begins anew.
  bool is_stuck(TimePoint now, const Look& look) {
    if (!last_) return false;
    const Seen before = std::exchange(*last_, Seen{now, look});
    // Whoever looks late was kept from looking by a busy host, or by the host's sleep.
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
