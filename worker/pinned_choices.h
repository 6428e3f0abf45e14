// What V8 and the libraries under it would choose by the processor, the kernel, the host's memory or the environment,
// pinned: a worker makes the same system calls wherever it runs, so that one table of them holds everywhere
// (sandbox/seccomp_policy.cc). One row for each choice, with its reason; pinned_choices.cc also says what needs no row.
#pragma once

#include <span>

namespace holdfast::worker {

struct PinnedFlag {
  enum class Where { everywhere, jitless };
  const char* flag;
  const char* reason;
  Where where = Where::everywhere;
};
std::span<const PinnedFlag> pinned_flags();

// Sets V8's flags; before v8::V8::Initialize(). V8 says on stderr which flag it does not know (rows are for several
// versions of V8), and takes the others.
void pin_flags(bool jitless);

}  // namespace holdfast::worker
