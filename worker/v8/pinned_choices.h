// Pins what V8 and the libraries under it would choose by the processor, the kernel, the host's memory or the
// environment. A worker then makes the same system calls wherever it runs, and one table of them is right everywhere
// (sandbox/seccomp_policy.cc). Each choice has a row with its reason; pinned_choices.cc also says what needs no row.
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

// Sets V8's flags: the rows for everywhere, and those for `where`. Must be called before v8::V8::Initialize(). V8
// reports a flag that it does not know on stderr and takes the others; rows are for several versions of V8.
void pin_flags(PinnedFlag::Where where);

}  // namespace holdfast::worker
