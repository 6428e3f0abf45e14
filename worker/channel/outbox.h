// The worker's queue of messages to the supervisor. They are appended to a buffer and sent together when a turn of
// the event loop ends. The supervisor always reads; while too much is still unsent, the worker reads no further
// requests.
#pragma once

#include <cstddef>

#include "ipc/base/unique_fd.h"
#include "ipc/frame.h"

namespace holdfast::worker {

class Outbox {
 public:
  // `socket` is the worker's end of the supervisor's stream socket. With none, nothing may be sent.
  explicit Outbox(BorrowedFd socket) : socket_(socket) {}

  ipc::OutputBuffer& buffer() { return buffer_; }
  bool empty() const { return buffer_.empty(); }
  std::size_t unsent_bytes() const { return buffer_.size_bytes(); }

  // Sends as much as the socket takes now. Ends the process if the supervisor is gone.
  void send_some();

  // Sends everything, and blocks as long as that takes. Ends the process if the supervisor is gone. Allocates
  // nothing, so it is safe when memory is exhausted.
  void send_all();

 private:
  const BorrowedFd socket_;
  ipc::OutputBuffer buffer_;
};

}  // namespace holdfast::worker
