// The zygote: a sandboxed process with V8 running, which forks workers on request and does nothing else.
#pragma once

#include <sys/resource.h>

#include <chrono>

#include "sandbox/setup_error.h"
#include "worker/process/zygote_options.h"

namespace holdfast::worker {

// Starts V8, locks the process down, and serves fork requests until the supervisor closes the control socket. With
// `single_worker`, becomes that worker instead. Must be called in pid 1 of the new pid namespace.
[[noreturn]] void run_zygote(const ZygoteOptions& options);

// The CPU time, user and system, of a process that was waited for.
std::chrono::nanoseconds cpu_time(const rusage& usage);

// Tells the supervisor why there can be no worker, and ends the process.
[[noreturn]] void give_up(const ZygoteOptions& options, const std::string& reason);

// Returns if the layer is in place, or is allowed to be missing. Otherwise tells the supervisor why not, and ends the
// process.
void require(const ZygoteOptions& options, const sandbox::SetupResult& result);

}  // namespace holdfast::worker
