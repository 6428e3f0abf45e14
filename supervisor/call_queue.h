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

  void push_back(ClientId client, CallId call);
  // For a call that comes back: before all others of its client, and its client's turn is the next.
  void push_front(ClientId client, CallId call);

  // The call whose turn it is; the queue must not be empty.
  CallId front() const { return turns_.front().calls.front(); }
  void pop_front();

  // Takes out a call that waits; it must be there.
  void erase(ClientId client, CallId call);

  // Empties it; what it held, in no order.
  std::vector<CallId> take_all();

 private:
  struct Turn {
    ClientId client;
    std::deque<CallId> calls;  // never empty
  };
  using Turns = std::list<Turn>;

  Turns turns_;  // the front one's turn is next
  std::unordered_map<ClientId, Turns::iterator> by_client_;
  std::size_t size_ = 0;
};

}  // namespace holdfast::supervisor
