#include "ipc/descriptor_refusal.h"

#include <sys/socket.h>

#include <array>

namespace holdfast::ipc {

bool refuse_descriptors(int socket) {
  constexpr int kPassRights = 83;  // SO_PASSRIGHTS, which older headers lack
  const int off = 0;
  return ::setsockopt(socket, SOL_SOCKET, kPassRights, &off, sizeof off) == 0;
}

bool holds_descriptors(int socket) {
  const auto set = [socket](int option, int value) { ::setsockopt(socket, SOL_SOCKET, option, &value, sizeof value); };
  set(SO_OOBINLINE, 1);
  set(SO_PEEK_OFF, 0);  // each look continues where the last one ended
  std::array<std::byte, 4096> space;
  bool found = false;
  for (;;) {
    iovec piece = {space.data(), space.size()};
    msghdr message = {};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    if (::recvmsg(socket, &message, MSG_PEEK | MSG_DONTWAIT) <= 0) break;
    // There is no room for descriptors, so the kernel says that some are left out.
    if ((message.msg_flags & MSG_CTRUNC) != 0) found = true;
  }
  set(SO_PEEK_OFF, -1);
  return found;
}

}  // namespace holdfast::ipc
