// The calls that wait for one module. The queue gives first users, then the clients of each user (fair_order.h), the
// same share, measured by what their calls cost. A client whose calls take a hundred times as long gets a hundredth as
// many calls served; a client that sends a thousand calls, or sends them over a thousand connections, delays another
// user's one call by one call. What a client's calls cost counts only while other clients wait; as long as they do, a
// client is remembered for its costs even if it has no calls.
//
// Pure. Operations take time logarithmic in the number of clients, with these exceptions: erase() and take() look
// through the calls of one client; paused_calls(), clients_of() and any operation that takes the last ready call look
// through all clients.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

#include "supervisor/scheduler/fair_order.h"
#include "supervisor/scheduler/ids.h"

namespace holdfast::supervisor {

class CallQueue {
 public:
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  // Whether a client that is not paused has a call, so that front() has one to return.
  bool is_ready() const { return ready_clients_ > 0; }
  bool contains(ClientId client) const;

  void push_back(UserId user, ClientId client, CallId call);
  // Puts back a call that was taken out. Before::own: it goes before its client's other calls, and none of the client's
  // calls go before those of other clients any more. Before::all: it goes before the calls of all clients, unless its
  // client is paused.
  enum class Before { own, all };
  void push_front(UserId user, ClientId client, CallId call, Before before);

  // The call to be served next. The queue must be ready.
  CallId front();
  // The first call, in the order in which they are served, whose user and client may be served; nullopt: there is none.
  // Users and clients that are passed over because they may not be served get no extra share for it later. Takes time
  // that grows with the number of those passed over.
  using UserMay = std::function<bool(UserId)>;
  using ClientMay = std::function<bool(UserId, ClientId)>;
  std::optional<CallId> front_of(const UserMay& user_may, const ClientMay& client_may);
  // Takes out the client's next call and counts it as served; the client must be ready. What it cost is reported later,
  // by charge().
  void pop(ClientId client);
  void pop_front();

  // A call of this client, which waited in this queue, used this much: CPU time, and the time to replace a worker that
  // it killed.
  void charge(UserId user, ClientId client, VirtualTime cost);

  // The client's calls are not served until resume(). The client must have calls here. A paused client is forgotten
  // with its last call, and then is not paused any more.
  void pause(ClientId client);
  // Has no effect if the client is not known or not paused.
  void resume(ClientId client);
  bool is_paused(ClientId client) const;
  std::size_t paused_calls() const;  // looks through all clients

  // Takes out a call that waits; it must be here.
  void erase(ClientId client, CallId call);

  // Takes out the calls of a client for which `which` returns true, and returns them in their order.
  std::deque<CallId> take(ClientId client, const std::function<bool(CallId)>& which);

  // The user's clients that have calls here, in no particular order.
  std::vector<ClientId> clients_of(UserId user) const;

  // Empties the queue; returns what it held, in no particular order.
  std::vector<CallId> take_all();

 private:
  struct User;
  struct Client {
    ClientId id;
    User* user;
    std::deque<CallId> calls{};  // the first place.ahead of them go before all others'
    bool is_paused = false;
    FairPlace place{};  // it is in its user's order unless it is paused

    bool is_ready() const { return !is_paused && !calls.empty(); }
  };
  struct User {
    UserId id;
    FairOrder<Client> clients{};  // also clients without calls that had more than their share
    std::size_t client_count = 0;
    FairPlace place{};  // it is in users_ unless all its clients are paused
  };

  Client& client_of(UserId user, ClientId client);
  Client* find(ClientId client);
  // To be called after a change to a client. `was_ready`: its is_ready() before.
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
