// One page of memory that a worker and the supervisor share, so that a few facts survive a worker that no longer
// answers: which call is on the CPU and since when, which calls were started, which system call it died of.
//
// The worker writes, the supervisor reads, and takes calls back. The worker may be hostile: the supervisor takes every
// field as a hint, which can only ever change how the worker's own calls are ended and explained, and which of those
// who called it is blamed for its end. No field is a length or an index.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace holdfast::ipc {

struct SharedPage {
  static constexpr std::uint64_t kNothing = 0;
  // Stands for the module's top level, where a call's id would stand.
  static constexpr std::uint64_t kLoading = UINT64_MAX;
  // Stands for JavaScript that belongs to no call: timers of the top level, finalizers.
  static constexpr std::uint64_t kBackground = UINT64_MAX - 1;

  // The number of a call that was relayed is the place in which the worker was given it, 1, 2, 3, ..., and above that,
  // in the bits from kCallerShift on, the number of who made it: the supervisor's, less than kMostCallers.
  static constexpr int kCallerShift = 40;
  static constexpr std::uint32_t kMostCallers = 1 << 12;
  static constexpr std::uint64_t place_of(std::uint64_t number) {
    return number & ((std::uint64_t{1} << kCallerShift) - 1);
  }
  static constexpr std::uint32_t caller_of(std::uint64_t number) {
    return static_cast<std::uint32_t>(number >> kCallerShift) & (kMostCallers - 1);
  }
  static constexpr std::uint64_t number_of(std::uint64_t place, std::uint32_t caller) {
    return place | std::uint64_t{caller} << kCallerShift;
  }

  // Set in the numbers of calls that came by the direct line, which count 1, 2, 3, ... on their own. Such a number is
  // still one that a JavaScript number can be (2^53).
  static constexpr std::uint64_t kLineBit = std::uint64_t{1} << 52;
  static constexpr bool is_line_call(std::uint64_t number) { return (number & ~(kLineBit - 1)) == kLineBit; }
  // Set besides in what `running` says of a line's call that is answered, as one that was cancelled is.
  static constexpr std::uint64_t kLineAnsweredBit = std::uint64_t{1} << 51;
  static constexpr bool is_answered_line_call(std::uint64_t number) {
    return is_line_call(number) && (number & kLineAnsweredBit) != 0;
  }
  static constexpr std::uint64_t place_on_line(std::uint64_t number) { return number & (kLineAnsweredBit - 1); }

  // The number (WorkerCall.id) of the call whose JavaScript is on the CPU, kLoading, kBackground, or kNothing between
  // stretches. A stretch lasts from entering JavaScript to its return to the event loop, microtasks included.
  std::atomic<std::uint64_t> running;
  // When that stretch began, in nanoseconds of CLOCK_MONOTONIC. Written before `running`.
  std::atomic<std::uint64_t> stretch_start;
  // Rises with every stretch, so that two of them cannot be taken for one.
  std::atomic<std::uint64_t> stretch_count;
  // Calls are started in the order they were sent. All up to this place (place_of()) were started by the worker or
  // taken back by the supervisor, none beyond it: a call belongs to whichever side moves this past its place.
  std::atomic<std::uint64_t> last_taken;
  // The system call number that the seccomp filter refused, plus one; 0: none. UINT32_MAX: a number that no call has.
  std::atomic<std::uint32_t> refused_system_call;
  // The last call of the direct line that was started.
  std::atomic<std::uint64_t> line_started;
  // How the direct line's calls were answered: by a result, or by an error of this code (ErrorCode). For statistics.
  static constexpr std::size_t kMostErrorCodes = 16;
  std::atomic<std::uint64_t> line_results;
  std::atomic<std::uint64_t> line_errors[kMostErrorCodes];
  // The time, in nanoseconds, that the worker was at work on no call, answered or not: on timers of the top level, and
  // for V8.
  std::atomic<std::uint64_t> unclaimed_time;
  // The time, in nanoseconds, that the worker was at work on the direct line's calls, but for the one that runs now.
  std::atomic<std::uint64_t> line_time;
};

constexpr std::size_t kSharedPageBytes = 4096;
static_assert(sizeof(SharedPage) <= kSharedPageBytes);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free && std::atomic<std::uint32_t>::is_always_lock_free);

}  // namespace holdfast::ipc
