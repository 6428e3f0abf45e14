// Sending frames on connected stream sockets. Allocates nothing.
#pragma once

#include <sys/socket.h>

#include <cerrno>
#include <cstddef>

#include "ipc/base/unique_fd.h"
#include "ipc/frame.h"

namespace holdfast::ipc {

// Sends `out` with these flags of send(2) until it is empty or send(2) fails. Returns 0, or the errno of send(2). What
// was not sent stays in `out`.
inline int send_with_flags(BorrowedFd socket, OutputBuffer& out, int flags) {
  while (!out.empty()) {
    const auto data = out.data();
    const ssize_t count = ::send(socket.get(), data.data(), data.size(), MSG_NOSIGNAL | flags);
    if (count >= 0) {
      out.consume(static_cast<std::size_t>(count));
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

// Sends what the socket takes without blocking; the rest stays in `out`. Returns 0, or the errno of send(2), after
// which the socket takes nothing more.
inline int send_some(BorrowedFd socket, OutputBuffer& out) {
  const int error = send_with_flags(socket, out, MSG_DONTWAIT);
  return error == EAGAIN ? 0 : error;
}

// Sends everything, and blocks as long as that takes. Returns 0, or the errno of send(2), after which the socket takes
// nothing more.
inline int send_all(BorrowedFd socket, OutputBuffer& out) { return send_with_flags(socket, out, 0); }

}  // namespace holdfast::ipc
