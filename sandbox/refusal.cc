#include "sandbox/refusal.h"

#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string_view>

namespace holdfast::sandbox {
namespace {

std::string first_word(const std::string& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return word;
}

std::string status_field(std::string_view name) {
  std::ifstream file("/proc/self/status");
  for (std::string word; file >> word;) {
    if (word == name && file >> word) return word;
  }
  return {};
}

// user_namespaces(7): lines of first id inside, first id outside, count.
bool is_mapped(const char* map, std::uint64_t id) {
  std::ifstream file(map);
  if (!file) return true;
  for (std::uint64_t inside, outside, count; file >> inside >> outside >> count;) {
    if (id >= inside && id - inside < count) return true;
  }
  return false;
}

bool has_mount_at_root() {
  std::ifstream file("/proc/self/mountinfo");
  if (!file) return true;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string id, parent, device, root, mount_point;
    if (words >> id >> parent >> device >> root >> mount_point && mount_point == "/") return true;
  }
  return false;
}

// Such as "docker-default (enforce)"; "unconfined" counts as none.
std::string apparmor_profile() {
  std::ifstream file("/proc/self/attr/apparmor/current");
  std::string profile;
  std::getline(file, profile);
  return profile == "unconfined" ? "" : profile;
}

}  // namespace

Surroundings look_around() {
  Surroundings found;
  found.is_filtered = status_field("Seccomp:") == "2";
  found.is_chroot = !has_mount_at_root();
  found.ids_are_mapped = is_mapped("/proc/self/uid_map", ::geteuid()) && is_mapped("/proc/self/gid_map", ::getegid());
  found.clone_is_privileged = first_word("/proc/sys/kernel/unprivileged_userns_clone") == "0";
  found.apparmor_restricts = first_word("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1";
  found.apparmor_profile = apparmor_profile();
  for (const char* kind : {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"}) {
    const std::string name = std::string("max_") + kind + "_namespaces";
    if (first_word("/proc/sys/user/" + name) != "0") continue;
    found.exhausted_limits.append(found.exhausted_limits.empty() ? "" : " ").append("user." + name);
  }
  return found;
}

std::string advice_on_refusal(int error, const Surroundings& surroundings) {
  if (error == ENOSPC || error == EUSERS) {
    if (surroundings.exhausted_limits.empty()) {
      return "raise the limits of namespaces (sysctl user.max_user_namespaces, and of mnt, pid, net, ipc, uts and "
             "cgroup), "
             "here and in the user namespaces around this one (a container's, or those of bwrap --disable-userns)";
    }
    return "raise what is 0 here: sysctl " + surroundings.exhausted_limits +
           "; where a container or bwrap --disable-userns has set it, start that without";
  }
  if (error != EPERM && error != EACCES && error != ENOSYS) return {};
  std::string causes;
  const auto add = [&](const std::string& cause) { causes.append(causes.empty() ? "" : "; ").append(cause); };
  if (surroundings.is_filtered) {
    add("a seccomp filter refuses it, a container's or a service manager's: allow unshare, clone with new namespaces, "
        "mount, umount2, pivot_root, sethostname and setdomainname there (a container's seccomp profile; systemd's "
        "SystemCallFilter= and RestrictNamespaces=)");
  }
  if (!surroundings.apparmor_profile.empty()) {
    add("the AppArmor profile " + surroundings.apparmor_profile + " may refuse it: it must allow userns and mount");
  }
  if (surroundings.clone_is_privileged) add("set sysctl kernel.unprivileged_userns_clone=1");
  if (surroundings.apparmor_restricts) {
    add("AppArmor refuses it to programs without a profile: give holdfastd and holdfast-worker one with the userns "
        "permission, or set sysctl kernel.apparmor_restrict_unprivileged_userns=0");
  }
  if (surroundings.is_chroot) add("in a chroot no user namespace can be made: use a mount namespace instead");
  if (!surroundings.ids_are_mapped) {
    add("this user's or group's id has no number in the user namespace around it: map it there, or start as another "
        "user");
  }
  if (!causes.empty()) return causes;
  return "unprivileged user namespaces are refused here: sysctl kernel.unprivileged_userns_clone must be 1 (Debian), "
         "kernel.apparmor_restrict_unprivileged_userns 0 (Ubuntu), and a container's seccomp and AppArmor profiles "
         "must "
         "allow unshare, mount and pivot_root";
}

std::string advice_on_refusal(int error) { return advice_on_refusal(error, look_around()); }

}  // namespace holdfast::sandbox
