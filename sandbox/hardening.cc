#include "sandbox/hardening.h"

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "sandbox/loaded_segments.h"

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

namespace holdfast::sandbox {
namespace {

tl::expected<Offered, SetupError> disable_speculation(unsigned long kind, const char* name) {
  const int state = prctl(PR_GET_SPECULATION_CTRL, kind, 0, 0, 0);
  // The kernel or the architecture does not know this control.
  if (state < 0) return Offered::no;
  if (state == PR_SPEC_NOT_AFFECTED) return Offered::yes;
  if ((state & PR_SPEC_PRCTL) == 0) return (state & PR_SPEC_ENABLE) != 0 ? Offered::no : Offered::yes;
  if (prctl(PR_SET_SPECULATION_CTRL, kind, PR_SPEC_FORCE_DISABLE, 0, 0) == 0) return Offered::yes;
  return setup_failure("speculation", std::string("prctl(PR_SET_SPECULATION_CTRL, ") + name + ")", errno);
}

}  // namespace

tl::expected<Offered, SetupError> restrict_speculation() {
  const auto stores = disable_speculation(PR_SPEC_STORE_BYPASS, "PR_SPEC_STORE_BYPASS");
  if (!stores) return stores;
  const auto branches = disable_speculation(PR_SPEC_INDIRECT_BRANCH, "PR_SPEC_INDIRECT_BRANCH");
  if (!branches) return branches;
  return *stores == Offered::yes && *branches == Offered::yes ? Offered::yes : Offered::no;
}

tl::expected<Offered, SetupError> seal_code() {
  // A probe: with no memory, mseal(2) does nothing. A container's filter may refuse it even if the kernel has it.
  if (syscall(SYS_mseal, 0, 0, 0) != 0) return Offered::no;
  int error = 0;  // of the first segment that could not be sealed
  for (const LoadedSegment& segment : constant_segments()) {
    if (syscall(SYS_mseal, segment.begin, segment.end - segment.begin, 0) != 0 && error == 0) error = errno;
  }
  if (error == 0) return Offered::yes;
  return setup_failure("code", "mseal", error);
}

}  // namespace holdfast::sandbox
