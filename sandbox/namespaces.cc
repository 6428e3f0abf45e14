#include "sandbox/namespaces.h"

#include <cerrno>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <string>
#include <string_view>
#include <unistd.h>

#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "sandbox/privileges.h"

namespace holdfast::sandbox {
namespace {

constexpr std::string_view kLayer = "namespaces";
constexpr std::string_view kRootLayer = "root";

constexpr int kNamespaces =
    CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_NEWPID;

constexpr std::string_view kContainerAdvice =
    "inside a container, its seccomp and AppArmor profiles must allow unshare, mount and pivot_root";

constexpr std::string_view kPrivilegeAdvice =
    "unprivileged user namespaces are refused here: set sysctl kernel.unprivileged_userns_clone=1 (Debian) or "
    "kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu, or an AppArmor profile with the userns permission); "
    "inside a container, its seccomp and AppArmor profiles must allow unshare, mount and pivot_root";

std::string_view unshare_advice(int error) {
  switch (error) {
    case EPERM:
    case EACCES:
    case ENOSYS:
      return kPrivilegeAdvice;
    case ENOSPC:
    case EUSERS:
      return "raise sysctl user.max_user_namespaces and its siblings (user.max_{mnt,net,ipc,uts,cgroup,pid}_"
             "namespaces); 0 means that they are switched off";
    case EINVAL:
      return "the kernel must be built with every kind of namespace, and the caller must have one thread";
    default:
      return {};
  }
}

// The kernel takes each of these files in a single write(2) (user_namespaces(7)).
SetupResult write_proc_file(const std::string& path, std::string_view text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return setup_failure(kLayer, "open " + path, errno, "/proc must be mounted and writable");
  const ssize_t written = write(fd, text.data(), text.size());
  const int error = errno;
  close(fd);
  if (written != static_cast<ssize_t>(text.size())) {
    return setup_failure(kLayer, "write " + path, written < 0 ? error : EIO, kPrivilegeAdvice);
  }
  return {};
}

SetupResult map_ids(uid_t outside_uid, gid_t outside_gid) {
  const auto only = [](id_t outside) { return std::to_string(kNobody) + " " + std::to_string(outside) + " 1"; };
  // Without CAP_SETGID outside, the kernel takes a gid_map only once setgroups(2) is denied.
  return write_proc_file("/proc/self/setgroups", "deny")
      .and_then([&] { return write_proc_file("/proc/self/uid_map", only(outside_uid)); })
      .and_then([&] { return write_proc_file("/proc/self/gid_map", only(outside_gid)); });
}

}  // namespace

SetupResult enter_namespaces() {
  if (geteuid() == 0) {
    if (SetupResult done = become_nobody(); !done) {
      done.error().layer = kLayer;
      return done;
    }
  }
  // A process that is not dumpable does not own its /proc/self (proc(5)), and a change of ids makes it so.
  if (prctl(PR_SET_DUMPABLE, 1) != 0) return setup_failure(kLayer, "prctl(PR_SET_DUMPABLE, 1)", errno);
  const uid_t outside_uid = geteuid();
  const gid_t outside_gid = getegid();
  if (unshare(kNamespaces) != 0) {
    return setup_failure(kLayer, "unshare(user, mount, net, ipc, uts, cgroup, pid)", errno, unshare_advice(errno));
  }
  if (SetupResult done = map_ids(outside_uid, outside_gid); !done) return done;
  if (prctl(PR_SET_DUMPABLE, 0) != 0) return setup_failure(kLayer, "prctl(PR_SET_DUMPABLE, 0)", errno);
  return {};
}

SetupResult seal_root() {
  // Elsewhere it would be the root of others that is taken away.
  if (getpid() != 1)
    return setup_failure(kRootLayer, "seal_root outside of a pid namespace of its own", EPERM, kPrivilegeAdvice);
  // Certain to exist: enter_namespaces() wrote there.
  constexpr const char* kMountPoint = "/proc";
  constexpr unsigned long kInert = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  // One page, as 0 would mean unlimited (tmpfs(5)); two inodes, for the two directories.
  constexpr const char* kTiny = "size=4k,nr_inodes=2,mode=0555";

  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return setup_failure(kRootLayer, "mount(make / private)", errno, kPrivilegeAdvice);
  }
  if (mount("none", kMountPoint, "tmpfs", kInert, kTiny) != 0) {
    return setup_failure(kRootLayer, "mount(empty tmpfs)", errno, kPrivilegeAdvice);
  }
  if (chdir(kMountPoint) != 0) return setup_failure(kRootLayer, "chdir(empty tmpfs)", errno);
  if (mkdir("root", 0555) != 0) return setup_failure(kRootLayer, "mkdir(root)", errno);
  // Stacks the old root over the new one, from where it is then detached: pivot_root(2), "pivot_root(".", ".")".
  if (syscall(SYS_pivot_root, ".", ".") != 0) {
    return setup_failure(kRootLayer, "pivot_root", errno,
                         errno == EINVAL ? "the host's root must not be an initramfs" : kContainerAdvice);
  }
  if (umount2(".", MNT_DETACH) != 0) return setup_failure(kRootLayer, "umount2(old root)", errno, kContainerAdvice);
  if (mount("none", "/", "tmpfs", MS_REMOUNT | MS_RDONLY | kInert, kTiny) != 0) {
    return setup_failure(kRootLayer, "mount(remount / read-only)", errno, kContainerAdvice);
  }
  // pivot_root has sealed the files off already. A process in a chroot can make no user namespace (EPERM in
  // unshare(2)), where it would hold capabilities again.
  if (chroot("/root") != 0) return setup_failure(kRootLayer, "chroot", errno, kContainerAdvice);
  if (chdir("/") != 0) return setup_failure(kRootLayer, "chdir(/)", errno);

  constexpr std::string_view kHostName = "holdfast";
  if (sethostname(kHostName.data(), kHostName.size()) != 0) return setup_failure(kRootLayer, "sethostname", errno);
  if (setdomainname("", 0) != 0) return setup_failure(kRootLayer, "setdomainname", errno);
  return {};
}

}  // namespace holdfast::sandbox
