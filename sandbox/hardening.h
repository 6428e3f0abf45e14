// Hardening that not every kernel or processor offers: these calls report what is missing instead of failing.
#pragma once

#include "sandbox/setup_error.h"

namespace holdfast::sandbox {

enum class Offered { yes, no };

// Stops the processor from speculating past stores, and with branch predictions trained by another process, while the
// calling process runs (PR_SPEC_STORE_BYPASS and PR_SPEC_INDIRECT_BRANCH of PR_SET_SPECULATION_CTRL in prctl(2)).
// Cannot be undone, and is inherited. `no`: the processor is affected by at least one of the two, and the kernel does
// not let a process control it; the other one is still set. Errors have layer "speculation".
[[nodiscard]] tl::expected<Offered, SetupError> restrict_speculation();

// Seals the code of the program and its libraries: no later mprotect(2), munmap(2) or mmap(2) can change it, even for
// an attacker that can make these calls (mseal(2), Linux 6.10). Inherited by children. Call after all libraries are
// loaded. `no`: the kernel is older, or a container's filter refuses mseal(2). Errors have layer "code".
[[nodiscard]] tl::expected<Offered, SetupError> seal_code();

}  // namespace holdfast::sandbox
