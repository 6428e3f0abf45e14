#include "worker/clock.h"

namespace holdfast::worker {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;

nanoseconds CoarseClock::now() const {
  const nanoseconds exact = system_clock::now().time_since_epoch();
  return exact - exact % resolution_;
}

nanoseconds CoarseClock::at(steady_clock::time_point time) const {
  const nanoseconds exact = system_clock::now().time_since_epoch() + (time - steady_clock::now());
  return exact - exact % resolution_;
}

steady_clock::time_point CoarseClock::step_after(steady_clock::time_point due) const {
  // Read in this order, so that the difference comes out too small, if anything, and the step too late.
  const nanoseconds wall = system_clock::now().time_since_epoch();
  const nanoseconds ahead = wall - steady_clock::now().time_since_epoch();
  const nanoseconds exact = due.time_since_epoch() + ahead;
  const nanoseconds past = exact % resolution_;
  return past == nanoseconds(0) ? due : due + (resolution_ - past);
}

}  // namespace holdfast::worker
