// Shares what the kernel counts for a worker's process among the calls that the worker has at the time. It shares
// evenly, because only the worker could say more, and the worker is not believed. Time that the worker says it spent
// on no call is shared evenly too, but that counts only among its module's callers. Pure.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace holdfast::supervisor {

class UsageMeter {
 public:
  using Duration = std::chrono::steady_clock::duration;

  // From now on, what the process uses counts for its module. `cpu_time` is what it had used before.
  void begin(Duration cpu_time) { cpu_time_ = cpu_time; }

  // The process has used this much CPU time by now. What it used since the last reading is shared among its calls;
  // without calls it counts for the module alone. Returns what was used since the last reading.
  Duration read(Duration cpu_time) {
    const Duration added = std::max(cpu_time - cpu_time_, Duration::zero());
    cpu_time_ += added;
    if (calls_ > 0) share_ += added / static_cast<Duration::rep>(calls_);
    return added;
  }

  // `total` is the time that the worker says it has spent on no call, since it began. What is new since the last
  // reading is shared evenly among its calls.
  void read_unclaimed(Duration total) {
    const Duration added = std::max(total - unclaimed_, Duration::zero());
    unclaimed_ = std::max(total, unclaimed_);
    share_unclaimed(added);
  }
  // Shares evenly among the worker's calls the time that it spent on a call whose caller is not known.
  void share_unclaimed(Duration added) {
    if (calls_ > 0) unclaimed_share_ += added / static_cast<Duration::rep>(calls_);
  }
  // The part of such time that a call would have if the worker had had it since its first. The difference of two
  // values is the part of a call that the worker had between them.
  Duration unclaimed_share() const { return unclaimed_share_; }

  // What the process had used at the last reading.
  Duration cpu_time() const { return cpu_time_; }

  // The process has this much memory now.
  void saw_memory(std::uint64_t bytes) {
    memory_ = bytes;
    peak_ = std::max(peak_, bytes);
  }

  // A call was given to the worker; or one of its calls has ended. Call read() before.
  void call_begins() {
    if (calls_++ == 0) peak_ = memory_;
    ++calls_begun_;
  }
  void call_ends() { --calls_; }
  std::size_t calls() const { return calls_; }
  // How many ever began.
  std::uint64_t calls_begun() const { return calls_begun_; }

  // The CPU time charged to a call that the worker would have had since its first. The difference of two values is
  // what was charged to a call that the worker had between them.
  Duration share() const { return share_; }

  // The most memory seen since the worker last had no calls.
  std::uint64_t peak_memory() const { return peak_; }

 private:
  Duration cpu_time_{};  // of the process, at the last reading
  Duration share_{};
  Duration unclaimed_{};
  Duration unclaimed_share_{};
  std::size_t calls_ = 0;
  std::uint64_t calls_begun_ = 0;
  std::uint64_t memory_ = 0;
  std::uint64_t peak_ = 0;
};

}  // namespace holdfast::supervisor
