// Owners in the order of their turns, by what their turns cost: each has the same share of what is spent while they
// wait. It is start-time fair queueing with virtual times (Goyal, Vin, Cheng 1996), where a cost is known only after
// its turn: an owner's time goes on by what its turns cost, and the one whose time is least is next. Times that differ
// by less than a quantum are alike; owners with such times have their turns one after the other.
//
// Pure. Operations take time that grows with the logarithm of the owners.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <tuple>

namespace holdfast::supervisor {

using VirtualTime = std::chrono::steady_clock::duration;

// An owner's place in a FairOrder<Owner>, a public member `place` of the owner.
struct FairPlace {
  VirtualTime time{};
  std::uint64_t turn = 0;   // of those with like times the lowest is next
  std::uint64_t ahead = 0;  // how much of the owner's goes before all others, whatever it costs
  bool is_in = false;
};

template <typename Owner>
class FairOrder {
 public:
  static constexpr VirtualTime kQuantum = std::chrono::milliseconds(1);
  // Nobody gets further behind than this.
  static constexpr VirtualTime kMostBehind = std::chrono::seconds(10);

  bool empty() const { return order_.empty(); }

  // Puts it in: after those with like times, and not before the ones that are served now.
  void insert(Owner& owner) {
    owner.place.time = std::max(owner.place.time, now_);
    put_last(owner);
  }
  void erase(Owner& owner) {
    order_.erase(key_of(owner.place));
    owner.place.is_in = false;
  }

  // The one whose turn it is. There must be one.
  Owner& first() const { return *order_.begin()->second; }

  // The first in the order of turns for which `is_it` says so; null: none. It must not change the order.
  template <typename IsIt>
  Owner* find(const IsIt& is_it) const {
    for (const auto& [key, owner] : order_) {
      if (is_it(*owner)) return owner;
    }
    return nullptr;
  }

  // Others are served before it, though it has had less: it has no more turns later for that.
  void pass_by(Owner& owner) {
    order_.erase(key_of(owner.place));
    owner.place.time = std::max(owner.place.time, now_);
    order_.emplace(key_of(owner.place), &owner);
  }

  // It has had a turn, and is in.
  void served(Owner& owner) {
    erase(owner);
    // What went before others for another reason says nothing of how far these are.
    if (owner.place.ahead == 0) now_ = std::max(now_, owner.place.time);
    put_last(owner);
  }

  // The first one has nothing to be served: nobody comes before where it is.
  void pass_over(const Owner& owner) {
    if (owner.place.ahead == 0) now_ = std::max(now_, owner.place.time);
  }

  // A turn of the owner has cost this.
  void charge(Owner& owner, VirtualTime cost) {
    const auto change = [&] { owner.place.time = std::min(owner.place.time + cost, now_ + kMostBehind); };
    if (!owner.place.is_in) return change();
    order_.erase(key_of(owner.place));
    change();
    order_.emplace(key_of(owner.place), &owner);
  }

  // So much of the owner's, which is in, goes before all others.
  void set_ahead(Owner& owner, std::uint64_t ahead) {
    order_.erase(key_of(owner.place));
    owner.place.ahead = ahead;
    order_.emplace(key_of(owner.place), &owner);
  }

  // Whether it has had more than what is served now, which must be remembered if it leaves.
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
  VirtualTime now_{};  // of what was served last
  std::uint64_t last_turn_ = 0;
};

}  // namespace holdfast::supervisor
