// What waits for a turn between a module's calls, in the order in which it is to have one. Each thing that waits has an
// owner; whose things were at work for the least time comes first, and those of one owner keep their order. (Start-time
// fair queueing: P. Goyal et al., SIGCOMM 1996.) Knows no JavaScript and no clock.
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
    // Whoever had nothing to do has saved nothing up.
    queue.time = std::max(queue.time, now_);
    line_up(owner, queue);
  }

  // Nothing: none waits. took() is to be called before the next is taken.
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

  // For how long the one that was taken last was at work; without one, nothing happens.
  void took(Duration time) {
    if (!running_) return;
    const Owner owner = *std::exchange(running_, std::nullopt);
    Queue& queue = queues_.at(owner);
    queue.time += time;
    if (!queue.items.empty()) line_up(owner, queue);
    if (size_ > 0) return;
    // Nobody waited for what was done: all begin anew.
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
    std::uint64_t arrival;  // of those with the same time, who came first
    Owner owner;
    auto operator<=>(const Place&) const = default;
  };

  void line_up(Owner owner, const Queue& queue) { order_.insert({queue.time, arrivals_++, owner}); }

  std::unordered_map<Owner, Queue> queues_;  // of those who have had a turn since somebody waits
  std::set<Place> order_;                    // who has something that waits, but for running_
  std::optional<Owner> running_;             // whose turn was taken, and not told yet
  Duration now_{};                           // the time of whoever had the last turn, before it
  std::uint64_t arrivals_ = 0;
  std::size_t size_ = 0;
};

}  // namespace holdfast::worker
