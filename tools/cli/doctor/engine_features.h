// What of the engine runs in a locked worker on this host: one call for each feature that may need more from the
// processor or the kernel than the sandbox lets it have.
#pragma once

#include <string_view>
#include <vector>

#include "ipc/client.h"
#include "tools/cli/doctor/findings.h"

namespace holdfast::cli {

// Part of the doctor's module: the functions that are called.
extern const std::string_view kEngineFeaturesCode;

// Calls each function of that part in doctor@1. A feature that fails is missing, with the call's error as what was
// seen. In the strict profile there is no WebAssembly to be called. The worker may end with a call: look at it before.
std::vector<Finding> try_engine_features(ipc::Client& client, bool strict);

}  // namespace holdfast::cli
