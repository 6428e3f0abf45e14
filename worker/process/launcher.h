// The launcher: the process that the broker starts. It enters new namespaces, starts the zygote in them as pid 1, and
// waits for the zygote's end.
#pragma once

#include "worker/process/zygote_options.h"

namespace holdfast::worker {

// Enters the namespaces and starts the zygote there, or, with ZygoteOptions::single_worker, the single worker.
// Returns when that process has ended, with the exit status for the launcher. kLauncherEndSignal makes the launcher
// kill it. `arguments` are those of main(), because the launcher executes the program again inside the namespaces.
// That has two effects. The process belongs to the new user namespace, so that the user who started it may look into
// it (holdfast doctor, ps) without being root. And the zygote shares no memory with its launcher, which each fork
// would have to account for.
int run_launcher(const ZygoteOptions& options, char** arguments);

}  // namespace holdfast::worker
