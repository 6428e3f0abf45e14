#include "sandbox/process_state.h"

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

#include <sys/syscall.h>

namespace holdfast::sandbox {
namespace {

// What rt_sigaction(2) takes, large enough for every architecture; all zero is SIG_DFL.
struct KernelSigaction {
  std::uint64_t words[8];
};
constexpr std::size_t kKernelSignals = 64;

}  // namespace

SetupResult close_all_descriptors_except(int fd) {
  constexpr std::string_view layer = "descriptors";
  if (fd == kKeptDescriptor) {
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return setup_failure(layer, "fcntl(kept descriptor)", errno);
  } else if (dup3(fd, kKeptDescriptor, O_CLOEXEC) < 0) {
    return setup_failure(layer, "dup3(kept descriptor)", errno);
  }
  constexpr std::string_view advice = "close_range(2) needs Linux 5.9";
  if (close_range(0, kKeptDescriptor - 1, 0) != 0 || close_range(kKeptDescriptor + 1, ~0U, 0) != 0) {
    return setup_failure(layer, "close_range", errno, advice);
  }
  return {};
}

SetupResult reset_signals() {
  // By the system call, because sigaction(3) refuses the two signals that the C library keeps for itself.
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
