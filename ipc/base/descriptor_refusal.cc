#include "ipc/base/descriptor_refusal.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace holdfast::ipc {
namespace {

void set(int socket, int option, int value) { ::setsockopt(socket, SOL_SOCKET, option, &value, sizeof value); }

struct Look {
  ssize_t bytes = -1;  // as recvmsg(2) returns it
  bool has_descriptors = false;
};

// Never receives a descriptor, not even for a moment.
Look look_at(int socket, std::span<std::byte> space) {
  iovec piece = {space.data(), space.size()};
  msghdr message = {};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  const ssize_t bytes = ::recvmsg(socket, &message, MSG_PEEK | MSG_DONTWAIT);
  // There is no room for descriptors, so MSG_CTRUNC says that some were left out.
  return {bytes, bytes >= 0 && (message.msg_flags & MSG_CTRUNC) != 0};
}

}  // namespace

bool refuse_descriptors(int socket) {
  constexpr int kPassRights = 83;  // SO_PASSRIGHTS, which older headers lack
  const int off = 0;
  return ::setsockopt(socket, SOL_SOCKET, kPassRights, &off, sizeof off) == 0;
}

bool holds_descriptors(int socket) {
  take_urgent_bytes_in_line(socket);
  set(socket, SO_PEEK_OFF, 0);  // each look continues where the last one ended
  std::array<std::byte, 4096> space;
  bool found = false;
  for (Look look; (look = look_at(socket, space)).bytes > 0;) found = found || look.has_descriptors;
  set(socket, SO_PEEK_OFF, -1);
  return found;
}

void take_urgent_bytes_in_line(int socket) { set(socket, SO_OOBINLINE, 1); }

tl::expected<std::size_t, std::error_code> receive_without_descriptors(int socket, std::span<std::byte> buffer) {
  const Look look = look_at(socket, buffer);
  if (look.has_descriptors) return tl::unexpected(std::make_error_code(std::errc::operation_not_permitted));
  ssize_t count = look.bytes;
  // Receives no more than it looked at: descriptors may have arrived behind that.
  if (count > 0) count = ::recv(socket, buffer.data(), static_cast<std::size_t>(count), MSG_DONTWAIT);
  if (count < 0) return tl::unexpected(std::error_code(errno, std::system_category()));
  return static_cast<std::size_t>(count);
}

}  // namespace holdfast::ipc
