// Checks which features of the engine run in a locked worker on this host: one call for each feature that may need
// more from the processor or the kernel than the sandbox allows.
#pragma once

#include <string_view>
#include <vector>

#include "ipc/client.h"
#include "tools/cli/doctor/findings.h"

namespace holdfast::cli {

// The functions to call, as a part of the doctor's module.
extern const std::string_view kEngineFeaturesCode;

// Calls each function of kEngineFeaturesCode in doctor@1. A feature whose call fails is `missing`, with the call's
// error as `seen`. With `strict`, skips WebAssembly, which the strict profile does not have. A call may end the
// worker, so examine the worker first.
std::vector<Finding> try_engine_features(ipc::Client& client, bool strict);

}  // namespace holdfast::cli
