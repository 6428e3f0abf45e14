#include "supervisor/stretch_watch.h"

#include <algorithm>

namespace holdfast::supervisor {
namespace {

// Whatever a page says, nobody is looked at more often.
constexpr std::chrono::milliseconds kLeastWait{1};

}  // namespace

StretchWatch::Verdict StretchWatch::look(const StretchView& view, TimePoint now,
                                         const std::function<std::optional<Duration>()>& cpu_time) {
  if (view.running == 0) {
    seen_count_ = 0;
    return {.exceeded = false, .look_again = now + budget_ / 2};
  }
  // A start in the future is a lie, which must not buy time; one in the distant past must not cost any.
  const TimePoint start = std::clamp(view.start, now - 2 * budget_, now);
  const Duration elapsed = now - start;
  if (elapsed < budget_ / 2) return {.exceeded = false, .look_again = start + budget_ / 2};
  if (view.count != seen_count_ || view.count == 0) {
    seen_count_ = view.count;
    seen_elapsed_ = elapsed;
    seen_cpu_ = cpu_time();
  }
  Duration used = elapsed;
  if (seen_cpu_) {
    if (const auto cpu = cpu_time()) used = std::min(elapsed, seen_elapsed_ + (*cpu - *seen_cpu_));
  }
  if (used >= budget_) return {.exceeded = true};
  return {.exceeded = false, .look_again = now + std::max<Duration>(budget_ - used, kLeastWait)};
}

}  // namespace holdfast::supervisor
