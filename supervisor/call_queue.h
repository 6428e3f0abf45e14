// The calls that wait for one module, shared fairly among the clients that made them: each client has a queue of its
// own, and the clients have their turns, one call each. Who sends a thousand calls delays another's one call by one.
// Pure. Every operation takes constant time but erase(), which looks through the calls of one client.
#pragma once

#include <cstddef>
#include <deque>
#include <list>
#include <unordered_map>
#include <vector>

#include "supervisor/ids.h"

namespace holdfast::supervisor {

class CallQueue {
 public:
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  // Whether some call's turn can come: whether a client waits that is not paused.
  bool is_ready() const { return !turns_.empty(); }
  bool contains(ClientId client) const { return by_client_.contains(client); }

  void push_back(ClientId client, CallId call);
  // For a call that comes back: before all others of its client, and its client's turn is the next.
  void push_front(ClientId client, CallId call);

  // The call whose turn it is; the queue must be ready.
  CallId front() const { return turns_.front().calls.front(); }
  void pop_front();

  // The client's calls have no turns until it is resumed; the client must be there. It is forgotten with its last call.
  void pause(ClientId client);
  // The client's turn comes after those of all others. Nothing if it is not there, or not paused.
  void resume(ClientId client);
  bool is_paused(ClientId client) const;
  std::size_t paused_calls() const;  // takes a time that grows with the paused clients

  // Takes out a call that waits; it must be there.
  void erase(ClientId client, CallId call);

  // Takes out the calls of a client, in their order.
  std::deque<CallId> take(ClientId client);

  // Empties it; what it held, in no order.
  std::vector<CallId> take_all();

 private:
  struct Turn {
    ClientId client;
    std::deque<CallId> calls;  // never empty
    bool is_paused = false;    // it is in paused_
  };
  using Turns = std::list<Turn>;

  Turns turns_;  // the front one's turn is next
  Turns paused_;
  std::unordered_map<ClientId, Turns::iterator> by_client_;
  std::size_t size_ = 0;
};

}  // namespace holdfast::supervisor
