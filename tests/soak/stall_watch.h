// Detects that the machine itself stalls holdfastd's processes because other programs keep it busy. Then innocent calls
// reach their deadlines, and workers are stopped for them.
#pragma once

#include <atomic>
#include <chrono>
#include <thread>

#include "tests/soak/kinds.h"

namespace holdfast::soak {

class StallWatch {
 public:
  // Half of the shortest budget of a call (kFlags in chaos.cc): shorter stalls should harm no call.
  static constexpr std::chrono::milliseconds kStall{100};

  explicit StallWatch(std::atomic<unsigned>& disturbances) : disturbances_(disturbances) {}

  // Sets kMachineStalled whenever this thread, which does nothing else, wakes up late by more than kStall. Returns
  // after `stop`.
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
