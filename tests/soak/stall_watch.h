// Whether the machine itself holds the processes up, as one that is busy with other things does: then calls come to
// their deadlines through nobody's fault, and workers are stopped for them.
#pragma once

#include <atomic>
#include <chrono>
#include <thread>

#include "tests/soak/kinds.h"

namespace holdfast::soak {

class StallWatch {
 public:
  // Half of the shortest budget that a call has (kFlags in chaos.cc): short of it, nobody should suffer.
  static constexpr std::chrono::milliseconds kStall{100};

  explicit StallWatch(std::atomic<unsigned>& disturbances) : disturbances_(disturbances) {}

  // Until told to stop: notes whenever this thread, which does nothing else, comes to run so much too late.
  void perform(const std::atomic<bool>& stop) {
    using Clock = std::chrono::steady_clock;
    constexpr std::chrono::milliseconds kPause{5};
    for (auto before = Clock::now(); !stop;) {
      std::this_thread::sleep_for(kPause);
      const auto now = Clock::now();
      if (now - before > kPause + kStall) {
        disturbances_ |= kMachineStalled;
        ++stalls_;
      }
      before = now;
    }
  }

  std::size_t stalls() const { return stalls_; }

 private:
  std::atomic<unsigned>& disturbances_;
  std::size_t stalls_ = 0;
};

}  // namespace holdfast::soak
