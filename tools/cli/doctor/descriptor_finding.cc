#include "tools/cli/doctor/descriptor_finding.h"

#include <sys/socket.h>

#include "ipc/base/descriptor_refusal.h"
#include "ipc/base/unique_fd.h"

namespace holdfast::cli {

Finding descriptor_finding(bool kernel_refuses) {
  return {.layer = "supervisor",
          .aspect = "descriptors from clients",
          .state = kernel_refuses ? LayerState::active : LayerState::unavailable,
          .seen = kernel_refuses ? "refused by the kernel (SO_PASSRIGHTS)"
                                 : "no SO_PASSRIGHTS (needs Linux 6.16): a client that sends one is disconnected, and "
                                   "a separate process closes it"};
}

Finding look_at_descriptors() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return descriptor_finding(false);
  const UniqueFd ours(ends[0]), theirs(ends[1]);
  return descriptor_finding(ipc::refuse_descriptors(ours.get()));
}

}  // namespace holdfast::cli
