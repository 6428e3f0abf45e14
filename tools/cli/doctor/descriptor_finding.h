// What becomes of descriptors that clients send to holdfastd.
#pragma once

#include "tools/cli/doctor/findings.h"

namespace holdfast::cli {

// `kernel_refuses`: as ipc::refuse_descriptors() found it.
Finding descriptor_finding(bool kernel_refuses);

// Asks the kernel.
Finding look_at_descriptors();

}  // namespace holdfast::cli
