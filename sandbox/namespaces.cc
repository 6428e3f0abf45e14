#include "sandbox/namespaces.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>

#include "sandbox/privileges.h"
#include "sandbox/refusal.h"

namespace holdfast::sandbox {
namespace {

constexpr std::string_view kLayer = "namespaces";
constexpr std::string_view kRootLayer = "root";

constexpr int kNamespaces =
    CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_NEWPID;

// The failure of a call that hosts and containers may forbid. A function of its own, because advice_on_refusal()
// reads files and would change errno if a caller passed errno and the advice to setup_failure().
tl::unexpected<SetupError> refused(std::string_view layer, std::string_view call, int error) {
  return setup_failure(layer, call, error, advice_on_refusal(error));
}

// The kernel takes each of these files in a single write(2) (user_namespaces(7)).
SetupResult write_proc_file(const std::string& path, std::string_view text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) {
    const int error = errno;
    if (error == EACCES || error == EPERM) return refused(kLayer, "open " + path, error);
    return setup_failure(kLayer, "open " + path, error, "/proc must be mounted and writable");
  }
  const ssize_t written = write(fd, text.data(), text.size());
  const int error = errno;
  close(fd);
  if (written != static_cast<ssize_t>(text.size())) {
    return refused(kLayer, "write " + path, written < 0 ? error : EIO);
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
    constexpr const char* kCall = "unshare(user, mount, net, ipc, uts, cgroup, pid)";
    if (errno != EINVAL) return refused(kLayer, kCall, errno);
    return setup_failure(kLayer, kCall, EINVAL,
                         "the kernel must be built with every kind of namespace, and the caller must have one thread");
  }
  if (SetupResult done = map_ids(outside_uid, outside_gid); !done) return done;
  if (prctl(PR_SET_DUMPABLE, 0) != 0) return setup_failure(kLayer, "prctl(PR_SET_DUMPABLE, 0)", errno);
  return {};
}

SetupResult seal_root() {
  // In any other process this would take away the root of other processes.
  if (getpid() != 1) {
    return setup_failure(kRootLayer, "empty root without namespaces", EPERM,
                         "where namespaces may be missing, this layer is missing as well: allow both, --allow-missing "
                         "namespaces --allow-missing root");
  }
  // Exists for certain: enter_namespaces() wrote there.
  constexpr const char* kMountPoint = "/proc";
  constexpr unsigned long kInert = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  // One page, as 0 would mean unlimited (tmpfs(5)); two inodes, for the two directories.
  constexpr const char* kTiny = "size=4k,nr_inodes=2,mode=0555";

  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return refused(kRootLayer, "mount(make / private)", errno);
  }
  if (mount("none", kMountPoint, "tmpfs", kInert, kTiny) != 0) {
    return refused(kRootLayer, "mount(empty tmpfs)", errno);
  }
  if (chdir(kMountPoint) != 0) return setup_failure(kRootLayer, "chdir(empty tmpfs)", errno);
  if (mkdir("root", 0555) != 0) return setup_failure(kRootLayer, "mkdir(root)", errno);
  // Stacks the old root over the new one, so that it can be detached from there: pivot_root(2), "pivot_root(".",
  // ".")".
  if (syscall(SYS_pivot_root, ".", ".") != 0) {
    if (errno != EINVAL) return refused(kRootLayer, "pivot_root", errno);
    return setup_failure(kRootLayer, "pivot_root", EINVAL, "the host's root must not be an initramfs");
  }
  if (umount2(".", MNT_DETACH) != 0) return refused(kRootLayer, "umount2(old root)", errno);
  if (mount("none", "/", "tmpfs", MS_REMOUNT | MS_RDONLY | kInert, kTiny) != 0) {
    return refused(kRootLayer, "mount(remount / read-only)", errno);
  }
  // pivot_root has already sealed the files off. The chroot is there because a process in one cannot make a user
  // namespace (EPERM in unshare(2)), in which it would hold capabilities again.
  if (chroot("/root") != 0) return refused(kRootLayer, "chroot", errno);
  if (chdir("/") != 0) return setup_failure(kRootLayer, "chdir(/)", errno);

  constexpr std::string_view kHostName = "holdfast";
  if (sethostname(kHostName.data(), kHostName.size()) != 0) return setup_failure(kRootLayer, "sethostname", errno);
  if (setdomainname("", 0) != 0) return setup_failure(kRootLayer, "setdomainname", errno);
  return {};
}

}  // namespace holdfast::sandbox
