// The only clock that a module can read. It advances in coarse steps, because attacks on caches and on speculative
// execution must tell tens of nanoseconds apart. Every way in which JavaScript learns the time goes through here.
#pragma once

#include <chrono>

namespace holdfast::worker {

class CoarseClock {
 public:
  // The length of a step; must be more than 0.
  void set_resolution(std::chrono::nanoseconds resolution) { resolution_ = resolution; }

  // The time since 1970-01-01 UTC, rounded down to a whole number of steps.
  std::chrono::nanoseconds now() const;

  // What now() returns at `time`, judged by the system clock's present offset. `time` may have passed.
  std::chrono::nanoseconds at(std::chrono::steady_clock::time_point time) const;

  // The earliest time, not before `due`, at which now() has just made a step. A caller that is woken then learns
  // nothing about the time between two steps. As long as the system clock is not set, the result is never too early,
  // and calls with later values of `due` never return an earlier step than previous calls did, so that timers keep
  // their order.
  std::chrono::steady_clock::time_point step_after(std::chrono::steady_clock::time_point due) const;

 private:
  // What browsers use without cross-origin isolation (W3C High Resolution Time, "coarsen time").
  std::chrono::nanoseconds resolution_ = std::chrono::microseconds(100);
  // How far the system clock is ahead of the steady clock: the smallest of the latest readings.
  mutable std::chrono::nanoseconds ahead_{0};
};

// A time since 1970-01-01 UTC in whole milliseconds, as Date.now() returns it.
inline double whole_millis(std::chrono::nanoseconds time) {
  return static_cast<double>(std::chrono::floor<std::chrono::milliseconds>(time).count());
}

}  // namespace holdfast::worker
