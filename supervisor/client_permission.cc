#include "supervisor/client_permission.h"

#include <fmt/format.h>

#include <string>

#include "ipc/base/text.h"
#include "supervisor/log/log_output.h"

namespace holdfast::supervisor {

bool ClientPermission::covers(const ClientSession& client) const {
  const auto user = client.peer_uid();
  return user && users_.covers(*user);
}

std::optional<ipc::Error> ClientPermission::refusal_for(const ClientSession& client) {
  if (covers(client)) return std::nullopt;
  const auto user = client.peer_uid();
  const bool is_first = warned_of_.insert(client.id()).second;
  log_client_line(client.user(), is_first ? ipc::LogLevel::warning : ipc::LogLevel::debug,
                  fmt::format("{}: may not {}: user {} is not listed in {}", client.name(), what_,
                              user ? std::to_string(*user) : "unknown", option_));
  return make_error(ipc::ErrorCode::permission_denied,
                    fmt::format("this user may not {}; the supervisor's {} must list it", what_, option_));
}

}  // namespace holdfast::supervisor
