// The supervisor's own sandbox. What clients and workers send is read by this one process: should a hole be found in
// it, it is not to be worth much.
#pragma once

#include "sandbox/seccomp_policy.h"
#include "sandbox/setup_error.h"

namespace holdfast::supervisor {

// Gives up what the event loop does not need: being root (it becomes uid 65534, as its workers are, which it must be
// able to signal), all capabilities, new privileges, being dumped or traced, and all system calls but those of
// sandbox::supervisor_policy(): no file can be opened, no program or process started, no socket made that leads
// anywhere. Files and processes are the broker's (broker.h), which must be there already. Layer "supervisor".
[[nodiscard]] sandbox::SetupResult give_up_rights(sandbox::ClientDescriptors descriptors);

}  // namespace holdfast::supervisor
