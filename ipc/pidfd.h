// Processes by descriptor: pidfd_open(2) and pidfd_send_signal(2), which the C library of Debian 12 declares in a way
// that C++ cannot link.
#pragma once

#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "ipc/unique_fd.h"

namespace holdfast {

// Close-on-exec; none, with errno set, on failure.
inline UniqueFd open_pidfd(pid_t pid) { return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

// False, with errno set, on failure: ESRCH says that the process is gone.
inline bool send_signal(const UniqueFd& pidfd, int signal) {
  return ::syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) == 0;
}

}  // namespace holdfast
