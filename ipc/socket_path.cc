#include "ipc/socket_path.h"

#include <unistd.h>

#include <cstdlib>

namespace holdfast::ipc {

std::string default_socket_path() {
  const auto variable = [](const char* name) -> std::string {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  if (std::string path = variable("HOLDFAST_SOCKET"); !path.empty()) return path;
  constexpr const char* kName = "/holdfast/holdfast.sock";
  if (::geteuid() == 0) return std::string("/run") + kName;
  if (std::string directory = variable("XDG_RUNTIME_DIR"); !directory.empty()) return directory + kName;
  // The directory that logins create. Never a place in which other users could create it first, such as /tmp.
  return "/run/user/" + std::to_string(::geteuid()) + kName;
}

}  // namespace holdfast::ipc
