// How long a timer of a module waits (HTML Standard, 8.6). Knows no clock.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>

namespace holdfast::worker {

enum class TimerKind { once, repeating };

// The delay that a module asked for, in milliseconds: any number, NaN and infinities too.
inline std::chrono::milliseconds timer_delay(double millis, TimerKind kind) {
  constexpr double kMaxMillis = 2147483647;  // a signed 32-bit number
  // NaN and negative delays count as 0; an interval of 0 would never let anything else run.
  const double whole = millis >= 1 ? std::min(std::floor(millis), kMaxMillis) : 0;
  return std::chrono::milliseconds(
      static_cast<std::int64_t>(kind == TimerKind::repeating ? std::max(whole, 1.0) : whole));
}

}  // namespace holdfast::worker
