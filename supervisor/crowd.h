// Who waits in a queue that is full, and whose call gives way to another's: of the user with the most calls there, and
// of that user's connections the one with the most, the call that came last. Pure.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <vector>

#include "supervisor/ids.h"

namespace holdfast::supervisor {

class Crowd {
 public:
  void add(UserId user, ClientId client, CallId call);

  // The call that gives way so that the client may have another one in the queue; both are noted. Nothing: no user and
  // no connection of the client's user has more there than it would have then, so that it is refused.
  std::optional<CallId> give_way_to(UserId user, ClientId client);

 private:
  struct User {
    std::size_t calls = 0;
    std::map<ClientId, std::vector<CallId>> clients;
  };
  std::map<UserId, User> users_;
};

}  // namespace holdfast::supervisor
