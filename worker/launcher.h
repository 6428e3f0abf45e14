// The launcher: the process that the broker starts. It makes the empty world, starts the zygote as pid 1 in it, and
// waits for its end.
#pragma once

#include "worker/zygote_options.h"

namespace holdfast::worker {

// Enters the namespaces and starts the zygote there, or, where there is to be no zygote, the single worker; returns
// when that has ended, with the exit status for the launcher. kLauncherEndSignal ends it. `arguments` are those of
// main(): the launcher starts the program again inside. Then the process belongs to the new user namespace, so that
// whoever started it may look into it (holdfast doctor, ps), also without being root; and the zygote shares no memory
// with its launcher, which each fork would have to keep account of.
int run_launcher(const ZygoteOptions& options, char** arguments);

}  // namespace holdfast::worker
