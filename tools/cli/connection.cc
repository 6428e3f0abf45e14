#include "tools/cli/connection.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "ipc/base/unique_fd.h"

namespace holdfast::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kBetweenTries{10};

// Whether another try may succeed: no supervisor listens, or one has begun to listen since the last try.
bool may_listen_soon(const std::string& socket_path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return true;
  return errno == ENOENT || errno == ECONNREFUSED;
}

}  // namespace

tl::expected<ipc::Client, ipc::ConnectError> connect_to(const SupervisorAddress& address) {
  const auto give_up = Clock::now() + std::min<std::chrono::nanoseconds>(address.wait, std::chrono::hours(24));
  for (;;) {
    auto client = ipc::Client::connect(address.socket, {.name = "holdfast " HOLDFAST_VERSION});
    if (client || client.error().reason != ipc::ConnectError::Reason::cannot_connect) return client;
    if (Clock::now() >= give_up || !may_listen_soon(address.socket)) return client;
    std::this_thread::sleep_for(kBetweenTries);
  }
}

}  // namespace holdfast::cli
