// How long a worker that was asked to stop may take to report where it is and to end. Pure: the caller passes in the
// time and the kernel's CPU clock of the worker.
//
// Taking the stack takes about a millisecond once V8 comes to an interrupt check in a function of the module. Before
// that V8 may be compiling, which takes 10 ms and more. If V8 never comes to a check, the caller waits in vain. On a
// busy machine a worker, whose priority is low, may have to wait for a CPU first. So the patience counts CPU time, and
// has a second, longer limit by the clock.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>

namespace holdfast::supervisor {

class StopPatience {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  static constexpr Duration kCpuTime = std::chrono::milliseconds(30);
  static constexpr Duration kByClock = std::chrono::milliseconds(2000);

  // The worker is asked to stop now. `cpu_time` is what it has used so far.
  void begin(TimePoint now, Duration cpu_time) {
    asked_at_ = now;
    cpu_when_asked_ = cpu_time;
    look_at_ = now + kCpuTime;
  }

  // When to call is_over(); nothing: the worker was not asked to stop, or the patience is over.
  std::optional<TimePoint> look_at() const { return look_at_; }

  // Whether the worker must be killed now. `cpu_time` is what it has used; nothing: that cannot be read any more.
  bool is_over(TimePoint now, std::optional<Duration> cpu_time) {
    const TimePoint last = asked_at_ + kByClock;
    const Duration used = cpu_time.value_or(Duration::max()) - cpu_when_asked_;
    if (used < kCpuTime && now < last) {
      look_at_ = std::min(now + kCpuTime - used, last);
      return false;
    }
    look_at_.reset();
    return true;
  }

  // The worker has hung up: nothing is left to wait for.
  void end() { look_at_.reset(); }

 private:
  TimePoint asked_at_{};
  Duration cpu_when_asked_{};
  std::optional<TimePoint> look_at_;
};

}  // namespace holdfast::supervisor
