// The clients that are connected: who gets a place, and who must go because it does not say hello, stalls or reads
// nothing.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>

#include "supervisor/client_requests.h"
#include "supervisor/client_session.h"
#include "supervisor/net/client_accounts.h"
#include "supervisor/net/closer.h"
#include "supervisor/net/turn.h"
#include "supervisor/scheduler/ids.h"

namespace holdfast::supervisor {

// Owns the sessions. A session that ends reports that by ClientRequests::client_left(), where remove() must be called.
// Not thread-safe.
class Clients {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // What clients ask for goes to `requests`. `closer` closes the file descriptors that clients send; null: clients
  // cannot send any. `turn`, `requests` and `closer` must outlive the object.
  Clients(Turn& turn, ClientRequests& requests, std::shared_ptr<ClientAccounts> accounts, Closer* closer);

  // Serves a client on this socket. If its place is taken and no connection can give way, the client is told so and
  // disconnected, and nothing is kept of it. A connection that gives way leaves during this call.
  void add(Connection::Socket socket, std::function<void()> left);

  struct Client {
    std::shared_ptr<ClientSession> session;  // null: there is no such client
    std::function<void()> left;              // what add() was given; may be empty
  };
  // Takes out a client that has left.
  Client remove(ClientSession& client);
  // Disconnects all clients, without client_left().
  void close_all();

  std::size_t size() const { return clients_.size(); }
  // Null: there is no such client.
  ClientSession* find(ClientId id) const;
  // Whether everything that was written for clients has been sent.
  bool all_sent() const;

  // Whether a client has sent a part of a frame, or left something unread: let_go_of_stalled() must be called about
  // once a second while this is so.
  bool may_stall() const { return accounts_->frames.used() > 0 || accounts_->unread.used() > 0; }
  void let_go_of_stalled(TimePoint now);

  // Cuts off clients that did not say hello in time. Call at or after next_wakeup().
  void tick(TimePoint now);
  std::optional<TimePoint> next_wakeup() const;

 private:
  Turn& turn_;
  ClientRequests& requests_;
  const std::shared_ptr<ClientAccounts> accounts_;
  Closer* const closer_;
  std::unordered_map<ClientSession*, Client> clients_;
  std::unordered_map<ClientId, ClientSession*> by_id_;
  std::uint64_t last_id_ = 0;
  // Clients that have not said hello, and by when each must.
  std::deque<std::pair<TimePoint, std::weak_ptr<ClientSession>>> newcomers_;
};

}  // namespace holdfast::supervisor
