// What makes an attacker's work harder where the kernel and the processor offer it. Not every host does: these calls
// say so instead of failing.
#pragma once

#include "sandbox/setup_error.h"

namespace holdfast::sandbox {

enum class Offered { yes, no };

// Has the processor not speculate past stores, nor by branches that another process has trained, while the calling
// process runs (PR_SPEC_STORE_BYPASS and PR_SPEC_INDIRECT_BRANCH of PR_SET_SPECULATION_CTRL in prctl(2)). Cannot be
// undone, and is inherited. `no`: the processor is affected by at least one, and the kernel gives a process no say in
// it; the other is still set. Layer "speculation".
[[nodiscard]] tl::expected<Offered, SetupError> restrict_speculation();

// Fixes the program's and its libraries' code in place: no later mprotect(2), munmap(2) or mmap(2) changes it, not even
// by code that can make these calls (mseal(2), Linux 6.10). Inherited by children. Call after all libraries are loaded.
// `no`: the kernel is older, or a container's filter refuses the call. Layer "code".
[[nodiscard]] tl::expected<Offered, SetupError> seal_code();

}  // namespace holdfast::sandbox
