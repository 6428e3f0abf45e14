// The timers that a module has set. Keeps them in the order in which they are due; knows no JavaScript and no clock.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

namespace holdfast::worker {

// `Action` is what is to be done when a timer is due; owned by the timer.
template <typename Action>
class Timers {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  // The id is positive as a signed 32-bit number, too, and never that of another timer that is still set.
  std::uint32_t set(TimePoint due, std::optional<Duration> repeat, Action action) {
    do {
      last_id_ = last_id_ == kMaxId ? 1 : last_id_ + 1;
    } while (by_id_.contains(last_id_));
    insert(last_id_, due, Timer{repeat, std::move(action)});
    return last_id_;
  }

  // An id that is not set is ignored.
  void clear(std::uint32_t id) {
    if (const auto found = by_id_.find(id); found != by_id_.end()) {
      by_time_.erase(found->second);
      by_id_.erase(found);
    }
  }

  std::optional<TimePoint> next_due() const {
    if (by_time_.empty()) return std::nullopt;
    return by_time_.begin()->first.first;
  }

  // Takes the earliest timer that is due at `now` and returns its action, or nothing. A repeating one is set again,
  // for `align(now + its interval)`: one that is late does not fire several times at once. `Action` must be copyable
  // through `copy(action)` for that.
  template <typename Copy, typename Align>
  std::optional<Action> take_due(TimePoint now, Copy copy, Align align) {
    if (by_time_.empty() || by_time_.begin()->first.first > now) return std::nullopt;
    auto node = by_time_.extract(by_time_.begin());
    const std::uint32_t id = node.mapped().first;
    Timer timer = std::move(node.mapped().second);
    by_id_.erase(id);
    if (!timer.repeat) return std::move(timer.action);
    Action action = copy(timer.action);
    insert(id, align(now + *timer.repeat), std::move(timer));
    return action;
  }

  std::size_t size() const { return by_id_.size(); }

 private:
  static constexpr std::uint32_t kMaxId = std::numeric_limits<std::int32_t>::max();

  struct Timer {
    std::optional<Duration> repeat;
    Action action;
  };
  // Timers due at the same time fire in the order in which they were set.
  using Key = std::pair<TimePoint, std::uint64_t>;
  using ByTime = std::map<Key, std::pair<std::uint32_t, Timer>>;

  void insert(std::uint32_t id, TimePoint due, Timer timer) {
    by_id_[id] = by_time_.emplace(Key{due, order_++}, std::pair{id, std::move(timer)}).first;
  }

  ByTime by_time_;
  std::unordered_map<std::uint32_t, typename ByTime::iterator> by_id_;
  std::uint32_t last_id_ = 0;
  std::uint64_t order_ = 0;
};

}  // namespace holdfast::worker
