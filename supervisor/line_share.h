// How much of a worker's CPU time went to its direct line. The worker tells for how long it was at work on the line by
// the clock, waits for a CPU included; the kernel tells what the whole process had of the CPU. Of what it had between
// two looks the line is taken to have had the same part as of the time, which is less than its due where the process
// was idle in between. Pure.
#pragma once

#include <algorithm>
#include <chrono>

namespace holdfast::supervisor {

class LineShare {
 public:
  using Duration = std::chrono::steady_clock::duration;

  // Since the same moment: what the process has had of the CPU, for how long it was at work on the line, and the time.
  // Returns what it has had of the CPU without the line.
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
  Duration lines_{};  // of the CPU
};

}  // namespace holdfast::supervisor
