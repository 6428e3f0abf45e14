// How to wait for what comes soon. To put a process to sleep and to wake it takes tens of microseconds on many
// machines, of virtual ones above all: more than a worker takes for a small call. So where what is waited for lately
// came so soon that it paid, it is looked for again and again for a while before the process sleeps, as sockets do
// with SO_BUSY_POLL (socket(7)), and a hypervisor does for a processor that has halted.
#pragma once

#include <algorithm>
#include <chrono>
#include <sched.h>

namespace holdfast::ipc {

// Decides from how long the last waits took. Pure: the caller looks, sleeps and has the clock.
class BusyPoll {
 public:
  using Duration = std::chrono::steady_clock::duration;

  // `longest` is how long one wait looks before it sleeps; 0: it never does. A sleep that is shorter than `negligible`
  // costs less than looking would cost others.
  explicit BusyPoll(Duration longest) : BusyPoll(longest, longest / 2) {}
  BusyPoll(Duration longest, Duration negligible) : longest_(longest), negligible_(negligible) {}

  Duration longest() const { return longest_; }

  // Whether the wait that begins now is to look before it sleeps. Now and then one is not, to see what that takes.
  bool pays() const { return score_ >= kPays && looks_ < kMostLooks; }

  // The wait that has ended looked, and found something after `time`.
  void found(Duration time) {
    ++looks_;
    add(time <= longest_ ? kShort : kLong);
  }

  // It slept, after it had looked in vain or at once, and the sleep took `time`.
  void slept(Duration time) {
    const bool looked = pays();
    looks_ = 0;
    if (looked) {
      add(kLong);
    } else if (time < negligible_) {
      // To fall asleep and to wake up takes next to nothing here, as where all cores are at work: looking would only be
      // in others' way.
      score_ = 0;
    } else {
      // A part of it was the way into sleep and out of it.
      add(time <= 2 * longest_ ? kShort : kLong);
    }
  }

 private:
  // To look in vain takes about as much time as is won by four looks that find something.
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

// Lets others have the core, for the peer may need it.
inline void let_others_run() { ::sched_yield(); }

// At both ends of a direct line: two processes that take turns on one core sleep for less, between calls and for an
// answer; where each has a core of its own, to wake it takes longer.
constexpr std::chrono::microseconds kNegligibleSleepOnLine{12};

// Looks for what a single peer sends, at most for `longest` and only where it pays: calls `receive` until it says that
// something came, and `pause` between two looks.
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
