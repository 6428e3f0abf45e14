// The calls that wait in a full queue, and which of them gives way to a new call: of the user with the most calls
// there, and of that user's connections the one with the most, the call that came last. Pure.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <vector>

#include "supervisor/scheduler/ids.h"

namespace holdfast::supervisor {

class Crowd {
 public:
  void add(UserId user, ClientId client, CallId call);

  // Removes and returns the call that gives way so that the client may have another call in the queue; the caller
  // add()s the new call. nullopt: no user and no connection of this user would then have more calls there than this
  // one, so the new call is refused.
  std::optional<CallId> give_way_to(UserId user, ClientId client);

 private:
  struct User {
    std::size_t calls = 0;
    std::map<ClientId, std::vector<CallId>> clients;
  };
  std::map<UserId, User> users_;
};

}  // namespace holdfast::supervisor
