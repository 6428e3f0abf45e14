#include "ipc/base/pidfd.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace holdfast {
namespace {

// The kernel writes -1 for a process that is gone and 0 for one that is not visible.
pid_t pid_in_fdinfo(const UniqueFd& pidfd) {
  std::ifstream file(fmt::format("/proc/self/fdinfo/{}", pidfd.get()));
  for (std::string word; file >> word;) {
    pid_t pid;
    if (word == "Pid:" && file >> pid) return std::max(pid, 0);
  }
  return 0;
}

}  // namespace

pid_t pid_of(const UniqueFd& pidfd, PidSource source) {
  if (source == PidSource::fdinfo) return pid_in_fdinfo(pidfd);
  PidfdInfo info{};
  if (::ioctl(pidfd.get(), kPidfdGetInfo, &info) == 0) return static_cast<pid_t>(info.process);
  return 0;
}

}  // namespace holdfast
