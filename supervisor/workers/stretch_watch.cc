#include "supervisor/workers/stretch_watch.h"

#include <algorithm>

namespace holdfast::supervisor {
namespace {

// No worker is looked at more often than this, whatever its page says.
constexpr std::chrono::milliseconds kLeastWait{1};

}  // namespace

StretchWatch::Verdict StretchWatch::look(const StretchView& view, TimePoint now,
                                         const std::function<std::optional<Duration>()>& cpu_time,
                                         const std::optional<CpuReading>& before) {
  if (view.running == 0) {
    seen_count_.reset();
    return {.exceeded = false, .look_again = now + budget_ / 2};
  }
  // A start in the future is a lie, which must not buy time. A start in the distant past must not cost time.
  const TimePoint start = std::clamp(view.start, now - 2 * budget_, now);
  if (view.count != seen_count_) {
    seen_count_ = view.count;
    seen_start_ = start;
    seen_cpu_.reset();
  }
  seen_start_ = std::min(seen_start_, start);  // one stretch begins once
  const Duration elapsed = now - seen_start_;
  if (elapsed < budget_ / 2) return {.exceeded = false, .look_again = seen_start_ + budget_ / 2};
  const auto cpu = cpu_time();
  if (!seen_cpu_) {
    seen_cpu_ = cpu;
    seen_used_ = elapsed;
    if (cpu && before) {
      const Duration unread = std::clamp(before->at - seen_start_, Duration::zero(), elapsed);
      seen_used_ = std::min(elapsed, unread + std::max(*cpu - before->used, Duration::zero()));
    }
  }
  const Duration used = cpu && seen_cpu_ ? std::min(elapsed, seen_used_ + (*cpu - *seen_cpu_)) : elapsed;
  if (used >= budget_) return {.exceeded = true};
  // A worker that sleeps, or claims to have begun long ago, is not worth a look every millisecond.
  const bool stood_still = cpu && last_cpu_ && *cpu - *last_cpu_ < kLeastWait;
  last_cpu_ = cpu;
  return {.exceeded = false,
          .look_again = now + std::max<Duration>(budget_ - used, stood_still ? budget_ / 16 : Duration(kLeastWait))};
}

}  // namespace holdfast::supervisor
