// The empty environment of the zygote and its workers: no files, no network, no other processes, and no user but
// "nobody". Works with and without root.
//
// The order of calls: enter_namespaces() in the launcher, then fork(2) once, then seal_root() in the child, which is
// pid 1.
#pragma once

#include "sandbox/setup_error.h"

namespace holdfast::sandbox {

// Moves the calling process into new user, mount, network, IPC, UTS and cgroup namespaces, and its next child into a
// new pid namespace (unshare(2), namespaces(7)). Inside, the caller is uid and gid 65534, holds every capability over
// the new namespaces and none over the host's.
//
// A caller whose effective uid is 0 first becomes uid and gid 65534 of the host, without supplementary groups, so
// that even an escape from the namespaces would only be user "nobody". Any other caller keeps its ids and groups on
// the host.
//
// Call once, in a process with one thread, before the fork. The child is pid 1 inside, and its death kills all other
// processes there (pid_namespaces(7)). Needs /proc. Leaves the process not dumpable. Set a parent-death signal
// afterwards: the kernel clears it when ids change (PR_SET_PDEATHSIG in prctl(2)). On an error some of this may
// already have happened; the process should only report the error and end.
[[nodiscard]] SetupResult enter_namespaces();

// Replaces the root directory with an empty, read-only, nosuid, nodev, noexec file system and detaches everything
// else. Afterwards no path of the host resolves, there is no /proc, and no further user namespace can be made. The
// host name becomes "holdfast".
//
// Call in pid 1, after enter_namespaces() and before drop_privileges(), and after everything that needs a file.
// Descriptors that were opened before stay usable: close those that lead to the host. The launcher shares the mount
// namespace, so its root changes too.
[[nodiscard]] SetupResult seal_root();

}  // namespace holdfast::sandbox
