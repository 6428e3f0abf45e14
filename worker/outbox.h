// The worker's messages to the supervisor, on their way: appended to a buffer, sent together when a turn of the loop
// ends. The supervisor always reads; a worker that still finds the socket full waits before it does more work.
#pragma once

#include <cstddef>

#include "ipc/frame.h"

namespace holdfast::worker {

class Outbox {
 public:
  // `socket` stays the caller's.
  explicit Outbox(int socket) : socket_(socket) {}

  ipc::OutputBuffer& buffer() { return buffer_; }
  bool empty() const { return buffer_.empty(); }
  std::size_t unsent_bytes() const { return buffer_.size_bytes(); }

  // Sends what the socket takes now. Ends the process if the supervisor is gone: nobody is left to answer to.
  void send_some();

  // Sends everything, waiting as long as it takes. Safe where memory is exhausted: allocates nothing.
  void send_all();

 private:
  int socket_;
  ipc::OutputBuffer buffer_;
};

}  // namespace holdfast::worker
