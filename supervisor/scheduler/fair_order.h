// Keeps owners in the order in which they are served, so that each gets the same share of what is spent while it waits.
// It is start-time fair queueing with virtual times (Goyal, Vin, Cheng 1996), except that a cost is known only after
// the owner was served: an owner's time advances by what it cost, and the owner with the least time is served next.
// Owners whose times differ by less than a quantum count as equal and are served round-robin.
//
// Pure. Operations take time logarithmic in the number of owners. All owners must outlive their stay in the order.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <tuple>

namespace holdfast::supervisor {

using VirtualTime = std::chrono::steady_clock::duration;

// An owner's place in a FairOrder<Owner>; the owner has it as a public member `place`.
struct FairPlace {
  VirtualTime time{};
  std::uint64_t turn = 0;   // among equal times the lowest is next
  std::uint64_t ahead = 0;  // how many of the owner's next items go before all others, whatever they cost
  bool is_in = false;
};

template <typename Owner>
class FairOrder {
 public:
  static constexpr VirtualTime kQuantum = std::chrono::milliseconds(1);
  // No owner's time gets further ahead of the current time than this.
  static constexpr VirtualTime kMostBehind = std::chrono::seconds(10);

  bool empty() const { return order_.empty(); }

  // Puts an owner in: after the owners with an equal time, and not before the current time.
  void insert(Owner& owner) {
    owner.place.time = std::max(owner.place.time, now_);
    put_last(owner);
  }
  void erase(Owner& owner) {
    order_.erase(key_of(owner.place));
    owner.place.is_in = false;
  }

  // The owner to be served next. There must be one.
  Owner& first() const { return *order_.begin()->second; }

  // The first owner in the order for which `is_it` returns true; null: there is none. `is_it` must not change the
  // order.
  template <typename IsIt>
  Owner* find(const IsIt& is_it) const {
    for (const auto& [key, owner] : order_) {
      if (is_it(*owner)) return owner;
    }
    return nullptr;
  }

  // To be called when others are served before this owner although it has had less: it gets no extra share for that
  // later.
  void pass_by(Owner& owner) {
    order_.erase(key_of(owner.place));
    owner.place.time = std::max(owner.place.time, now_);
    order_.emplace(key_of(owner.place), &owner);
  }

  // The owner, which is in, was served.
  void served(Owner& owner) {
    erase(owner);
    // An owner that goes ahead of all others tells nothing about the current time.
    if (owner.place.ahead == 0) now_ = std::max(now_, owner.place.time);
    put_last(owner);
  }

  // To be called when the first owner has nothing to be served: the current time advances to that owner's.
  void pass_over(const Owner& owner) {
    if (owner.place.ahead == 0) now_ = std::max(now_, owner.place.time);
  }

  // Serving the owner has cost this much. The owner may be in the order or not.
  void charge(Owner& owner, VirtualTime cost) {
    const auto change = [&] { owner.place.time = std::min(owner.place.time + cost, now_ + kMostBehind); };
    if (!owner.place.is_in) return change();
    order_.erase(key_of(owner.place));
    change();
    order_.emplace(key_of(owner.place), &owner);
  }

  // This many items of the owner, which is in, go before those of all others.
  void set_ahead(Owner& owner, std::uint64_t ahead) {
    order_.erase(key_of(owner.place));
    owner.place.ahead = ahead;
    order_.emplace(key_of(owner.place), &owner);
  }

  // Whether the owner has had more than the current time. If so, it must be remembered after it leaves the order.
  bool is_behind(const Owner& owner) const { return owner.place.time > now_; }

 private:
  using Key = std::tuple<bool, std::int64_t, std::uint64_t>;
  static Key key_of(const FairPlace& place) { return {place.ahead == 0, place.time / kQuantum, place.turn}; }

  void put_last(Owner& owner) {
    owner.place.turn = ++last_turn_;
    owner.place.is_in = true;
    order_.emplace(key_of(owner.place), &owner);
  }

  std::map<Key, Owner*> order_;
  VirtualTime now_{};  // the current time: that of the owner served last
  std::uint64_t last_turn_ = 0;
};

}  // namespace holdfast::supervisor
