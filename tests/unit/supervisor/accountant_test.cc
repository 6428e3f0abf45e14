// The accountant alone, and against a plain model of its rules in a million random steps:
//   HOLDFAST_SEED=17 build/tests/unit/simulation_tests --test-case='*accountant*'
#include "supervisor/shares/accountant.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace holdfast::supervisor {
namespace {

using TimePoint = std::chrono::steady_clock::time_point;

TimePoint at(std::int64_t seconds) { return TimePoint(std::chrono::seconds(seconds)); }

struct Spender {
  Spender(Accountant<Spender>& accountant, UserId user) : member(accountant, user), account(member, *this) {}
  Accountant<Spender>::Member member;
  Accountant<Spender>::Account account;
};

TEST_CASE("a user may use its bound, and what is left is for others") {
  Accountant<Spender> accountant({.total = 100, .per_user = 75});
  Spender greedy(accountant, UserId{1}), late(accountant, UserId{2});
  CHECK(accountant.request(greedy.member, 75).granted);
  greedy.account.use(75, at(1));
  const auto more = accountant.request(greedy.member, 1);
  CHECK_FALSE(more.granted);
  CHECK(more.gives_way == &greedy);
  CHECK(accountant.request(late.member, 25).granted);
  late.account.use(25, at(2));
  CHECK(accountant.used() == 100);
}

TEST_CASE("the heaviest user gives way to a user below its share and only to itself otherwise") {
  Accountant<Spender> accountant({.total = 100, .per_user = 75});
  Spender first(accountant, UserId{1}), second(accountant, UserId{2}), third(accountant, UserId{3});
  first.account.use(60, at(1));
  second.account.use(40, at(2));
  CHECK(accountant.request(third.member, 10).gives_way == &first);
  CHECK(accountant.request(second.member, 10).gives_way == &first);
  CHECK(accountant.request(second.member, 30).gives_way == &second);
  CHECK(accountant.request(first.member, 10).gives_way == &first);
}

TEST_CASE("the account of a user that is longest without progress gives way whatever its size") {
  Accountant<Spender> accountant({.total = 100, .per_user = 100});
  Spender small(accountant, UserId{1}), large(accountant, UserId{1});
  small.account.use(10, at(1));
  large.account.use(91, at(2));
  CHECK(accountant.over_bounds(large.account) == &small);
  small.account.made_progress(at(3));
  CHECK(accountant.over_bounds(large.account) == &large);
}

TEST_CASE("an account that is at work gives way after those that are not, and never to its own user") {
  Accountant<Spender> accountant({.total = 4, .per_user = 3});
  Spender busy(accountant, UserId{1}), idle(accountant, UserId{1}), other(accountant, UserId{2});
  busy.account.use(1, at(1));
  idle.account.use(2, at(2));
  busy.account.set_at_work(true);
  CHECK(accountant.request(idle.member, 1).gives_way == &idle);
  idle.account.set_at_work(true);
  CHECK(accountant.request(idle.member, 1).gives_way == nullptr);
  other.account.use(1, at(3));
  CHECK(accountant.request(other.member, 1).gives_way == &busy);
}

TEST_CASE("an account that uses a negligible amount is counted and does not give way") {
  Accountant<Spender> accountant({.total = 10, .per_user = 10, .negligible = 4});
  Spender small(accountant, UserId{1}), large(accountant, UserId{1});
  small.account.use(4, at(1));
  large.account.use(5, at(2));
  CHECK(accountant.used() == 9);
  CHECK(accountant.request(small.member, 2).gives_way == &large);
  CHECK(accountant.without_progress_since(at(9)) == std::vector<Spender*>{&large});
}

TEST_CASE("what a destroyed holder used is free again") {
  Accountant<Spender> accountant({.total = 10, .per_user = 10});
  {
    Spender gone(accountant, UserId{1});
    gone.account.use(10, at(1));
  }
  CHECK(accountant.used() == 0);
  Spender next(accountant, UserId{1});
  CHECK(accountant.request(next.member, 10).granted);
}

// --- simulation ----------------------------------------------------------------------------------------------------

// Records each account's use in the plainest way, and checks each decision of the accountant against the rules.
class World {
 public:
  explicit World(std::uint64_t seed) : random_(seed) {
    total_ = 50 + below(1000);
    per_user_ = total_ - below(total_ / 2);
    negligible_ = below(3) == 0 ? below(5) : 0;
    users_ = 1 + below(8);
    accountant_.emplace(ResourceBounds{.total = total_, .per_user = per_user_, .negligible = negligible_});
  }

  void step() {
    now_ += std::chrono::milliseconds(below(50));
    const std::uint64_t choice = below(100);
    if (spenders_.size() < 3 || choice < 8) return come();
    Spender& spender = *some();
    if (choice < 14) return leave(spender);
    if (choice < 20) return spender.account.set_at_work(flip(spender));
    if (choice < 35) return progress(spender);
    if (choice < 50) return use(spender, spender.account.used() / 2);
    if (choice < 75) return ask(spender, 1 + below(total_ / 8));
    take(spender, 1 + below(total_ / 8));
  }

  // Every sum equals one that is computed anew.
  void check_sums() {
    std::uint64_t all = 0;
    for (const auto& [user, used] : sums()) all += used;
    REQUIRE(accountant_->used() == all);
    for (const auto& spender : spenders_) REQUIRE(spender->member.used() == sums()[spender->member.user()]);
  }

  std::uint64_t gave_way = 0, refused = 0, granted = 0;

 private:
  struct State {
    TimePoint since;
    std::uint64_t order = 0;
    bool at_work = false;
  };

