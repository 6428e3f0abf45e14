// How long a worker says that it was at work on calls, without what it tells with answers (ipc::WorkerRan). Pure.
#pragma once

#include <chrono>

#include "ipc/worker_messages.h"

namespace holdfast::supervisor {

class ToldRunTime {
 public:
  using Duration = std::chrono::steady_clock::duration;

  // By how much times that a worker tells may differ from those measured here.
  static constexpr std::chrono::seconds kClockSlack{1};

  // The worker, which has lived for `lived`, reports `time` more. False: that cannot be, and violates the protocol. In
  // all it is no longer than the worker has lived, and at least a millisecond at a time: that bounds how often the
  // worker can report.
  bool add(Duration time, Duration lived) {
    sum_ += time;
    return time >= ipc::kLongRun && sum_ <= lived + kClockSlack;
  }

  Duration sum() const { return sum_; }

 private:
  Duration sum_{};
};

}  // namespace holdfast::supervisor
