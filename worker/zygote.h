// The zygote: a process with V8 up and the world shut out, which forks workers on request and does nothing else.
#pragma once

#include <sys/resource.h>

#include <chrono>

#include "sandbox/setup_error.h"
#include "worker/zygote_options.h"

namespace holdfast::worker {

// Brings V8 up, seals itself off and serves fork requests until the supervisor closes the control socket; or, with
// `single_worker`, becomes that worker. To be called in pid 1 of the new pid namespace.
[[noreturn]] void run_zygote(const ZygoteOptions& options);

// What a process used that was waited for.
std::chrono::nanoseconds cpu_time(const rusage& usage);

// Tells the supervisor why there can be no worker, and ends.
[[noreturn]] void give_up(const ZygoteOptions& options, const std::string& reason);

// Returns if the layer is in place, or is allowed to be missing. Else tells the supervisor why not, and ends.
void require(const ZygoteOptions& options, const sandbox::SetupResult& result);

}  // namespace holdfast::worker
