// Counts the places on a worker by user and client; a place is taken by each call there that is not answered. A user
// may have seven eighths of the places that other users do not have, and a client seven eighths of the user's places
// that the user's other clients do not have. So calls of one client that only wait cannot take all places. With fewer
// than eight places, none is kept free.
//
// Pure. A PlaceShares must outlive its places.
#pragma once

#include <algorithm>
#include <cstddef>
#include <unordered_map>
#include <utility>

#include "supervisor/scheduler/ids.h"

namespace holdfast::supervisor {

class PlaceShares {
  struct User {
    UserId id;
    std::size_t used = 0;
    std::size_t clients = 0;
  };
  struct Client {
    User* user;
    std::size_t used = 0;
  };

 public:
  // The place of a call, given back when this object is destroyed; or none, if default-constructed or moved from.
  class Place {
   public:
    Place() = default;
    Place(Place&& other) noexcept : shares_(std::exchange(other.shares_, nullptr)), client_(other.client_) {}
    Place& operator=(Place&& other) noexcept {
      std::swap(shares_, other.shares_);
      std::swap(client_, other.client_);
      return *this;
    }
    ~Place() {
      if (shares_ != nullptr) shares_->give_back(*client_);
    }

   private:
    friend class PlaceShares;
    Place(PlaceShares& shares, Client& client) : shares_(&shares), client_(&client) {}

    PlaceShares* shares_ = nullptr;
    Client* client_ = nullptr;
  };

  PlaceShares() = default;
  PlaceShares(const PlaceShares&) = delete;
  PlaceShares& operator=(const PlaceShares&) = delete;

  // Whether the user has its share of `total` places, or more.
  bool user_has_its_share(UserId user_id, std::size_t total) const {
    if (used_ <= total / 2) return false;  // half is less than the smallest share
    const auto user = users_.find(user_id);
    return user != users_.end() && user->second.used >= share_of(user->second, total);
  }

  // Whether the client has its share of its user's places, or the user has its share of `total` places.
  bool has_its_share(UserId user_id, ClientId client_id, std::size_t total) const {
    if (used_ <= total / 2) return false;
    const auto client = clients_.find(client_id);
    if (client == clients_.end()) return user_has_its_share(user_id, total);
    const User& user = *client->second.user;
    const std::size_t of_user = share_of(user, total);
    return user.used >= of_user || client->second.used >= share(of_user, user.used - client->second.used);
  }

  Place take(UserId user_id, ClientId client_id) {
    auto client = clients_.find(client_id);
    if (client == clients_.end()) {
      if (clients_.size() >= most_kept_) forget_unused();
      User& user = users_.try_emplace(user_id, User{.id = user_id}).first->second;
      ++user.clients;
      client = clients_.try_emplace(client_id, Client{.user = &user}).first;
    }
    ++used_;
    ++client->second.used;
    ++client->second.user->used;
    return {*this, client->second};
  }

 private:
  // Clients without places are kept in case they call again; at least this many.
  static constexpr std::size_t kLeastKept = 64;

  static std::size_t share(std::size_t total, std::size_t of_others) {
    const std::size_t left = total - std::min(total, of_others);
    return left - left / 8;
  }

  std::size_t share_of(const User& user, std::size_t total) const { return share(total, used_ - user.used); }

  void give_back(Client& client) {
    --used_;
    --client.used;
    --client.user->used;
  }

  void forget_unused() {
    std::erase_if(clients_, [this](const auto& entry) {
      if (entry.second.used > 0) return false;
      if (User& user = *entry.second.user; --user.clients == 0) users_.erase(user.id);
      return true;
    });
    most_kept_ = std::max(kLeastKept, 2 * clients_.size());
  }

  std::unordered_map<ClientId, Client> clients_;
  std::unordered_map<UserId, User> users_;
  std::size_t used_ = 0;
  std::size_t most_kept_ = kLeastKept;
};

}  // namespace holdfast::supervisor
