// Decides when a worker that has nothing to do gets a full look. Pure.
//
// Of idle workers, only the pages are looked at, and all at the same time: one wake-up for all of them, and no system
// call for each. As the page may lie, each idle worker also gets a full look now and then. Full looks become rarer
// while the kernel finds that the worker uses no CPU.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "supervisor/scheduler/ids.h"
#include "supervisor/workers/memory_watch.h"
#include "supervisor/workers/stretch_watch.h"

namespace holdfast::supervisor {

// Whether a worker has used a CPU between two readings of its CPU clock.
enum class CpuUse { none, some_or_unknown };

class IdleWatch {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  // The longest pause between two full looks. A worker's phase adds at most the same time again, so that different
  // workers are looked at at different times.
  static constexpr Duration kLongestPause = std::chrono::milliseconds(8000);
  static constexpr std::uint64_t kPhases = 16;

  // Whether a worker whose page says that it is idle needs no full look yet: the page shows no new stretch since the
  // last full look, and that look was not long ago.
  bool may_wait(const StretchView& view, TimePoint now) const { return view.count == stretches_ && now < next_at_; }

  // The worker got a full look now. `use`: since the look before.
  void looked(WorkerId worker, const StretchView& view, CpuUse use, TimePoint now) {
    const Duration longest = kLongestPause + static_cast<std::uint64_t>(worker) % kPhases * MemoryWatch::kLook;
    stretches_ = view.count;
    pause_ = use == CpuUse::none ? std::min(2 * pause_, longest) : MemoryWatch::kLook;
    next_at_ = now + pause_;
  }

 private:
  std::uint64_t stretches_ = 0;  // the page's count at the last full look
  TimePoint next_at_{};          // when the next one is due, whatever the page says
  Duration pause_{};
};

}  // namespace holdfast::supervisor
