// Decides when a worker holds too much memory, and how often its memory is read. Pure: the caller passes in readings
// and the time.
//
// Well-behaved modules end at their limit, by V8's count or by RLIMIT_DATA. This watch is for code that hides memory
// from both (sandbox/limits.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace holdfast::supervisor {

// What a module's process may hold beyond the module's memory, for V8's own work and native memory such as Intl's.
inline constexpr std::uint64_t kNativeMemoryBytes = std::uint64_t{96} << 20;

class MemoryWatch {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  // For a worker that is not idle, judge() is called at least this often.
  static constexpr Duration kLook = std::chrono::milliseconds(500);
  // How old a reading may be that is reported as a call's use of memory. Memory is not read more often than this.
  static constexpr Duration kFresh = std::chrono::milliseconds(10);
  // What a worker may hold beyond its limit before it is killed at once.
  static constexpr std::uint64_t kHeadroom = std::uint64_t{128} << 20;
  // What a worker may hold beyond its limit all the time: what RLIMIT_DATA allows (worker/process/zygote.cc), and the
  // page tables for that memory.
  static constexpr std::uint64_t kNativeAllowance = kNativeMemoryBytes + (std::uint64_t{4} << 20);
  // A worker that holds more than its limit and kNativeAllowance for this long hides memory, too.
  static constexpr Duration kGrace = std::chrono::milliseconds(900);

  // The number of a worker's mappings counts as known for this long, and for as long as the worker has used less CPU
  // time than it takes to make thousands of mappings.
  static constexpr Duration kMappingsKnown = std::chrono::seconds(5);
  static constexpr Duration kSoonestManyMappings = std::chrono::milliseconds(5);
  // What the kernel keeps for a mapping and does not count as memory of the process: a vm_area_struct, and its part of
  // a maple tree's node.
  static constexpr std::uint64_t kBytesOfMapping = 256;
  // Each mapping that a module can make by JavaScript, as an instance of a WebAssembly module, takes more than this of
  // its memory.
  static constexpr std::uint64_t kLeastMemoryOfMapping = 16 << 10;
  static constexpr std::uint64_t kMostMappings = 16384;  // for modules with little memory

  // How many mappings a worker may have whose module has this limit.
  static std::uint64_t most_mappings(std::uint64_t limit_bytes);

  // The worker's memory was read now.
  void seen(TimePoint now) { seen_at_ = now; }
  bool is_stale(TimePoint now) const { return now - seen_at_ >= kFresh; }

  // Whether the worker, which has used this much CPU time, may have many more mappings than were counted.
  bool must_count_mappings(TimePoint now, Duration cpu_time) const {
    return now - counted_at_ >= kMappingsKnown && cpu_time - cpu_when_counted_ >= kSoonestManyMappings;
  }
  // The worker's mappings were counted now, when it had used this much CPU time; nothing: they could not be counted.
  void counted(std::optional<std::uint32_t> mappings, TimePoint now, Duration cpu_time) {
    counted_at_ = now;
    cpu_when_counted_ = cpu_time;
    mappings_ = mappings.value_or(mappings_);
  }
  // At the last count.
  std::uint32_t mappings() const { return mappings_; }
  std::uint64_t bytes_of_mappings() const { return mappings_ * kBytesOfMapping; }

  enum class Verdict {
    fine,
    over_limit,         // for a short time so far; judge again in kLook
    too_many_mappings,  // the worker must end
    too_much,           // the worker must end
  };
  // The worker holds `bytes`, including those of its mappings; its module's limit is `limit_bytes`.
  Verdict judge(std::uint64_t bytes, std::uint64_t limit_bytes, TimePoint now);
  // Whether the last verdict was that it was over its limit.
  bool is_over_limit() const { return over_limit_since_.has_value(); }

 private:
  TimePoint seen_at_{};
  std::uint32_t mappings_ = 0;
  TimePoint counted_at_{};
  Duration cpu_when_counted_{};
  std::optional<TimePoint> over_limit_since_;
};

}  // namespace holdfast::supervisor
