// Why the kernel may have refused a namespace or a mount, and what to change, as far as the process can tell.
#pragma once

#include <string>

namespace holdfast::sandbox {

// The facts about this process and host that a refusal depends on. A fact that cannot be read has the value of a host
// that refuses nothing.
struct Surroundings {
  bool is_filtered = false;          // a seccomp filter is in force, before Holdfast loads its own (proc(5), Seccomp)
  bool is_chroot = false;            // no file system is mounted at / as this process sees it
  bool ids_are_mapped = true;        // the process's uid and gid have numbers in its user namespace
  bool clone_is_privileged = false;  // kernel.unprivileged_userns_clone is 0 (Debian)
  bool apparmor_restricts = false;   // kernel.apparmor_restrict_unprivileged_userns is 1 (Ubuntu)
  std::string apparmor_profile;      // the profile that confines this process; empty: none
  std::string exhausted_limits;      // sysctls user.max_*_namespaces that are 0, separated by spaces
};

Surroundings look_around();

// What to change if unshare(2), a mount or a file in /proc was refused with `error` (an errno value), in
// `surroundings`. Empty if there is no advice for this error. Pure.
std::string advice_on_refusal(int error, const Surroundings& surroundings);

// What to change if unshare(2), a mount or a file in /proc was refused with `error` to this process; reads
// look_around().
std::string advice_on_refusal(int error);

}  // namespace holdfast::sandbox
