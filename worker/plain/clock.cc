#include "worker/plain/clock.h"

namespace holdfast::worker {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;

namespace {

// How much time passes between the readings of two clocks, as a rule at most.
constexpr nanoseconds kReadingError = std::chrono::microseconds(20);

// How far the system clock is ahead of the steady clock. An error makes the result too small, so that a step comes
// too late and never too early. Tries again where the process may have left the CPU between the readings.
nanoseconds ahead_now() {
  nanoseconds ahead{};
  for (int attempt = 0; attempt < 3; ++attempt) {
    const auto before = steady_clock::now();
    const nanoseconds wall = system_clock::now().time_since_epoch();
    const auto after = steady_clock::now();
    ahead = wall - after.time_since_epoch();
    if (after - before <= kReadingError) break;
  }
  return ahead;
}

}  // namespace

nanoseconds CoarseClock::now() const {
  const nanoseconds exact = system_clock::now().time_since_epoch();
  return exact - exact % resolution_;
}

nanoseconds CoarseClock::at(steady_clock::time_point time) const {
  const nanoseconds exact = system_clock::now().time_since_epoch() + (time - steady_clock::now());
  return exact - exact % resolution_;
}

steady_clock::time_point CoarseClock::step_after(steady_clock::time_point due) const {
  const nanoseconds ahead = ahead_now();
  if (ahead < ahead_ || ahead > ahead_ + kReadingError) ahead_ = ahead;
  const nanoseconds exact = due.time_since_epoch() + ahead_;
  const nanoseconds past = exact % resolution_;
  return past == nanoseconds(0) ? due : due + (resolution_ - past);
}

}  // namespace holdfast::worker
