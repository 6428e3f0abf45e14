// One page of memory that a worker and the supervisor share, so that a few facts survive a worker that no longer
// answers: which call is on the CPU and since when, which calls were started, which system call killed the worker.
//
// The worker writes it. The supervisor reads it, and writes last_taken to take calls back. The worker may be hostile,
// so the supervisor treats every field as a hint: a field can only change how the worker's own calls end and are
// explained, and which of its callers is blamed for the worker's end. No field is a length or an index.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace holdfast::ipc {

struct SharedPage {
  static constexpr std::uint64_t kNothing = 0;
  // Stands in for a call's number while the module's top level runs.
  static constexpr std::uint64_t kLoading = UINT64_MAX;
  // Stands in for a call's number while JavaScript runs that belongs to no call: timers of the top level, finalizers.
  static constexpr std::uint64_t kBackground = UINT64_MAX - 1;

  // The number of a relayed call has two parts. The bits below kCallerShift are its place in the order in which the
  // worker was given calls: 1, 2, 3, ... The bits from kCallerShift on are the supervisor's number of the caller,
  // less than kMostCallers.
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

  // Set in the numbers of calls of the direct line, which are counted 1, 2, 3, ... apart from relayed calls. A
  // JavaScript number can still hold such a number exactly (2^53).
  static constexpr std::uint64_t kLineBit = std::uint64_t{1} << 52;
  static constexpr bool is_line_call(std::uint64_t number) { return (number & ~(kLineBit - 1)) == kLineBit; }
  // Also set in `running` if the call of the line is already answered, as a cancelled call is.
  static constexpr std::uint64_t kLineAnsweredBit = std::uint64_t{1} << 51;
  static constexpr bool is_answered_line_call(std::uint64_t number) {
    return is_line_call(number) && (number & kLineAnsweredBit) != 0;
  }
  static constexpr std::uint64_t place_on_line(std::uint64_t number) { return number & (kLineAnsweredBit - 1); }

  // The number (WorkerCall.id) of the call whose JavaScript is on the CPU, kLoading, kBackground, or kNothing between
  // stretches. A stretch lasts from entering JavaScript to its return to the event loop, microtasks included.
  std::atomic<std::uint64_t> running;
  // When the stretch in `running` began, in nanoseconds of CLOCK_MONOTONIC. Written before `running`.
  std::atomic<std::uint64_t> stretch_start;
  // Rises with every stretch, so that two stretches cannot be mistaken for one.
  std::atomic<std::uint64_t> stretch_count;
  // Calls are started in the order in which they were sent. Every call up to this place (place_of()) was started by
  // the worker or taken back by the supervisor, and no call beyond it. A call belongs to the side that moves this
  // value past its place.
  std::atomic<std::uint64_t> last_taken;
  // Number of the system call that the seccomp filter refused, plus one; 0: none. UINT32_MAX: the number was no
  // call's.
  std::atomic<std::uint32_t> refused_system_call;
  // Place on the direct line of its last call that was started.
  std::atomic<std::uint64_t> line_started;
  // How many calls of the direct line were answered with a result, and with an error of each code (ErrorCode). For
  // statistics.
  static constexpr std::size_t kMostErrorCodes = 16;
  std::atomic<std::uint64_t> line_results;
  std::atomic<std::uint64_t> line_errors[kMostErrorCodes];
  // How long the worker has worked on no call, answered or not, in nanoseconds: on timers of the top level, and for
  // V8.
  std::atomic<std::uint64_t> unclaimed_time;
  // How long the worker has worked on the direct line's calls, except the one that runs now, in nanoseconds.
  std::atomic<std::uint64_t> line_time;
};

constexpr std::size_t kSharedPageBytes = 4096;
static_assert(sizeof(SharedPage) <= kSharedPageBytes);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free && std::atomic<std::uint32_t>::is_always_lock_free);

}  // namespace holdfast::ipc
