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

// Retries when a signal interrupts sendmsg(2).
tl::expected<std::size_t, std::error_code> send(BorrowedFd socket, std::span<const std::byte> data,
                                                std::span<const BorrowedFd> fds, int flags) {
  iovec piece = {const_cast<std::byte*>(data.data()), data.size()};
  msghdr message = {};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  ControlSpace control = {};
  if (!fds.empty()) {
    if (fds.size() > kMaxPacketFds) return tl::unexpected(std::make_error_code(std::errc::argument_list_too_long));
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    for (std::size_t i = 0; i < fds.size(); ++i) {
      const int fd = fds[i].get();
      std::memcpy(CMSG_DATA(header) + i * sizeof(int), &fd, sizeof fd);
    }
  }
  ssize_t count;
  while ((count = ::sendmsg(socket.get(), &message, MSG_NOSIGNAL | flags)) < 0) {
    if (errno != EINTR) return tl::unexpected(last_error());
  }
  return static_cast<std::size_t>(count);
}

struct Received {
  Packet packet;
  int flags = 0;  // recvmsg(2)'s msg_flags
};

tl::expected<Received, std::error_code> receive(BorrowedFd socket, std::span<std::byte> buffer, int flags) {
  iovec piece = {buffer.data(), buffer.size()};
  ControlSpace control = {};
  msghdr message = {};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  ssize_t count;
  while ((count = ::recvmsg(socket.get(), &message, MSG_CMSG_CLOEXEC | flags)) < 0) {
    if (errno != EINTR) return tl::unexpected(last_error());
  }
  Received received;
  received.flags = message.msg_flags;
  received.packet.bytes = static_cast<std::size_t>(count);
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t fd_count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < fd_count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
      received.packet.fds.emplace_back(fd);
    }
  }
  return received;
}

}  // namespace

tl::expected<void, std::error_code> send_packet(BorrowedFd socket, std::span<const std::byte> data,
                                                std::span<const BorrowedFd> fds) {
  const auto sent = send(socket, data, fds, 0);
  if (!sent) return tl::unexpected(sent.error());
  return {};
}

tl::expected<Packet, std::error_code> receive_packet(BorrowedFd socket, std::span<std::byte> buffer) {
  auto received = receive(socket, buffer, 0);
  if (!received) return tl::unexpected(received.error());
  auto& [packet, flags] = *received;
  if ((flags & MSG_TRUNC) != 0) return tl::unexpected(std::make_error_code(std::errc::message_size));
  // The kernel also fills the padding after the control space, so one descriptor too many may arrive without
  // MSG_CTRUNC.
  if ((flags & MSG_CTRUNC) != 0 || packet.fds.size() > kMaxPacketFds) packet.fds.clear();
  return std::move(packet);
}

tl::expected<std::size_t, std::error_code> send_with_descriptor(BorrowedFd socket, std::span<const std::byte> data,
                                                                BorrowedFd descriptor) {
  return send(socket, data, {&descriptor, 1}, MSG_DONTWAIT);
}

tl::expected<Packet, std::error_code> receive_with_descriptors(BorrowedFd socket, std::span<std::byte> buffer) {
  auto received = receive(socket, buffer, MSG_DONTWAIT);
  if (!received) return tl::unexpected(received.error());
  if ((received->flags & MSG_CTRUNC) != 0) return tl::unexpected(std::make_error_code(std::errc::too_many_files_open));
  return std::move(received->packet);
}

}  // namespace holdfast::ipc
