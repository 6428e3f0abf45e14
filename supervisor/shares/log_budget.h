// How much a worker may log: a module that floods the log must not drown the operator or slow the others down.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace holdfast::supervisor {

struct LogLimits {
  std::uint64_t bytes_per_second = 64 << 10;
  std::uint64_t burst_bytes = 256 << 10;
};

// A leaky bucket of bytes. Pure.
class LogBudget {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // What a line costs besides its text: the time, the level, the module's name.
  static constexpr std::size_t kLineBytes = 64;

  // The limit for the sum of the lost lines that a worker reports, so that no sum overflows.
  static constexpr std::uint64_t kMostBelieved = std::uint64_t{1} << 53;

  // Whether a line with `bytes` of text may be logged now. A refused line is counted. The limits may differ from call
  // to call.
  bool take(std::size_t bytes, TimePoint now, const LogLimits& limits = {}) {
    const std::chrono::duration<double> passed = now - last_;
    used_ = std::max(0.0, used_ - passed.count() * static_cast<double>(limits.bytes_per_second));
    last_ = now;
    const auto cost = static_cast<double>(bytes + kLineBytes);
    if (used_ + cost > static_cast<double>(limits.burst_bytes)) {
      ++dropped_;
      ++refused_;
      return false;
    }
    used_ += cost;
    return true;
  }

  // Counts lines that a worker reports as lost before they could be refused here. The number is the worker's word.
  // Taking in the report costs as much time as one refused line.
  void note_dropped(std::uint64_t lines) {
    ++refused_;
    dropped_ += std::min<std::uint64_t>(lines, kMostBelieved - std::min(dropped_, kMostBelieved));
  }

  // Whether much was refused since this last returned true. The number of lost lines that a worker reports has no
  // effect.
  bool is_flooded() {
    if (refused_ < kFlood) return false;
    refused_ = 0;
    return true;
  }

  // How many lines were refused or lost since the last call.
  std::uint64_t take_dropped() { return std::exchange(dropped_, 0); }

 private:
  // Refusing this many lines takes the supervisor a few milliseconds.
  static constexpr std::uint64_t kFlood = 10'000;

  double used_ = 0;
  TimePoint last_{};
  std::uint64_t dropped_ = 0;
  std::uint64_t refused_ = 0;
};

}  // namespace holdfast::supervisor
