// Sending frames without blocking.
#pragma once

#include <sys/socket.h>

#include <cerrno>
#include <cstddef>

#include "ipc/base/unique_fd.h"
#include "ipc/frame.h"

namespace holdfast::ipc {

// Sends what the connected stream socket takes without blocking; the rest stays in `out`. Returns 0, or the errno of
// send(2), after which the socket takes nothing more. Allocates nothing.
inline int send_some(BorrowedFd socket, OutputBuffer& out) {
  while (!out.empty()) {
    const auto data = out.data();
    const ssize_t count = ::send(socket.get(), data.data(), data.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count >= 0) {
      out.consume(static_cast<std::size_t>(count));
    } else if (errno == EAGAIN) {
      return 0;
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace holdfast::ipc
