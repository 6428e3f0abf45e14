// The empty world that the zygote and its workers live in: no files, no network, no processes but their own, no users
// but nobody. Works with and without root.
//
// In order: enter_namespaces() in the launcher; fork(2) once; seal_root() in the child, which is pid 1.
#pragma once

#include "sandbox/setup_error.h"

namespace holdfast::sandbox {

// Moves the calling process into new user, mount, network, IPC, UTS and cgroup namespaces, and its next child into a
// new pid namespace (unshare(2), namespaces(7)). Inside, the caller is uid and gid 65534, holds every capability over
// the new namespaces and none over the host's.
//
// A caller whose effective uid is 0 first becomes uid and gid 65534 of the host, without supplementary groups, so that
// even an escape from the namespaces would land as nobody. Any other caller keeps its ids and groups outside.
//
// Call once, in a process with one thread, before the fork: that child is pid 1 inside and its death kills all others
// there (pid_namespaces(7)). Needs /proc. Leaves the process not dumpable. A parent-death signal that was set before
// may be lost, as the kernel clears it when ids change (PR_SET_PDEATHSIG in prctl(2)): set it afterwards.
// On an error some of this may have happened already; the process is good for nothing but reporting it.
[[nodiscard]] SetupResult enter_namespaces();

// Replaces the root directory by an empty, read-only, nosuid, nodev, noexec file system and detaches everything else:
// afterwards no path of the host resolves, there is no /proc, and no further user namespace can be made. The host name
// becomes "holdfast".
//
// Call in pid 1, after enter_namespaces() and before drop_privileges(). Whatever needs a file is done before, and
// descriptors opened before stay usable: close those that lead to the host. The launcher shares the mount namespace,
// so its root changes too.
[[nodiscard]] SetupResult seal_root();

}  // namespace holdfast::sandbox
