// The timers that a module has set. A timer waits until it is due and then for its turn; until its turn it can be
// cleared. Knows no JavaScript and no clock.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

namespace holdfast::worker {

// `Action` is what to do when a timer is due; the timer owns it.
template <typename Action>
class Timers {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  // Sets a timer and returns its id, which is more than 0, fits into a signed 32-bit number, and is not the id of
  // another timer that is still set.
  std::uint32_t set(TimePoint due, std::optional<Duration> repeat, Action action) {
    do {
      last_id_ = last_id_ == kMaxId ? 1 : last_id_ + 1;
    } while (by_id_.contains(last_id_));
    wait(last_id_, by_id_.emplace(last_id_, Timer{repeat, std::move(action), {}, false}).first->second, due);
    return last_id_;
  }

  // An id that is not set is ignored.
  void clear(std::uint32_t id) {
    if (const auto found = by_id_.find(id); found != by_id_.end()) {
      if (found->second.waits) by_time_.erase(found->second.place);
      by_id_.erase(found);
    }
  }

  // When the earliest timer is due that next_due_at() has not returned yet; nothing if there is none.
  std::optional<TimePoint> next_due() const {
    if (by_time_.empty()) return std::nullopt;
    return by_time_.begin()->first.first;
  }

  // The id and the action of the earliest timer that is due at `now`; nothing if there is none. Each timer is returned
  // once; then it waits for take(). The timer keeps the action.
  std::optional<std::pair<std::uint32_t, const Action*>> next_due_at(TimePoint now) {
    if (by_time_.empty() || by_time_.begin()->first.first > now) return std::nullopt;
    const std::uint32_t id = by_time_.begin()->second;
    by_time_.erase(by_time_.begin());
    Timer& timer = by_id_.at(id);
    timer.waits = false;
    return std::pair(id, &timer.action);
  }

  // The action of a timer that next_due_at() returned; nothing if it has been cleared since. A repeating timer is set
  // again for `align(now + its interval)`, so a late one does not fire several times at once; its action is copied by
  // `copy(action)`.
  template <typename Copy, typename Align>
  std::optional<Action> take(std::uint32_t id, TimePoint now, Copy copy, Align align) {
    const auto found = by_id_.find(id);
    if (found == by_id_.end() || found->second.waits) return std::nullopt;
    Timer& timer = found->second;
    if (timer.repeat) {
      wait(id, timer, align(now + *timer.repeat));
      return copy(timer.action);
    }
    Action action = std::move(timer.action);
    by_id_.erase(found);
    return action;
  }

  std::size_t size() const { return by_id_.size(); }

 private:
  static constexpr std::uint32_t kMaxId = std::numeric_limits<std::int32_t>::max();

  // Timers due at the same time fire in the order in which they were set.
  using Key = std::pair<TimePoint, std::uint64_t>;
  using ByTime = std::map<Key, std::uint32_t>;
  struct Timer {
    std::optional<Duration> repeat;
    Action action;
    ByTime::iterator place;  // in by_time_, while it waits until it is due
    bool waits;
  };

  void wait(std::uint32_t id, Timer& timer, TimePoint due) {
    timer.place = by_time_.emplace(Key{due, order_++}, id).first;
    timer.waits = true;
  }

  ByTime by_time_;
  std::unordered_map<std::uint32_t, Timer> by_id_;
  std::uint32_t last_id_ = 0;
  std::uint64_t order_ = 0;
};

}  // namespace holdfast::worker
