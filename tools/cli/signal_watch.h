// Signals that ask the program to end, as a descriptor that can be polled beside a socket.
#pragma once

#include <signal.h>

#include <optional>

#include "ipc/base/unique_fd.h"

namespace holdfast::cli {

// While the object lives, SIGINT, SIGTERM and SIGHUP make fd() readable instead of ending the program. Signals that
// the program was started to ignore (nohup) stay ignored. For programs with one thread.
class SignalWatch {
 public:
  SignalWatch();
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

  // Readable once a signal has come.
  int fd() const { return fd_.get(); }

  // Takes the next signal that has come, if any; never blocks.
  std::optional<int> take();

 private:
  sigset_t previous_mask_;
  UniqueFd fd_;
};

}  // namespace holdfast::cli
