#include "ipc/socket_path.h"

#include <fmt/format.h>
#include <sys/un.h>
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

std::optional<std::string> socket_path_problem(const std::string& path) {
  constexpr std::size_t kMost = sizeof(sockaddr_un::sun_path) - 1;  // without the NUL at the end
  if (path.size() <= kMost) return std::nullopt;
  return fmt::format("the socket's path {} has {} bytes; at most {} are allowed", path, path.size(), kMost);
}

}  // namespace holdfast::ipc
