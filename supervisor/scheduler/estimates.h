// Estimates that the scheduler makes from what it has seen. Pure.
#pragma once

#include <chrono>
#include <cmath>
#include <optional>

namespace holdfast::supervisor {

// A smoothed duration: each new value counts for an eighth, all earlier ones for the rest (the smoothing of TCP's
// round-trip time, RFC 6298).
class Estimate {
 public:
  using Duration = std::chrono::steady_clock::duration;

  void add(Duration seen) { value_ = value_ ? *value_ + (seen - *value_) / 8 : seen; }

  // nullopt: no value was seen.
  std::optional<Duration> value() const { return value_; }

 private:
  std::optional<Duration> value_;
};

// How often something happened lately. An event that happened `kMemory` ago counts about a third (1/e) of one that
// happens now.
class RecentRate {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kMemory{5};

  void add(TimePoint now) {
    count_ = decayed(now) + 1;
    at_ = now;
  }

  double per_second(TimePoint now) const { return decayed(now) / static_cast<double>(kMemory.count()); }

 private:
  double decayed(TimePoint now) const {
    const std::chrono::duration<double> passed = now - at_;
    return count_ * std::exp(-passed / std::chrono::duration<double>(kMemory));
  }

  double count_ = 0;
  TimePoint at_{};
};

}  // namespace holdfast::supervisor
