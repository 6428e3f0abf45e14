// The time that a worker reports (ipc::WorkerRan) for work on calls. Time that it reports with answers is not included.
// Pure.
#pragma once

#include <chrono>

#include "ipc/worker_messages.h"

namespace holdfast::supervisor {

class ToldRunTime {
 public:
  using Duration = std::chrono::steady_clock::duration;

  // How far the times that a worker reports may differ from the times that the supervisor measures.
  static constexpr std::chrono::seconds kClockSlack{1};

  // The worker has lived for `lived` and reports `time` more. Returns false if the report is impossible, which violates
  // the protocol: a report must be for at least ipc::kLongRun, and the reports must not add up to more than the
  // worker's life. So the number of reports is bounded, too.
  bool add(Duration time, Duration lived) {
    sum_ += time;
    return time >= ipc::kLongRun && sum_ <= lived + kClockSlack;
  }

  Duration sum() const { return sum_; }

 private:
  Duration sum_{};
};

}  // namespace holdfast::supervisor
