// For how long a worker is at work on each call. The time of a relayed call is reported with its answer, and earlier
// once it is long; time on what an answered call left behind is charged to that call's caller; time on what belongs to
// no call goes to the shared page. The calls of the direct line are charged to no caller.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <unordered_map>

#include "ipc/frame.h"
#include "ipc/shared_page.h"

namespace holdfast::worker {

class RunTimes {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::nanoseconds;

  // Reports are written to `out`. Neither is owned; both must outlive this object.
  RunTimes(ipc::OutputBuffer& out, ipc::SharedPage& page) : out_(out), page_(page) {}

  // A stretch of this call begins; SharedPage::kLoading and 0 are none. Charge the time before first.
  void begin(std::uint64_t call, TimePoint now);

  // Charges the time since begin(), or since the answer that came after it. run_of(call) returns a pointer to the time
  // of an open call since its last report, which is the caller's; null if the call is not open.
  template <typename RunOf>
  void charge_up_to(TimePoint now, RunOf run_of) {
    if (!uncharged_) return;
    charge(uncharged_->call, now - uncharged_->since, run_of(uncharged_->call));
    uncharged_.reset();
  }

  // The time to report with the answer of an open call, whose time since the last report is `run`. Time after this
  // moment is charged to the call's caller.
  Duration at_answer(std::uint64_t call, Duration run);

  // Whether the last stretch since the last call of this was for a call of the direct line.
  bool take_was_lines();

 private:
  struct Uncharged {
    std::uint64_t call;
    TimePoint since;
  };

  void charge(std::uint64_t call, Duration time, Duration* run);

  ipc::OutputBuffer& out_;
  ipc::SharedPage& page_;
  std::optional<Uncharged> uncharged_;  // the latest stretch, and since when its time is not charged yet
  bool was_lines_ = false;
  Duration unclaimed_time_{};
  // By caller: time at work on what the caller's answered calls left behind, since the last report.
  std::unordered_map<std::uint32_t, Duration> left_run_;
};

}  // namespace holdfast::worker
