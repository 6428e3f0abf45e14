#include "worker/process/priority.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include "ipc/base/unique_fd.h"

namespace holdfast::worker {
namespace {

constexpr int kNiceness = 5;  // gets a third of the CPU time of a process with 0

}  // namespace

void lower_own_priority() { ::setpriority(PRIO_PROCESS, 0, kNiceness); }

void lower_priority_of_session() {
  const UniqueFd file(::open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC));
  if (!file) return;  // not in this kernel
  const auto text = fmt::format_int(kNiceness);
  [[maybe_unused]] const ssize_t ignored = ::write(file.get(), text.data(), text.size());
}

}  // namespace holdfast::worker
