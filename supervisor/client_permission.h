// What only some users' clients may do: load modules, or read what modules log.
#pragma once

#include <optional>
#include <set>
#include <string_view>

#include "ipc/error.h"
#include "supervisor/client_session.h"
#include "supervisor/scheduler/ids.h"
#include "supervisor/settings/allowed_users.h"

namespace holdfast::supervisor {

class ClientPermission {
 public:
  // `what` ("load modules") and `option` ("--allow-loader") are for messages; both must outlive the object.
  ClientPermission(const AllowedUsers& users, std::string_view what, std::string_view option)
      : users_(users), what_(what), option_(option) {}

  // Whether the client's user is listed. A client whose user the kernel did not tell is not.
  bool covers(const ClientSession& client) const;

  // The error for a client that lacks the permission; nullopt: the client has it. The refusal is logged: for each
  // client the first one as a warning, further ones for debugging, because a client can ask as often as it likes.
  std::optional<ipc::Error> refusal_for(const ClientSession& client);

  void client_left(const ClientSession& client) { warned_of_.erase(client.id()); }

 private:
  const AllowedUsers users_;
  const std::string_view what_;
  const std::string_view option_;
  std::set<ClientId> warned_of_;  // clients whose refusal was logged as a warning
};

}  // namespace holdfast::supervisor
