#include "tests/support/raw_connection.h"

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

constexpr int kGuardMillis = static_cast<int>(std::chrono::milliseconds(kHangGuard).count());

std::string bytes_of(const void* data, std::size_t size) { return {static_cast<const char*>(data), size}; }

}  // namespace

RawConnection::RawConnection(const std::string& socket_path)
    : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  REQUIRE(socket_path.size() < sizeof address.sun_path);
  std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
  REQUIRE(::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
}

std::size_t RawConnection::send_some(std::string_view bytes) {
  const ssize_t count = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  return count < 0 ? 0 : static_cast<std::size_t>(count);
}

void RawConnection::send(std::string_view bytes) {
  while (!bytes.empty()) {
    pollfd wanted = {socket_.get(), POLLOUT, 0};
    REQUIRE_MESSAGE(::poll(&wanted, 1, kGuardMillis) == 1, "the supervisor does not read");
    const ssize_t count = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno != EAGAIN) return;
    if (count > 0) bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

void RawConnection::finish_sending() { ::shutdown(socket_.get(), SHUT_WR); }

RawConnection::Received RawConnection::receive(const std::function<void(const ipc::ServerMessage&)>& handle,
                                               std::chrono::milliseconds timeout) {
  pollfd wanted = {socket_.get(), POLLIN, 0};
  int ready = 0;
  while ((ready = ::poll(&wanted, 1, static_cast<int>(timeout.count()))) < 0 && errno == EINTR) {
  }
  if (ready == 0) return Received::nothing;
  const auto space = in_.prepare();
  const ssize_t count = ::recv(socket_.get(), space.data(), space.size(), MSG_DONTWAIT);
  // ECONNRESET: the supervisor closed the socket before it had read all our bytes.
  if (count == 0 || (count < 0 && errno == ECONNRESET)) return Received::end;
  REQUIRE(count > 0);
  in_.commit(static_cast<std::size_t>(count));
  for (;;) {
    const auto received = in_.next();
    REQUIRE(received.has_value());
    if (!received->has_value()) return Received::something;
    const auto message = ipc::decode_server_message(**received);
    REQUIRE(message.has_value());
    handle(*message);
  }
}

std::string RawConnection::read_to_end() {
  std::string protocol_error;
  const auto handle = [&](const ipc::ServerMessage& message) {
    CHECK_MESSAGE(protocol_error.empty(), "the supervisor sent a message after protocolError");
    if (const auto* violation = std::get_if<ipc::ProtocolViolation>(&message)) protocol_error = violation->message;
  };
  for (;;) {
    const Received received = receive(handle, kHangGuard);
    if (received == Received::end) return protocol_error;
    REQUIRE_MESSAGE(received == Received::something, "the supervisor does not close the connection");
  }
}

bool RawConnection::is_closed() const {
  pollfd wanted = {socket_.get(), 0, 0};
  return ::poll(&wanted, 1, 0) == 1 && (wanted.revents & (POLLHUP | POLLERR)) != 0;
}

std::string frame_header(const std::vector<std::uint32_t>& segment_words) {
  std::vector<std::uint32_t> header = {static_cast<std::uint32_t>(segment_words.size() - 1)};
  header.insert(header.end(), segment_words.begin(), segment_words.end());
  if (header.size() % 2 != 0) header.push_back(0);
  return bytes_of(header.data(), header.size() * sizeof(std::uint32_t));
}

std::string frame(const std::vector<ipc::Word>& words) {
  return frame_header({static_cast<std::uint32_t>(words.size())}) +
         bytes_of(words.data(), words.size() * sizeof(ipc::Word));
}

}  // namespace holdfast::test
