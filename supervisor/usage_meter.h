// Shares what the kernel counted for a worker's process among the calls that the worker had meanwhile: evenly, as
// nobody but the worker could say more, and the worker is not believed. What the worker says that it did for no call is
// shared in the same way; that counts only among its module's callers. Pure.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace holdfast::supervisor {

class UsageMeter {
 public:
  using Duration = std::chrono::steady_clock::duration;

  // From now on what the process uses is its module's: `cpu_time` is what it had used before.
  void begin(Duration cpu_time) { cpu_time_ = cpu_time; }

  // The process has used this much CPU time by now. What it used since the last reading is shared by the calls that it
  // has; without any it is the module's alone. Returns what was added.
  Duration read(Duration cpu_time) {
    const Duration added = std::max(cpu_time - cpu_time_, Duration::zero());
    cpu_time_ += added;
    if (calls_ > 0) share_ += added / static_cast<Duration::rep>(calls_);
    return added;
  }

  // The worker says that in all it was so long at work on no call. What it was since it last said so is shared in
  // the same way.
  void read_unclaimed(Duration total) {
    const Duration added = std::max(total - unclaimed_, Duration::zero());
    unclaimed_ = std::max(total, unclaimed_);
    share_unclaimed(added);
  }
  // Shares time in the same way that the worker spent on a call whose caller is not known.
  void share_unclaimed(Duration added) {
    if (calls_ > 0) unclaimed_share_ += added / static_cast<Duration::rep>(calls_);
  }
  // The same as share(), of that.
  Duration unclaimed_share() const { return unclaimed_share_; }

  // What the process had used at the last reading.
  Duration cpu_time() const { return cpu_time_; }

  // The process has this much memory now.
  void saw_memory(std::uint64_t bytes) {
    memory_ = bytes;
    peak_ = std::max(peak_, bytes);
  }

  // A call was given to the worker; one that it had has ended. Read first.
  void call_begins() {
    if (calls_++ == 0) peak_ = memory_;
    ++calls_begun_;
  }
  void call_ends() { --calls_; }
  std::size_t calls() const { return calls_; }
  // How many ever began.
  std::uint64_t calls_begun() const { return calls_begun_; }

  // What a call was charged that the worker has had since its first: the difference of two of these is what one was
  // charged that it had between them.
  Duration share() const { return share_; }

  // The most memory that was seen since the worker last was without calls.
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
