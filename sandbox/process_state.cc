#include "sandbox/process_state.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace holdfast::sandbox {
namespace {

// The structure of rt_sigaction(2), large enough for every architecture; all zeros mean SIG_DFL.
struct KernelSigaction {
  std::uint64_t words[8];
};
constexpr std::size_t kKernelSignals = 64;

}  // namespace

SetupResult close_all_descriptors_except(int fd) { return close_all_descriptors_except(std::span<const int>(&fd, 1)); }

SetupResult close_all_descriptors_except(std::span<const int> fds) {
  constexpr std::string_view layer = "descriptors";
  std::vector<int> kept(fds.begin(), fds.end());
  int place = kKeptDescriptor;
  for (auto fd = kept.begin(); fd != kept.end(); ++fd, ++place) {
    if (*fd == place) {
      if (fcntl(place, F_SETFD, FD_CLOEXEC) != 0) return setup_failure(layer, "fcntl(kept descriptor)", errno);
      continue;
    }
    // A descriptor that is kept under another number may be in the way.
    if (const auto other = std::find(fd, kept.end(), place); other != kept.end()) {
      *other = fcntl(place, F_DUPFD_CLOEXEC, kKeptDescriptor + static_cast<int>(kept.size()));
      if (*other < 0) return setup_failure(layer, "fcntl(moved descriptor)", errno);
    }
    if (dup3(*fd, place, O_CLOEXEC) < 0) return setup_failure(layer, "dup3(kept descriptor)", errno);
  }
  constexpr std::string_view advice = "close_range(2) needs Linux 5.9";
  if (close_range(0, kKeptDescriptor - 1, 0) != 0 || close_range(static_cast<unsigned>(place), ~0U, 0) != 0) {
    return setup_failure(layer, "close_range", errno, advice);
  }
  return {};
}

SetupResult reset_signals() {
  // By system call, because sigaction(3) refuses the two signals that the C library reserves for itself.
  constexpr KernelSigaction kDefault{};
  for (std::size_t signal = 1; signal <= kKernelSignals; ++signal) {
    if (signal == SIGKILL || signal == SIGSTOP) continue;
    if (syscall(SYS_rt_sigaction, signal, &kDefault, nullptr, kKernelSignals / 8) != 0) {
      return setup_failure("process", "rt_sigaction(default)", errno);
    }
  }
  constexpr std::uint64_t kNone = 0;
  if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, &kNone, nullptr, sizeof kNone) != 0) {
    return setup_failure("process", "rt_sigprocmask(none)", errno);
  }
  return {};
}

SetupResult new_session() {
  if (setsid() < 0) return setup_failure("process", "setsid", errno);
  return {};
}

void clear_environment() {
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    explicit_bzero(*entry, std::strlen(*entry));
  }
  clearenv();
}

}  // namespace holdfast::sandbox
