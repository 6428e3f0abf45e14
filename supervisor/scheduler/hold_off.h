// Keeps a module that fails again and again from taking workers: after a few failures in a row the module is held off
// for some time, which doubles with each further failure. Pure.
//
// A failure is a worker that ended, or could not load its module, through the module's own fault. Failures count as a
// row until the module has answered enough calls or has not failed for long enough.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

namespace holdfast::supervisor {

struct HoldOffOptions {
  using Duration = std::chrono::steady_clock::duration;
  // This many failures in a row have no consequence: someone who repairs a module wants to try it at once, and one call
  // that is to blame for its worker's end does not condemn all calls.
  unsigned free_failures = 3;
  Duration first_delay = std::chrono::milliseconds(100);
  Duration longest_delay = std::chrono::seconds(30);  // 0: a module is never held off
  // This many answers without a failure end the row, and so does this much time.
  std::uint64_t healthy_answers = 100;
  Duration healthy_time = std::chrono::minutes(10);
};

class HoldOff {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  void failed(const HoldOffOptions& options, TimePoint now) {
    if (failures_ > 0 && now - failed_at_ > options.healthy_time) reset();
    failed_at_ = now;
    answers_ = 0;
    ++failures_;
    if (failures_ <= options.free_failures) return;
    const unsigned doublings = std::min(failures_ - options.free_failures - 1, 20U);
    until_ = now + std::min(options.longest_delay, options.first_delay * (std::int64_t{1} << doublings));
  }

  // A worker of the module has answered a call.
  void answered(const HoldOffOptions& options) {
    if (failures_ > 0 && ++answers_ >= options.healthy_answers) reset();
  }

  void reset() { *this = HoldOff(); }

  // When the module last failed; the clock's epoch if it never did.
  TimePoint failed_at() const { return failed_at_; }

  // When the hold-off ends; nullopt: the module is not held off.
  std::optional<TimePoint> until(TimePoint now) const {
    if (until_ <= now) return std::nullopt;
    return until_;
  }

 private:
  unsigned failures_ = 0;  // in a row
  std::uint64_t answers_ = 0;
  TimePoint failed_at_{};
  TimePoint until_ = TimePoint::min();
};

}  // namespace holdfast::supervisor
