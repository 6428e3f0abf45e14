// Why the kernel may have refused a namespace or a mount here, and what to change: as far as a process can tell.
#pragma once

#include <string>

namespace holdfast::sandbox {

// What a refusal depends on. What cannot be read is as on a host that refuses nothing.
struct Surroundings {
  bool is_filtered = false;          // a seccomp filter was there before any of Holdfast's (proc(5), Seccomp)
  bool is_chroot = false;            // no file system is mounted at / as this process sees it
  bool ids_are_mapped = true;        // its own uid and gid have numbers in its user namespace
  bool clone_is_privileged = false;  // kernel.unprivileged_userns_clone is 0 (Debian)
  bool apparmor_restricts = false;   // kernel.apparmor_restrict_unprivileged_userns is 1 (Ubuntu)
  std::string apparmor_profile;      // that confines this process; empty: none
  std::string exhausted_limits;      // sysctls user.max_*_namespaces that are 0, separated by spaces
};

Surroundings look_around();

// What to change where unshare(2), a mount or a file in /proc was refused with `error` (an errno value). Pure.
std::string advice_on_refusal(int error, const Surroundings& surroundings);

// The same for where this process is.
std::string advice_on_refusal(int error);

}  // namespace holdfast::sandbox
