// Estimates how much of a worker's CPU time went to its direct line. The worker reports for how long it was at work on
// the line by the clock, including waits for a CPU; the kernel reports the CPU time of the whole process. Between two
// looks, the line is taken to have used the same part of the CPU time as of the time that passed. That is less than the
// truth if the process was idle in between. Pure.
#pragma once

#include <algorithm>
#include <chrono>

namespace holdfast::supervisor {

class LineShare {
 public:
  using Duration = std::chrono::steady_clock::duration;

  // All three count from the same moment: the process's CPU time, how long it was at work on the line, and the time
  // that passed. Returns the CPU time that went to anything but the line.
  Duration cpu_time_of_others(Duration cpu_time, Duration line_time, Duration time) {
    const auto since = [](Duration now, Duration before) { return std::max(now - before, Duration::zero()); };
    const double passed = std::max<double>(static_cast<double>(since(time, time_).count()), 1);
    const double part = std::min(static_cast<double>(since(line_time, line_time_).count()) / passed, 1.0);
    lines_ += Duration(static_cast<Duration::rep>(part * static_cast<double>(since(cpu_time, cpu_time_).count())));
    cpu_time_ = std::max(cpu_time, cpu_time_);
    line_time_ = std::max(line_time, line_time_);
    time_ = std::max(time, time_);
    return cpu_time_ - lines_;
  }

 private:
  // At the last look.
  Duration cpu_time_{};
  Duration line_time_{};
  Duration time_{};
  Duration lines_{};  // CPU time of the line
};

}  // namespace holdfast::supervisor
