// The time for which workers are at work without an open call, by timers that a module has set and left behind. Nobody
// waits for what they compute, so that they are given little time: each may have as much as it takes to finish what it
// began, and after that a small share; and all together have a share that does not grow with their number. Who is past
// its share is stopped, and goes on when its turn comes, or when it is called. Pure: readings and the time go in.
//
// To be at work is to be on a CPU or to wait for one: what disturbs others is how many there are, on a busy machine
// too, where each of them gets next to nothing.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>
#include <utility>

#include "supervisor/ids.h"

namespace holdfast::supervisor {

class BackgroundTime {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  // What one may have before it is stopped, and what comes back of that.
  static constexpr Duration kBurst = std::chrono::milliseconds(300);
  static constexpr int kShareOfOne = 10;  // a tenth of the time that passes
  // The same for all together.
  static constexpr Duration kBurstOfAll = std::chrono::milliseconds(500);
  static constexpr int kShareOfAll = 5;
  // Who has had no more than this beyond its part of that is not stopped because others have used up what is for all.
  static constexpr Duration kFree = std::chrono::milliseconds(10);
  // What one that was stopped is given when its turn comes.
  static constexpr Duration kTurn = std::chrono::milliseconds(50);

  // The worker was at work for so much longer. Whether it is to be stopped; it is then taken for stopped.
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

  // It was called: it is not stopped any more. What it has had still counts.
  void called(WorkerId worker) {
    const auto found = accounts_.find(worker);
    if (found == accounts_.end() || !std::exchange(found->second.stopped, false)) return;
    std::erase(stopped_, worker);
  }

  // It is gone.
  void forget(WorkerId worker) {
    called(worker);
    accounts_.erase(worker);
  }

  // One that is to go on, the one that was stopped first before others; it is then taken for running.
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
  // What was had and has not come back yet.
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
    Spent of_its_part;  // of what is for all
    bool stopped = false;
  };

  Spent all_;
  std::unordered_map<WorkerId, Account> accounts_;
  std::deque<WorkerId> stopped_;  // in the order in which they were
};

}  // namespace holdfast::supervisor
