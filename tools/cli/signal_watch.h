// Signals that ask the program to end, turned into something that can be waited for beside a socket.
#pragma once

#include <optional>
#include <signal.h>

#include "ipc/base/unique_fd.h"

namespace holdfast::cli {

// While it lives, SIGINT, SIGTERM and SIGHUP do not end the program but make fd() readable; those that the program was
// started to ignore (nohup) stay ignored. For programs with one thread.
class SignalWatch {
 public:
  SignalWatch();
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

  // Readable once a signal has come.
  int fd() const { return fd_.get(); }

  // The signal that came and was not taken yet, if any; never blocks.
  std::optional<int> take();

 private:
  sigset_t previous_mask_;
  UniqueFd fd_;
};

}  // namespace holdfast::cli
