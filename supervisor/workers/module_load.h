// How far a worker is with its module. Pure.
#pragma once

#include <chrono>
#include <optional>

namespace holdfast::supervisor {

class ModuleLoad {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  enum class Phase {
    none,  // it was given no module
    sent,  // it was given one, and has not said what became of it
    done,  // it has loaded it, or has said why it could not
  };

  // An honest worker's load ends at its stretch budget, which counts CPU time. This limit is by the clock, for a worker
  // that hides that it does nothing.
  static constexpr std::chrono::minutes kLongest{2};

  void send(TimePoint now) {
    phase_ = Phase::sent;
    sent_at_ = now;
  }
  // The worker says that it has loaded the module, or that it could not. It was given one.
  void succeed(TimePoint now) {
    phase_ = Phase::done;
    loaded_at_ = now;
  }
  void fail() { phase_ = Phase::done; }

  Phase phase() const { return phase_; }
  bool is_done() const { return phase_ == Phase::done; }
  bool is_overdue(TimePoint now) const { return phase_ == Phase::sent && now > sent_at_ + kLongest; }
  // Nothing: it is not loaded.
  std::optional<TimePoint> loaded_at() const { return loaded_at_; }

 private:
  Phase phase_ = Phase::none;
  TimePoint sent_at_{};
  std::optional<TimePoint> loaded_at_;
};

}  // namespace holdfast::supervisor
