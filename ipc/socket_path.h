// The default path of the supervisor's socket, on which the supervisor and its clients agree.
#pragma once

#include <string>

namespace holdfast::ipc {

// HOLDFAST_SOCKET if set; else "holdfast/holdfast.sock" under /run for root and under XDG_RUNTIME_DIR (XDG Base
// Directory Specification) for others; without that, under /run/user/UID.
std::string default_socket_path();

}  // namespace holdfast::ipc
