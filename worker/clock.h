// The one clock that a module can read, in steps. Attacks on caches and speculation need to tell tens of nanoseconds
// apart; every way in which JavaScript learns the time goes through here.
#pragma once

#include <chrono>

namespace holdfast::worker {

class CoarseClock {
 public:
  // More than 0.
  void set_resolution(std::chrono::nanoseconds resolution) { resolution_ = resolution; }

  // The time since 1970-01-01 UTC, rounded down to a whole number of steps.
  std::chrono::nanoseconds now() const;

  // What now() will say at `time`, which may have passed, as far as the system's clock can tell today.
  std::chrono::nanoseconds at(std::chrono::steady_clock::time_point time) const;

  // The earliest time, not before `due`, at which now() has just made a step: who is woken then learns nothing of the
  // time in between. Never early, if the system's clock is not set meanwhile; nor does a later time that is asked for
  // afterwards come to an earlier step then, so that timers keep their order.
  std::chrono::steady_clock::time_point step_after(std::chrono::steady_clock::time_point due) const;

 private:
  // What browsers settled on without cross-origin isolation (W3C High Resolution Time, "coarsen time").
  std::chrono::nanoseconds resolution_ = std::chrono::microseconds(100);
  // By how much the system's clock is ahead of the steady one, by the least of its latest readings.
  mutable std::chrono::nanoseconds ahead_{0};
};

// A time since 1970-01-01 UTC as Date.now() has it.
inline double whole_millis(std::chrono::nanoseconds time) {
  return static_cast<double>(std::chrono::floor<std::chrono::milliseconds>(time).count());
}

}  // namespace holdfast::worker