  std::uint64_t below(std::uint64_t bound) { return bound == 0 ? 0 : random_() % bound; }
  Spender* some() { return std::next(spenders_.begin(), static_cast<std::ptrdiff_t>(below(spenders_.size())))->get(); }

  std::map<UserId, std::uint64_t> sums() const {
    std::map<UserId, std::uint64_t> sums;
    for (const auto& spender : spenders_) sums[spender->member.user()] += spender->account.used();
    return sums;
  }

  void come() {
    if (spenders_.size() > 40) return;
    spenders_.push_back(std::make_unique<Spender>(*accountant_, UserId{static_cast<uid_t>(1 + below(users_))}));
    states_[spenders_.back().get()] = {};
  }
  void leave(Spender& spender) {
    states_.erase(&spender);
    std::erase_if(spenders_, [&](const auto& other) { return other.get() == &spender; });
  }
  bool flip(Spender& spender) {
    State& state = states_[&spender];
    state.at_work = !state.at_work;
    state.order = ++last_order_;
    return state.at_work;
  }
  void progress(Spender& spender) {
    states_[&spender].order = ++last_order_;
    spender.account.made_progress(now_);
  }
  void use(Spender& spender, std::uint64_t amount) {
    if (spender.account.used() <= negligible_ && amount > negligible_) states_[&spender].order = ++last_order_;
    spender.account.use(amount, now_);
  }

  // Checks the account that has to give way: it belongs to the heaviest user, and it is the one of that user without
  // progress for the longest.
  void check_gives_way(const Spender& requester, const Spender& chosen, std::uint64_t amount) {
    const auto sums_now = sums();
    const UserId user = chosen.member.user();
    REQUIRE(chosen.account.used() > negligible_);
    const State& state = states_.at(&chosen);
    for (const auto& other : spenders_) {
      if (other->member.user() != user || other->account.used() <= negligible_) continue;
      const State& its = states_.at(other.get());
      if (its.at_work == state.at_work) REQUIRE(its.order >= state.order);
      if (state.at_work) REQUIRE(its.at_work);
    }
    if (user == requester.member.user()) return;
    REQUIRE(sums_now.at(user) >= sums_now.at(requester.member.user()) + amount);
    // The user is over its share, which is the total divided by the number of users.
    REQUIRE(sums_now.at(user) * sums_now.size() >= accountant_->used());
  }

  // Requests an amount that the accountant may refuse.
  void ask(Spender& spender, std::uint64_t amount) {
    for (;;) {
      const auto ruling = accountant_->request(spender.member, amount);
      const auto sums_now = sums();
      const std::uint64_t wanted = sums_now.at(spender.member.user()) + amount;
      if (ruling.granted) {
        REQUIRE(wanted <= per_user_);
        REQUIRE(accountant_->used() + amount <= total_);
        ++granted;
        return use(spender, spender.account.used() + amount);
      }
      // A user within its share is never refused, and never has to give way, because of what others use.
      if (ruling.gives_way == nullptr || ruling.gives_way->member.user() == spender.member.user()) {
        const bool within_bound = wanted <= per_user_;
        const bool within_share = wanted * sums_now.size() < total_;
        if (within_bound && within_share) {
          // Exception: the others use only pieces that are negligible.
          for (const auto& other : spenders_) {
            if (sums_now.at(other->member.user()) > wanted) REQUIRE(other->account.used() <= negligible_);
          }
        }
      }
      if (ruling.gives_way == nullptr) {
        ++refused;
        return;
      }
      check_gives_way(spender, *ruling.gives_way, amount);
      give_way(*ruling.gives_way, &spender);
      if (states_.find(&spender) == states_.end()) return;
    }
  }

  // Uses an amount first, as for resources that are noticed only when they are there.
  void take(Spender& spender, std::uint64_t amount) {
    use(spender, spender.account.used() + amount);
    while (Spender* chosen = accountant_->over_bounds(spender.account)) {
      check_gives_way(spender, *chosen, 0);
      const bool was_itself = chosen == &spender;
      give_way(*chosen, nullptr);
      if (was_itself) return;
    }
    if (negligible_ == 0) {
      REQUIRE(accountant_->used() <= total_ + amount);
      REQUIRE(spender.member.used() <= per_user_);
    }
  }

  void give_way(Spender& spender, const Spender* kept) {
    ++gave_way;
    if (&spender != kept && below(2) == 0) return leave(spender);
    use(spender, 0);
  }

  std::mt19937_64 random_;
  std::uint64_t total_ = 0, per_user_ = 0, negligible_ = 0, users_ = 0;
  TimePoint now_{};
  std::optional<Accountant<Spender>> accountant_;
  std::list<std::unique_ptr<Spender>> spenders_;
  std::map<const Spender*, State> states_;
  std::uint64_t last_order_ = 0;
};

TEST_CASE("whatever users do, the accountant keeps its rules: a million steps") {
  constexpr std::uint64_t kSteps = 5000;
  std::uint64_t first = 1, last = 200;
  if (const char* seed = std::getenv("HOLDFAST_SEED")) first = last = std::strtoull(seed, nullptr, 10);
  std::uint64_t gave_way = 0, refused = 0, granted = 0;
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    CAPTURE(seed);
    World world(seed);
    for (std::uint64_t step = 0; step < kSteps; ++step) {
      CAPTURE(step);
      world.step();
      if (step % 64 == 0) world.check_sums();
    }
    gave_way += world.gave_way;
    refused += world.refused;
    granted += world.granted;
  }
  // A world in which nothing runs short proves nothing.
  CHECK(gave_way > (last - first + 1) * 100);
  CHECK(refused > 0);
  CHECK(granted > gave_way / 10);
}

}  // namespace
}  // namespace holdfast::supervisor
