// Tells a worker that is late to give up a call from one that will never give it up. Pure.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace holdfast::supervisor {

// A worker is stuck if one of these is true: it does nothing; it uses the CPU and reports no work for that, whatever
// its page says; it has reported no work for `patience` (a minute by default); or it has been late for ten times
// `patience`, in which other calls were served. `patience` is longer if stretches may last longer than half a minute.
class LateWatch {
 public:
  using Duration = std::chrono::steady_clock::duration;

  // How far the worker has come.
  struct Look {
    bool runs = false;            // its page says that JavaScript is on the CPU
    std::uint64_t stretches = 0;  // how many it has begun, according to its page
    std::uint64_t answers = 0;    // calls that it has answered
    Duration told{};              // the time at work that it has reported
    Duration untold{};            // CPU time that it has not reported
  };

  // To be called each time that the worker is found late, about once in each `pause`. `longest_stretch` is how long its
  // JavaScript may run without a break. Whether the worker is stuck.
  bool is_stuck(const Look& now, Duration pause, Duration longest_stretch) {
    const Duration patience = std::max(30 * pause, 2 * longest_stretch);
    const bool is_first = times_late_++ == 0;
    const bool does_nothing = !now.runs && now.stretches == last_.stretches;
    const bool has_answered = is_first || now.answers != last_.answers;
    times_without_word_ = has_answered || now.told != last_.told ? 0 : times_without_word_ + 1;
    const Duration untold_before = has_answered ? now.untold : last_.untold;
    last_ = now;
    last_.untold = untold_before;
    const bool comes_to_nothing = now.untold - untold_before > 2 * longest_stretch;
    return times_without_word_ * pause >= patience || times_late_ * pause >= 10 * patience ||
           (!is_first && (does_nothing || comes_to_nothing));
  }

  // The worker is late for another reason from now on.
  void begin_again() { times_late_ = 0; }

 private:
  Look last_;                        // `untold` is that at the last look with another answer
  unsigned times_without_word_ = 0;  // times in a row that it had reported no new work
  unsigned times_late_ = 0;
};

}  // namespace holdfast::supervisor
