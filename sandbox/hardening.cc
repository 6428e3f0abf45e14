#include "sandbox/hardening.h"

#include <cerrno>
#include <cstdint>
#include <link.h>
#include <unistd.h>

#include <sys/prctl.h>
#include <sys/syscall.h>

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

namespace holdfast::sandbox {
namespace {

tl::expected<Offered, SetupError> disable_speculation(unsigned long kind, const char* name) {
  const int state = prctl(PR_GET_SPECULATION_CTRL, kind, 0, 0, 0);
  // A kernel or an architecture that does not know of it.
  if (state < 0) return Offered::no;
  if (state == PR_SPEC_NOT_AFFECTED) return Offered::yes;
  if ((state & PR_SPEC_PRCTL) == 0) return (state & PR_SPEC_ENABLE) != 0 ? Offered::no : Offered::yes;
  if (prctl(PR_SET_SPECULATION_CTRL, kind, PR_SPEC_FORCE_DISABLE, 0, 0) == 0) return Offered::yes;
  return setup_failure("speculation", std::string("prctl(PR_SET_SPECULATION_CTRL, ") + name + ")", errno);
}

struct Sealing {
  std::uintptr_t page_size;
  int error = 0;  // of the first segment that could not be sealed
};

int seal_segments(dl_phdr_info* object, std::size_t, void* data) {
  Sealing& sealing = *static_cast<Sealing*>(data);
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = object->dlpi_phdr[i];
    // What is writable now may have to stay so; code and constants are not.
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
    const std::uintptr_t begin = (object->dlpi_addr + segment.p_vaddr) & ~(sealing.page_size - 1);
    const std::uintptr_t end =
        (object->dlpi_addr + segment.p_vaddr + segment.p_memsz + sealing.page_size - 1) & ~(sealing.page_size - 1);
    if (syscall(SYS_mseal, begin, end - begin, 0) != 0 && sealing.error == 0) sealing.error = errno;
  }
  return 0;
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
  // Of no memory, it does nothing but to be there. A container's filter may refuse what its kernel has.
  if (syscall(SYS_mseal, 0, 0, 0) != 0) return Offered::no;
  Sealing sealing{static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE))};
  dl_iterate_phdr(seal_segments, &sealing);
  if (sealing.error == 0) return Offered::yes;
  return setup_failure("code", "mseal", sealing.error);
}

}  // namespace holdfast::sandbox
