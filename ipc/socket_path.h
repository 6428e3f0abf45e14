// The path of the supervisor's socket: the default and the longest, on which the supervisor and its clients agree.
#pragma once

#include <optional>
#include <string>

namespace holdfast::ipc {

// HOLDFAST_SOCKET if set; else "holdfast/holdfast.sock" under /run for root and under XDG_RUNTIME_DIR (XDG Base
// Directory Specification) for others; without that, under /run/user/UID.
std::string default_socket_path();

// Why no socket can have this path, which is too long (unix(7), sun_path); nullopt if it is short enough.
std::optional<std::string> socket_path_problem(const std::string& path);

}  // namespace holdfast::ipc
