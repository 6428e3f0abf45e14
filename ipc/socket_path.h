// Where the supervisor listens when nobody says otherwise, so that it and its clients agree.
#pragma once

#include <string>

namespace holdfast::ipc {

// HOLDFAST_SOCKET if set; else "holdfast/holdfast.sock" under /run for root and under XDG_RUNTIME_DIR (XDG Base
// Directory Specification) for others; without that, under /run/user/UID.
std::string default_socket_path();

}  // namespace holdfast::ipc
