// Busy-polling: looking for input again and again for a while before the process sleeps. On many machines, virtual
// ones above all, putting a process to sleep and waking it takes tens of microseconds, which is more than a worker
// takes for a small call. So a wait busy-polls where recent waits were short enough for it to pay, as sockets do with
// SO_BUSY_POLL (socket(7)) and as a hypervisor does for a halted processor.
#pragma once

#include <sched.h>

#include <algorithm>
#include <chrono>

namespace holdfast::ipc {

// Decides from the length of recent waits whether the next one busy-polls. Pure: the caller polls, sleeps and reads
// the clock.
class BusyPoll {
 public:
  using Duration = std::chrono::steady_clock::duration;

  // `longest`: for how long one wait busy-polls before it sleeps; 0: it never busy-polls. A sleep shorter than
  // `negligible` is so cheap that busy-polling would only cost other processes CPU time.
  explicit BusyPoll(Duration longest) : BusyPoll(longest, longest / 2) {}
  BusyPoll(Duration longest, Duration negligible) : longest_(longest), negligible_(negligible) {}

  Duration longest() const { return longest_; }

  // Whether the wait that begins now should busy-poll. After kMostLooks waits in a row it says no once, to measure a
  // sleep.
  bool pays() const { return score_ >= kPays && looks_ < kMostLooks; }

  // The wait that has ended busy-polled, and found something after `time`.
  void found(Duration time) {
    ++looks_;
    add(time <= longest_ ? kShort : kLong);
  }

  // The wait that has ended slept for `time`, after busy-polling in vain or without busy-polling.
  void slept(Duration time) {
    const bool looked = pays();
    looks_ = 0;
    if (looked) {
      add(kLong);
    } else if (time < negligible_) {
      // Sleeping and waking cost next to nothing, as they do while all cores are busy: busy-polling would only take
      // CPU time from other processes.
      score_ = 0;
    } else {
      // Up to twice `longest` counts as short: part of the time went into falling asleep and waking.
      add(time <= 2 * longest_ ? kShort : kLong);
    }
  }

 private:
  // Busy-polling in vain costs about as much time as four successful busy-polls save.
  static constexpr int kShort = 1;
  static constexpr int kLong = -4;
  static constexpr int kPays = 4;
  static constexpr int kMost = 8;
  static constexpr int kMostLooks = 128;

  void add(int points) { score_ = std::clamp(score_ + points, 0, kMost); }

  Duration longest_;
  Duration negligible_;
  int score_ = 0;
  int looks_ = 0;  // since it last slept
};

// Yields the core, because the peer may need it.
inline void let_others_run() { ::sched_yield(); }

// The negligible sleep at both ends of a direct line. Two processes that alternate on one core sleep for less than
// this, between calls and for an answer; where each has its own core, waking takes longer.
constexpr std::chrono::microseconds kNegligibleSleepOnLine{12};

// Busy-polls for input from a single peer, for at most `longest` and only where it pays: calls `receive` until it
// returns true, and `pause` between two tries. Returns whether `receive` returned true. The caller reports the sleep
// that follows a false with BusyPoll::slept().
template <typename Receive, typename Pause>
bool busy_poll_until(BusyPoll& poll, BusyPoll::Duration longest, Receive receive, Pause pause) {
  using Clock = std::chrono::steady_clock;
  if (!poll.pays()) return false;
  const auto began = Clock::now();
  for (auto elapsed = Clock::duration::zero(); elapsed < longest; elapsed = Clock::now() - began) {
    if (receive()) {
      poll.found(Clock::now() - began);
      return true;
    }
    pause();
  }
  return false;
}

}  // namespace holdfast::ipc
