// The connection of a command to a running holdfastd.
#pragma once

#include <chrono>
#include <string>

#include <tl/expected.hpp>

#include "ipc/client.h"

namespace holdfast::cli {

// Long enough for a holdfastd that was started just before, as by a script.
constexpr std::chrono::milliseconds kDefaultWait{1000};

struct SupervisorAddress {
  std::string socket;
  std::chrono::nanoseconds wait = kDefaultWait;  // while nobody listens there
};

// Tries again for as long as the address says while there is no socket, or nobody who listens on it; any other failure
// is told at once.
tl::expected<ipc::Client, ipc::ConnectError> connect_to(const SupervisorAddress& address);

}  // namespace holdfast::cli
