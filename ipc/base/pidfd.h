// Process descriptors: pidfd_open(2) and pidfd_send_signal(2). The C library of Debian 12 declares them in a way that
// C++ cannot link, so they are called by number here.
#pragma once

#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdint>

#include "ipc/base/unique_fd.h"

namespace holdfast {

// A pidfd of the process, close-on-exec; an empty UniqueFd, with errno set, on failure.
inline UniqueFd open_pidfd(pid_t pid) { return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

// False, with errno set, on failure; ESRCH: the process is gone.
inline bool send_signal(const UniqueFd& pidfd, int signal) {
  return ::syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) == 0;
}

// Process info of Linux 6.13 and later (include/uapi/linux/pidfd.h; that of Debian 12 lacks it).
struct PidfdInfo {
  std::uint64_t mask;
  std::uint64_t cgroup;
  std::uint32_t pid;
  std::uint32_t process;  // the one that the thread belongs to
  std::uint32_t parent;
  std::uint32_t users_and_groups[8];
  std::int32_t exit_code;
};
// The request of ioctl(2) that fills a PidfdInfo.
constexpr unsigned kPidfdGetInfo = _IOWR(0xFF, 11, PidfdInfo);

// How the kernel is asked for the pid behind a pidfd.
enum class PidSource {
  ioctl,   // kPidfdGetInfo: works where no file can be opened, and from Linux 6.13 on. Only for what is a pidfd: any
           // other file's driver may take the request for one of its own
  fdinfo,  // /proc/self/fdinfo (proc(5)): opens a file, and works whatever the descriptor is of
};

// The process's pid in the caller's pid namespace; 0: the process is gone or not visible from there, or `source` does
// not work here.
pid_t pid_of(const UniqueFd& pidfd, PidSource source);

}  // namespace holdfast
