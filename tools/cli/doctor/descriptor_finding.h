// The doctor's finding on descriptors that clients send to holdfastd.
#pragma once

#include "tools/cli/doctor/findings.h"

namespace holdfast::cli {

// The finding; `kernel_refuses` is the result of ipc::refuse_descriptors().
Finding descriptor_finding(bool kernel_refuses);

// The finding on this host: asks the kernel.
Finding look_at_descriptors();

}  // namespace holdfast::cli
