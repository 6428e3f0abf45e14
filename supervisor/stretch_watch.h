// Decides when a worker has been in one stretch of JavaScript for too long. Pure: what the shared page says, the time
// and the kernel's CPU clock of the worker go in.
//
// The budget is for the time that the stretch had a CPU: on a busy machine a worker that waits for one is not to blame.
// The CPU clock costs a system call, so it is first read for a stretch that has lasted half of its budget. What it showed
// before that for another reason, as when the worker was given a call, tells how much of that half the worker had a CPU;
// what passed of the stretch before such a reading counts as if all of it had been spent running.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>

namespace holdfast::supervisor {

// What the worker's page says; a hint, as the worker may lie (ipc/shared_page.h).
struct StretchView {
  std::uint64_t running = 0;  // SharedPage::kNothing: no JavaScript is on the CPU
  std::uint64_t count = 0;    // rises with every stretch
  std::chrono::steady_clock::time_point start;
  std::uint64_t number =
      0;  // what the page has where `running` is: the worker's own number of a call, open or answered
};

// What a worker's CPU clock showed at a time: how long it had been on a CPU since it started.
struct CpuReading {
  std::chrono::steady_clock::time_point at;
  std::chrono::steady_clock::duration used{};
};

class StretchWatch {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  explicit StretchWatch(Duration budget) : budget_(budget) {}

  struct Verdict {
    bool exceeded = false;
    TimePoint look_again{};  // if not exceeded: the next look that can find something
  };

  // For `duration` the worker was halted: that is no time of the stretch that it is in. From then on the view's start
  // of that stretch is later by it.
  void was_halted(Duration duration) { seen_start_ += duration; }

  // `cpu_time` reads how long the worker has been on a CPU since it started; nothing: it cannot be read, and all time
  // counts. `before` is the last such reading, if there was one.
  Verdict look(const StretchView& view, TimePoint now, const std::function<std::optional<Duration>()>& cpu_time,
               const std::optional<CpuReading>& before = {});

 private:
  Duration budget_;
  std::optional<std::uint64_t> seen_count_;  // the stretch that `seen_*` is about
  TimePoint seen_start_{};
  Duration seen_used_{};     // how much of its budget it had used when the CPU clock was first read
  std::optional<Duration> seen_cpu_;
  std::optional<Duration> last_cpu_;  // at the last look
};

}  // namespace holdfast::supervisor
