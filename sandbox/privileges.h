// Gives up, for good, everything that a process may do beyond its plain user's rights.
#pragma once

#include <sys/types.h>

#include "sandbox/setup_error.h"

namespace holdfast::sandbox {

// No new privileges through execve(2); all capability sets empty, the bounding and ambient ones included; securebits
// that would bring capabilities back locked (capabilities(7)); not dumpable, so that only a holder of CAP_SYS_PTRACE
// outside can look into the process.
//
// Call in the zygote with one thread, after seal_root(). Children inherit all of it. Can be called again.
[[nodiscard]] SetupResult drop_privileges();

// The uid and gid of "nobody", the overflow id (/proc/sys/kernel/overflowuid): owns nothing on any well-kept host.
inline constexpr id_t kNobody = 65534;

// Has root become uid and gid kNobody, without supplementary groups, for good. Takes CAP_SETUID and
// CAP_SETGID. Layer "privileges".
[[nodiscard]] SetupResult become_nobody();

// Gives the caller, and the children that it makes from now on, a session keyring of their own, with no keys of the
// host's session in it (keyrings(7)). Each counts against the user's quota: one for all workers is enough, as none can
// use it.
[[nodiscard]] SetupResult join_new_session_keyring();

// Has the capabilities that the caller holds now survive the next execve(2), which otherwise leaves none to a process
// that is not root: they become ambient (capabilities(7)). Inside a user namespace of its own, before
// drop_privileges().
[[nodiscard]] SetupResult keep_capabilities_over_exec();

// Has the kernel send `signal` to the caller when the thread that forked it ends (PR_SET_PDEATHSIG in prctl(2)). Not
// inherited: each child asks for itself. A parent that is gone already sends nothing: the caller compares getppid(2)
// afterwards, or notices that its socket is closed.
[[nodiscard]] SetupResult die_with_parent(int signal);

}  // namespace holdfast::sandbox
