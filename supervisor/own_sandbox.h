// The supervisor's own sandbox. This one process reads what clients and workers send: if somebody finds a hole in it,
// the process must not be worth much.
#pragma once

#include "sandbox/seccomp_policy.h"
#include "sandbox/setup_error.h"

namespace holdfast::supervisor {

// Gives up what the event loop does not need: being root, all capabilities, new privileges, being dumped or traced,
// and all system calls but those of sandbox::supervisor_policy(). If the process is root, it becomes uid 65534, the
// uid of its workers, which it must be able to signal. From then on it can open no file, start no program or process,
// and make no socket that leads anywhere. The broker (broker.h), which must be running already, does what needs files
// and processes. An error has the layer "supervisor".
[[nodiscard]] sandbox::SetupResult give_up_rights(sandbox::ClientDescriptors descriptors);

}  // namespace holdfast::supervisor
