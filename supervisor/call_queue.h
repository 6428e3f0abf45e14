// The calls that wait for one module, shared fairly by what they cost: first among the users that made them, then among
// the clients of each user (fair_order.h). Whose calls take a hundred times as long has a hundredth of the turns; who
// sends a thousand calls, or calls over a thousand connections, delays another user's one call by one. What somebody's
// calls cost counts only while others wait. While they do, a client without calls is remembered for what its calls
// cost.
//
// Pure. Operations take time that grows with the logarithm of the clients, but for these: erase() and take() look
// through the calls of one client; paused_calls(), clients_of() and what takes the last call that is ready look through
// all clients.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

#include "supervisor/fair_order.h"
#include "supervisor/ids.h"

namespace holdfast::supervisor {

class CallQueue {
 public:
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  // Whether some call's turn can come: whether a client waits that is not paused.
  bool is_ready() const { return ready_clients_ > 0; }
  bool contains(ClientId client) const;

  void push_back(UserId user, ClientId client, CallId call);
  // For a call that comes back: before its client's others, which then have no turns before everybody's any more; or
  // before everybody's, unless its client is paused.
  enum class Before { own, all };
  void push_front(UserId user, ClientId client, CallId call, Before before);

  // The call whose turn it is; the queue must be ready.
  CallId front();
  // The first in the order of turns of those users and clients that may have one; nothing: none may. Whoever may not is
  // passed, and has no more turns later for that. Takes a time that grows with those that are passed.
  using UserMay = std::function<bool(UserId)>;
  using ClientMay = std::function<bool(UserId, ClientId)>;
  std::optional<CallId> front_of(const UserMay& user_may, const ClientMay& client_may);
  // Takes out the call that is the client's next, in its turn; the client must be ready. Its cost is told later, by
  // charge().
  void pop(ClientId client);
  void pop_front();

  // A call of this client, which waited here, took so much CPU time, and time to replace what it broke.
  void charge(UserId user, ClientId client, VirtualTime cost);

  // The client's calls have no turns until it is resumed; the client must be there. It is forgotten with its last call.
  void pause(ClientId client);
  // Nothing if it is not there, or not paused.
  void resume(ClientId client);
  bool is_paused(ClientId client) const;
  std::size_t paused_calls() const;  // takes a time that grows with the clients

  // Takes out a call that waits; it must be there.
  void erase(ClientId client, CallId call);

  // Takes out those calls of a client that `which` says, in their order.
  std::deque<CallId> take(ClientId client, const std::function<bool(CallId)>& which);

  // The user's clients that have calls here, in no order; takes a time that grows with the clients.
  std::vector<ClientId> clients_of(UserId user) const;

  // Empties it; what it held, in no order.
  std::vector<CallId> take_all();

 private:
  struct User;
  struct Client {
    ClientId id;
    User* user;
    std::deque<CallId> calls{};  // place.ahead of them have come back
    bool is_paused = false;
    FairPlace place{};  // it is in its user's order unless it is paused

    bool is_ready() const { return !is_paused && !calls.empty(); }
  };
  struct User {
    UserId id;
    FairOrder<Client> clients{};  // also such as have no calls, but are behind
    std::size_t client_count = 0;
    FairPlace place{};  // it is in users_ unless all its clients are paused
  };

  Client& client_of(UserId user, ClientId client);
  Client* find(ClientId client);
  // To be called when a client that is not paused has another number of calls than before.
  void count_ready(const Client& client, bool was_ready);
  void set_ahead(Client& client, std::uint64_t ahead);
  void enter(Client& client);
  void leave(Client& client);
  void forget(Client& client);
  void forget_if_done(Client& client);
  void forget_debts();

  std::unordered_map<UserId, User> users_by_id_;
  std::unordered_map<ClientId, Client> clients_by_id_;
  FairOrder<User> users_;
  std::size_t size_ = 0;
  std::size_t ready_clients_ = 0;
  bool has_debts_ = false;
};

}  // namespace holdfast::supervisor
