#include "worker/channel/outbox.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "ipc/send_some.h"

namespace holdfast::worker {

void Outbox::send_some() {
  if (ipc::send_some(socket_, buffer_) != 0) ::_exit(0);
}

void Outbox::send_all() {
  while (!buffer_.empty()) {
    const auto data = buffer_.data();
    const ssize_t count = ::send(socket_.get(), data.data(), data.size(), MSG_NOSIGNAL);
    if (count >= 0) {
      buffer_.consume(static_cast<std::size_t>(count));
    } else if (errno != EINTR) {
      ::_exit(0);
    }
  }
}

}  // namespace holdfast::worker
