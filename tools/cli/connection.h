// Connecting a command to a running holdfastd.
#pragma once

#include <chrono>
#include <string>
#include <tl/expected.hpp>

#include "ipc/client.h"

namespace holdfast::cli {

// Long enough for a holdfastd that a script started just before.
constexpr std::chrono::milliseconds kDefaultWait{1000};

struct SupervisorAddress {
  std::string socket;
  std::chrono::nanoseconds wait = kDefaultWait;  // how long to retry while no supervisor listens there
};

// Connects. Retries for up to `address.wait` while the socket does not exist or no supervisor listens on it; returns
// any other failure at once.
tl::expected<ipc::Client, ipc::ConnectError> connect_to(const SupervisorAddress& address);

}  // namespace holdfast::cli
