// Permanently gives up all rights of a process beyond those of its plain user.
#pragma once

#include <sys/types.h>

#include "sandbox/setup_error.h"

namespace holdfast::sandbox {

// Forbids new privileges through execve(2), empties all capability sets, the bounding and ambient ones included, and
// locks the securebits that could bring capabilities back (capabilities(7)). Makes the process not dumpable, so that
// only a holder of CAP_SYS_PTRACE outside can look into it.
//
// Call in the zygote while it has one thread, after seal_root(). Children inherit all of it. Can be called again.
[[nodiscard]] SetupResult drop_privileges();

// The uid and gid of "nobody", which is also the overflow id (/proc/sys/kernel/overflowuid): on a well-kept host it
// owns nothing.
inline constexpr id_t kNobody = 65534;

// Permanently changes root to uid and gid kNobody, without supplementary groups. Needs CAP_SETUID and CAP_SETGID.
// Errors have layer "privileges".
[[nodiscard]] SetupResult become_nobody();

// Gives the caller, and the children that it makes from now on, a new session keyring without keys of the host's
// session (keyrings(7)). Each keyring counts against the user's quota. One for all workers is enough, because no
// worker can use it.
[[nodiscard]] SetupResult join_new_session_keyring();

// Makes the caller's capabilities ambient (capabilities(7)), so that they survive the next execve(2), which otherwise
// leaves a process that is not root none. Call inside a user namespace of the caller's own, before drop_privileges().
[[nodiscard]] SetupResult keep_capabilities_over_exec();

// Has the kernel send `signal` to the caller when the thread that forked it ends (PR_SET_PDEATHSIG in prctl(2)). Not
// inherited: each child asks for itself. If the parent is already gone, no signal comes: the caller must compare
// getppid(2) afterwards, or notice that its socket is closed.
[[nodiscard]] SetupResult die_with_parent(int signal);

}  // namespace holdfast::sandbox
