// A fair queue of what runs between a module's calls: timers, messages and the like. Each item has an owner. The owner
// whose items have run for the least time comes first; items of one owner keep their order. This is start-time fair
// queueing (P. Goyal et al., SIGCOMM 1996). Knows no JavaScript and no clock.
#pragma once

#include <algorithm>
#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

namespace holdfast::worker {

template <typename Item>
class Turns {
 public:
  using Owner = std::uint32_t;
  using Duration = std::chrono::steady_clock::duration;

  void push(Owner owner, Item item) {
    Queue& queue = queues_[owner];
    const bool had_none = queue.items.empty();
    queue.items.push_back(std::move(item));
    ++size_;
    if (!had_none || owner == running_) return;
    // An owner that had nothing to run does not save up time.
    queue.time = std::max(queue.time, now_);
    line_up(owner, queue);
  }

  // Removes and returns the next item; nothing if there is none. Call took() before the next take().
  std::optional<Item> take() {
    if (order_.empty()) return std::nullopt;
    const auto first = order_.extract(order_.begin());
    running_ = first.value().owner;
    now_ = first.value().time;
    auto& items = queues_.at(*running_).items;
    Item item = std::move(items.front());
    items.pop_front();
    --size_;
    return item;
  }

  // Charges the owner of the item that was taken last for `time`. Does nothing if no item was taken since the last
  // call.
  void took(Duration time) {
    if (!running_) return;
    const Owner owner = *std::exchange(running_, std::nullopt);
    Queue& queue = queues_.at(owner);
    queue.time += time;
    if (!queue.items.empty()) line_up(owner, queue);
    if (size_ > 0) return;
    // No other owner waited, so no owner owes time: all start again from zero.
    queues_.clear();
    now_ = {};
  }

  std::size_t size() const { return size_; }

 private:
  struct Queue {
    std::deque<Item> items;
    Duration time{};
  };
  struct Place {
    Duration time;
    std::uint64_t arrival;  // breaks ties: first come, first served
    Owner owner;
    auto operator<=>(const Place&) const = default;
  };

  void line_up(Owner owner, const Queue& queue) { order_.insert({queue.time, arrivals_++, owner}); }

  std::unordered_map<Owner, Queue> queues_;  // of all owners that had items since the queue was last empty
  std::set<Place> order_;                    // the owners that have items, without running_
  std::optional<Owner> running_;             // owner of the item that was taken last, until took()
  Duration now_{};                           // the virtual time: the time of the owner that was served last
  std::uint64_t arrivals_ = 0;
  std::size_t size_ = 0;
};

}  // namespace holdfast::worker
