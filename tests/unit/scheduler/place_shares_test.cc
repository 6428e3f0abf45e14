#include "supervisor/scheduler/place_shares.h"

#include <doctest/doctest.h>

#include <map>
#include <random>
#include <vector>

namespace holdfast::supervisor {
namespace {

constexpr UserId kOneUser{1}, kOtherUser{2};

// Takes places until the client has its share, and returns them.
std::vector<PlaceShares::Place> take_share(PlaceShares& shares, UserId user, ClientId client, std::size_t total) {
  std::vector<PlaceShares::Place> places;
  while (!shares.has_its_share(user, client, total)) places.push_back(shares.take(user, client));
  return places;
}

TEST_CASE("one client may have seven eighths of a user's places, and a user seven eighths of all") {
  PlaceShares shares;
  const auto first = take_share(shares, kOneUser, ClientId{1}, 128);
  CHECK(first.size() == 98);
  const auto second = take_share(shares, kOneUser, ClientId{2}, 128);
  CHECK(first.size() + second.size() == 111);
  const auto third = take_share(shares, kOneUser, ClientId{3}, 128);
  CHECK(first.size() + second.size() + third.size() == 112);
  // Another user still finds places, and some are left after that.
  CHECK(take_share(shares, kOtherUser, ClientId{4}, 128).size() == 13);
}

TEST_CASE("with fewer than eight places none is kept free") {
  for (std::size_t total = 1; total < 8; ++total) {
    PlaceShares shares;
    CHECK(take_share(shares, kOneUser, ClientId{1}, total).size() == total);
  }
}

TEST_CASE("places that are given back can be had again") {
  PlaceShares shares;
  auto places = take_share(shares, kOneUser, ClientId{1}, 16);
  const std::size_t share = places.size();
  places.pop_back();
  CHECK_FALSE(shares.has_its_share(kOneUser, ClientId{1}, 16));
  places.clear();
  CHECK(take_share(shares, kOneUser, ClientId{1}, 16).size() == share);
}

// Compares with a plain count of each client's places.
TEST_CASE("the check of a share is right at any time while thousands of clients come and go") {
  std::mt19937_64 random(1);
  PlaceShares shares;
  std::vector<std::pair<ClientId, PlaceShares::Place>> places;
  std::map<ClientId, std::size_t> used;
  std::map<UserId, std::size_t> used_by_user;
  constexpr std::size_t kTotal = 200;
  const auto user_of = [](ClientId client) { return UserId{static_cast<uid_t>(client) % 3}; };
  const auto share = [](std::size_t total, std::size_t of_others) {
    const std::size_t left = total - of_others;
    return left - left / 8;
  };
  for (int step = 0; step < 100'000; ++step) {
    const ClientId client{1 + random() % (random() % 2 == 0 ? 3 : 3000)};
    const UserId user = user_of(client);
    const std::size_t of_user = share(kTotal, places.size() - used_by_user[user]);
    const bool has_its_share =
        used_by_user[user] >= of_user || used[client] >= share(of_user, used_by_user[user] - used[client]);
    REQUIRE(shares.has_its_share(user, client, kTotal) == has_its_share);
    if (!has_its_share) {
      places.emplace_back(client, shares.take(user, client));
      ++used[client];
      ++used_by_user[user];
    }
    while (!places.empty() && random() % 4 == 0) {
      std::swap(places[random() % places.size()], places.back());
      --used[places.back().first];
      --used_by_user[user_of(places.back().first)];
      places.pop_back();
    }
  }
}

}  // namespace
}  // namespace holdfast::supervisor
