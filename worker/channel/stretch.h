// Marks on the shared page that JavaScript is on the CPU, from construction to destruction.
#pragma once

#include <chrono>
#include <cstdint>

#include "ipc/shared_page.h"

namespace holdfast::worker {

class Stretch {
 public:
  // `running` is a call's id, SharedPage::kLoading, or 0 for what belongs to no call. `began` is the present time,
  // for a caller that has just read the clock.
  Stretch(ipc::SharedPage& page, std::uint64_t running,
          std::chrono::steady_clock::time_point began = std::chrono::steady_clock::now())
      : page_(page) {
    if (running == ipc::SharedPage::kNothing) running = ipc::SharedPage::kBackground;
    const std::chrono::nanoseconds since_boot = began.time_since_epoch();
    const auto nanos = static_cast<std::uint64_t>(since_boot.count());
    page_.stretch_count.store(page_.stretch_count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    page_.stretch_start.store(nanos, std::memory_order_relaxed);
    page_.running.store(running, std::memory_order_release);
  }
  ~Stretch() { page_.running.store(ipc::SharedPage::kNothing, std::memory_order_release); }
  Stretch(const Stretch&) = delete;
  Stretch& operator=(const Stretch&) = delete;

 private:
  ipc::SharedPage& page_;
};

}  // namespace holdfast::worker
