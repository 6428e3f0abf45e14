#include "worker/outbox.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace holdfast::worker {

bool Outbox::send_once(int flags) {
  const auto data = buffer_.data();
  const ssize_t count = ::send(socket_, data.data(), data.size(), MSG_NOSIGNAL | flags);
  if (count >= 0) {
    buffer_.consume(static_cast<std::size_t>(count));
    return true;
  }
  if (errno == EINTR) return true;
  if (errno == EAGAIN) return false;
  ::_exit(0);
}

void Outbox::send_some() {
  while (!buffer_.empty() && send_once(MSG_DONTWAIT)) {
  }
}

void Outbox::send_all() {
  while (!buffer_.empty()) send_once(0);
}

}  // namespace holdfast::worker
