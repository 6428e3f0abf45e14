#include "ipc/packet.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace holdfast::ipc {
namespace {

union ControlSpace {
  cmsghdr align;
  char bytes[CMSG_SPACE(kMaxPacketFds * sizeof(int))];
};

std::error_code last_error() { return {errno, std::system_category()}; }

}  // namespace

tl::expected<void, std::error_code> send_packet(int socket, std::span<const std::byte> data, std::span<const int> fds) {
  iovec piece = {const_cast<std::byte*>(data.data()), data.size()};
  msghdr message = {};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  ControlSpace control = {};
  if (!fds.empty()) {
    if (fds.size() > kMaxPacketFds) return tl::unexpected(std::make_error_code(std::errc::argument_list_too_long));
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  }
  while (::sendmsg(socket, &message, MSG_NOSIGNAL) < 0) {
    if (errno != EINTR) return tl::unexpected(last_error());
  }
  return {};
}

tl::expected<Packet, std::error_code> receive_packet(int socket, std::span<std::byte> buffer) {
  iovec piece = {buffer.data(), buffer.size()};
  ControlSpace control = {};
  msghdr message = {};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  ssize_t count;
  while ((count = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC)) < 0) {
    if (errno != EINTR) return tl::unexpected(last_error());
  }
  Packet packet;
  packet.bytes = static_cast<std::size_t>(count);
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t fd_count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < fd_count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
      packet.fds.emplace_back(fd);
    }
  }
  if ((message.msg_flags & MSG_TRUNC) != 0) return tl::unexpected(std::make_error_code(std::errc::message_size));
  // The kernel fills the padding behind the control space too, so that one descriptor too many may arrive whole.
  if ((message.msg_flags & MSG_CTRUNC) != 0 || packet.fds.size() > kMaxPacketFds) packet.fds.clear();
  return packet;
}

}  // namespace holdfast::ipc
