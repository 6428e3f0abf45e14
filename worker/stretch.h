// Marks on the shared page that JavaScript is on the CPU, from construction to destruction.
#pragma once

#include <time.h>

#include <cstdint>

#include "ipc/shared_page.h"

namespace holdfast::worker {

class Stretch {
 public:
  // `running` is a call's id, SharedPage::kLoading, or 0 for what belongs to no call.
  Stretch(ipc::SharedPage& page, std::uint64_t running) : page_(page) {
    if (running == ipc::SharedPage::kNothing) running = ipc::SharedPage::kBackground;
    timespec now;
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const auto nanos = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
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
