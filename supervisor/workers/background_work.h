// Finds out how long a worker worked without a call between two looks (background_time.h limits that). Pure.
//
// Work counts only if there was no call at either look or in between, because some work is always left to do after an
// answer. According to its page, the worker was at work all the time since its stretch began, whether it had a CPU or
// not. If the page lies, the kernel's count of CPU time still shows the work.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <utility>

#include "ipc/shared_page.h"
#include "supervisor/workers/module_load.h"
#include "supervisor/workers/stretch_watch.h"
#include "supervisor/workers/usage_meter.h"

namespace holdfast::supervisor {

class BackgroundWork {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  struct Finding {
    Duration worked{};        // without a call, since the last look
    bool is_at_work = false;  // without a call, or was since the last look: worth another look soon
  };

  // What the worker's meter and its page say now.
  Finding look(const UsageMeter& meter, const ModuleLoad& load, const StretchView& view, TimePoint now) {
    const bool had_no_call = meter.calls_begun() == std::exchange(calls_begun_, meter.calls_begun());
    const Duration used = meter.cpu_time() - std::exchange(cpu_time_, meter.cpu_time());
    const Duration elapsed = now - std::exchange(looked_at_, now);
    if (meter.calls() > 0 || !load.is_done()) return {};
    const bool runs = view.running != ipc::SharedPage::kNothing;
    const Duration worked = std::max(used, runs ? std::min(elapsed, now - view.start) : Duration::zero());
    return {.worked = had_no_call ? worked : Duration::zero(), .is_at_work = used > Duration::zero() || runs};
  }

  // The worker was halted, and goes on now.
  void went_on(TimePoint now) { looked_at_ = now; }

 private:
  // At the last look.
  TimePoint looked_at_{};
  std::uint64_t calls_begun_ = ~std::uint64_t{0};
  Duration cpu_time_{};
};

}  // namespace holdfast::supervisor
