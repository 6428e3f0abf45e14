// Decides when a worker has been in one stretch of JavaScript for too long. Pure: the caller passes in what the
// shared page says, the time and the kernel's CPU clock of the worker.
//
// The budget counts the time that the stretch had a CPU: a worker that waits for a CPU on a busy machine is not to
// blame. Reading the CPU clock costs a system call, so the clock is first read when a stretch has lasted half of its
// budget. An earlier reading that was made for another reason, such as a new call, tells how much of that half the
// worker had a CPU. The part of the stretch before such a reading counts as if all of it had been spent running.
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
  std::uint64_t number = 0;  // as the page has it: the worker's own number of a call, open or answered
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
    TimePoint look_again{};  // if not exceeded: an earlier look would find nothing
  };

  // The worker was halted for `duration`, which does not count as time of the stretch that it is in. From then on,
  // the caller's views of that stretch must start later by `duration`.
  void was_halted(Duration duration) { seen_start_ += duration; }

  // `cpu_time` returns how long the worker has been on a CPU since it started; nothing: that cannot be read, and all
  // time counts. `before` is the last earlier reading, if there is one.
  Verdict look(const StretchView& view, TimePoint now, const std::function<std::optional<Duration>()>& cpu_time,
               const std::optional<CpuReading>& before = {});

 private:
  Duration budget_;
  std::optional<std::uint64_t> seen_count_;  // the stretch that `seen_*` is about
  TimePoint seen_start_{};
  Duration seen_used_{};  // how much of its budget it had used when the CPU clock was first read
  std::optional<Duration> seen_cpu_;
  std::optional<Duration> last_cpu_;  // at the last look
};

}  // namespace holdfast::supervisor
