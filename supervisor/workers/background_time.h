// Limits the time that workers work without an open call, on timers that a module has set and left behind. No client
// waits for the results of that work, so it gets little time. Each worker may use a burst, enough to finish what it
// began, and after that a small share. All workers together have a share that does not grow with their number. A
// worker that is past its share is stopped. It continues when it is the next to get a slice, or when it is called.
// Pure: the caller passes in readings and the time.
//
// A worker is at work while it is on a CPU or waits for one. What disturbs other processes is how many workers are at
// work, even on a busy machine where each of them gets next to no CPU time.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>
#include <utility>

#include "supervisor/scheduler/ids.h"

namespace holdfast::supervisor {

class BackgroundTime {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  // How much one worker may use before it is stopped, and the share of passing time that it regains.
  static constexpr Duration kBurst = std::chrono::milliseconds(300);
  static constexpr int kShareOfOne = 10;  // a tenth of the time that passes
  // The limits of all workers together.
  static constexpr Duration kBurstOfAll = std::chrono::milliseconds(500);
  static constexpr int kShareOfAll = 5;
  // While all workers together are past their limit, a worker is not stopped if it has used at most this much more
  // than its part of their share.
  static constexpr Duration kFree = std::chrono::milliseconds(10);
  // A stopped worker continues once it, and all workers together, have this much left to use.
  static constexpr Duration kTurn = std::chrono::milliseconds(50);

  // Records that the worker was at work for `time` more. True: the caller must stop the worker, which counts as
  // stopped from now on.
  bool worked(WorkerId worker, Duration time, TimePoint now) {
    all_.add(time, now, kShareOfAll);
    Account& account = accounts_[worker];
    account.spent.add(time, now, kShareOfOne);
    account.of_its_part.add(time, now, kShareOfAll * static_cast<int>(accounts_.size()));
    if (account.stopped) return false;
    const bool is_past_its_own = account.spent.value > kBurst;
    const bool is_past_that_of_all = all_.value > kBurstOfAll && account.of_its_part.value > kFree;
    if (!is_past_its_own && !is_past_that_of_all) return false;
    account.stopped = true;
    stopped_.push_back(worker);
    return true;
  }

  // The worker was called: it no longer counts as stopped. The time that it has used still counts.
  void called(WorkerId worker) {
    const auto found = accounts_.find(worker);
    if (found == accounts_.end() || !std::exchange(found->second.stopped, false)) return;
    std::erase(stopped_, worker);
  }

  // The worker is gone.
  void forget(WorkerId worker) {
    called(worker);
    accounts_.erase(worker);
  }

  // A stopped worker that the caller must let continue: of those that have time left, the one that was stopped first.
  // It counts as running from now on. Nothing: none may continue yet.
  std::optional<WorkerId> next_turn(TimePoint now) {
    if (stopped_.empty()) return std::nullopt;
    all_.add({}, now, kShareOfAll);
    if (all_.value > kBurstOfAll - kTurn) return std::nullopt;
    for (auto at = stopped_.begin(); at != stopped_.end(); ++at) {
      Account& account = accounts_[*at];
      account.spent.add({}, now, kShareOfOne);
      if (account.spent.value > kBurst - kTurn) continue;
      const WorkerId worker = *at;
      account.stopped = false;
      stopped_.erase(at);
      return worker;
    }
    return std::nullopt;
  }

  // Whether next_turn() is worth asking again.
  bool any_stopped() const { return !stopped_.empty(); }

 private:
  // Time that was used and not regained yet.
  struct Spent {
    Duration value{};
    TimePoint seen{};
    void add(Duration time, TimePoint now, int share) {
      const Duration back = seen == TimePoint{} ? Duration::zero() : (now - seen) / share;
      value = std::max(value - std::max(back, Duration::zero()), Duration::zero()) + time;
      seen = now;
    }
  };
  struct Account {
    Spent spent;
    Spent of_its_part;  // against its part of the share of all
    bool stopped = false;
  };

  Spent all_;
  std::unordered_map<WorkerId, Account> accounts_;
  std::deque<WorkerId> stopped_;  // in the order in which they were stopped
};

}  // namespace holdfast::supervisor
