// Which system calls a locked worker can make: one table (seccomp_policy.cc), with a reason for every row. The table is
// compiled to a BPF program once, in the zygote, and loaded by each worker with one system call (seccomp(2)).
//
// A call that no row matches is not carried out: the thread gets SIGSYS, with the call's number in si_syscall, which
// kills a worker without a handler for it. Calls through the interface of another architecture (int 0x80, x32) kill
// the process, with or without a handler.
#pragma once

#include <linux/filter.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/setup_error.h"

namespace holdfast::sandbox {

enum class Profile {
  strict,  // no executable memory can be made: for V8 with --jitless
  jit,     // strict, but memory that was written can be made executable; never writable and executable at once
};

// True of a call whose argument, counted from 0, satisfies (argument & mask) == value.
struct ArgumentCondition {
  unsigned argument = 0;
  std::uint64_t mask = 0;
  std::uint64_t value = 0;
};

// A rule matches a call if all of its conditions hold.
struct ArgumentRule {
  std::array<ArgumentCondition, 2> conditions{};
  std::size_t condition_count = 0;
};

// A row allows a system call. Several rows for one call are alternatives.
struct PolicyRow {
  const char* system_call;
  ArgumentRule rule;
  const char* reason;
};

// The rows of `profile`, in the table's order. They live as long as the program.
[[nodiscard]] std::span<const PolicyRow> policy(Profile profile);

// Whether clients can send descriptors to the supervisor, which depends on the kernel (ipc/base/descriptor_refusal.h).
enum class ClientDescriptors { refused, possible };

// The rows for the supervisor itself, once it serves (supervisor_policy.cc).
[[nodiscard]] std::span<const PolicyRow> supervisor_policy(ClientDescriptors descriptors);

// The rows for the closer, the process that closes descriptors from clients on kernels where clients can send them
// (closer_policy.cc).
[[nodiscard]] std::span<const PolicyRow> closer_policy();

// The rows as a table in Markdown: system call, rule for its arguments, reason.
[[nodiscard]] std::string to_markdown(std::span<const PolicyRow> rows);

struct SeccompProgram {
  std::vector<sock_filter> instructions;
};

// Compiles `rows` for the machine's own architecture. Takes a fraction of a millisecond; needs no file system.
[[nodiscard]] tl::expected<SeccompProgram, SetupError> compile(std::span<const PolicyRow> rows);

// Locks the calling process, with all of its threads, to `program`. Irrevocable, and inherited by children. Requires
// no_new_privs (drop_privileges()). Makes one system call; allocates only if it fails.
[[nodiscard]] SetupResult load(const SeccompProgram& program);

// The name of system call `number` on this machine, or "unknown". Lives as long as the program. Safe in any thread, not
// in a signal handler.
[[nodiscard]] std::string_view syscall_name(int number);

}  // namespace holdfast::sandbox
