// A descriptor whose close(2) blocks for long, for a hostile client to send.
#pragma once

#include <span>
#include <string_view>

#include "ipc/base/unique_fd.h"

namespace holdfast::test {

// A TCP socket with SO_LINGER and unsent data, which its peer never reads. The process that closes the last reference
// waits for an hour, or until this object is destroyed, which closes the peer's end.
class Lingering {
 public:
  Lingering();
  ~Lingering();
  Lingering(const Lingering&) = delete;
  Lingering& operator=(const Lingering&) = delete;

  int get() const { return socket_.get(); }
  // Call it after the socket was sent: drops the test's own reference, so that the receiver has the last one.
  void leave_to_receiver() { socket_.reset(); }

 private:
  UniqueFd peer_;
  UniqueFd socket_;
};

// Sends bytes and descriptors by sendmsg(2). Returns 0, or errno.
int send_descriptors(int socket, std::string_view bytes, std::span<const int> descriptors, int flags = 0);

}  // namespace holdfast::test
