// A descriptor whose close(2) lasts: what a hostile client sends.
#pragma once

#include <span>
#include <string_view>

#include "ipc/base/unique_fd.h"

namespace holdfast::test {

// A TCP socket with unsent data that its peer never reads, and with SO_LINGER. Whoever closes the last reference waits
// for an hour, or until this object is gone, which closes the peer's end.
class Lingering {
 public:
  Lingering();
  ~Lingering();
  Lingering(const Lingering&) = delete;
  Lingering& operator=(const Lingering&) = delete;

  int get() const { return socket_.get(); }
  // Once it was sent: gives up the test's own reference, so that the receiver has the last one.
  void leave_to_receiver() { socket_.reset(); }

 private:
  UniqueFd peer_;
  UniqueFd socket_;
};

// sendmsg(2) with descriptors; 0, or errno.
int send_descriptors(int socket, std::string_view bytes, std::span<const int> descriptors, int flags = 0);

}  // namespace holdfast::test
