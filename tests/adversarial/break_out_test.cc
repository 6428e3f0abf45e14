// Attempts to leave the sandbox with valid arguments, which would do harm if they succeeded, made by a worker that
// survives refusals. From outside, the worker and all other processes must stay as they were.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/kcmp.h>
#include <linux/keyctl.h>
#include <linux/quota.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "tests/adversarial/siege.h"
#include "tests/support/processes.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

// The properties of a process that must not change, as the kernel shows them: ids, rights, resources.
std::string portrait(pid_t pid) {
  std::string text = fmt::format("{}\n", pid);
  for (const char* field : {"Tgid",
                            "PPid",
                            "TracerPid",
                            "Uid",
                            "Gid",
                            "FDSize",
                            "Groups",
                            "NSpid",
                            "NSsid",
                            "Threads",
                            "SigBlk",
                            "SigIgn",
                            "SigCgt",
                            "CapInh",
                            "CapPrm",
                            "CapEff",
                            "CapBnd",
                            "CapAmb",
                            "NoNewPrivs",
                            "Seccomp",
                            "Seccomp_filters",
                            "VmLck",
                            "VmPin",
                            "Cpus_allowed",
                            "Mems_allowed",
                            "Speculation_Store_Bypass"}) {
    text += fmt::format("{}: {}\n", field, status_field(pid, field));
  }
  text += read_file(fmt::format("/proc/{}/limits", pid)) + read_file(fmt::format("/proc/{}/personality", pid)) +
          read_file(fmt::format("/proc/{}/oom_score_adj", pid)) + read_file(fmt::format("/proc/{}/comm", pid)) +
          read_file(fmt::format("/proc/{}/cmdline", pid)) + read_file(fmt::format("/proc/{}/mountinfo", pid));
  for (const char* kind : {"user", "pid", "mnt", "net", "ipc", "uts", "cgroup", "time"}) {
    text += namespace_of(pid, kind) + "\n";
  }
  for (const std::string& target : descriptors_of(pid)) text += target + "\n";
  text += fmt::format("children: {}\n", children_of(pid).size());
  return text;
}

// Checks that each of the calls is refused, that the worker, the zygote and the launcher are unchanged, and so are the
// limits of the supervisor and of this process.
void check_kept(const std::vector<NativeCall>& calls) {
  Siege siege;
  const pid_t attacker = siege.worker();
  const pid_t zygote = siege.daemon().zygote(), launcher = siege.daemon().launcher();
  const auto limits = [](pid_t pid) { return read_file(fmt::format("/proc/{}/limits", pid)); };
  const std::string before = portrait(attacker), launcher_before = portrait(launcher);
  const std::string supervisor_limits = limits(siege.daemon().pid()), own_limits = limits(::getpid());
  const std::string zygote_limits = limits(zygote);
  const auto family = siege.daemon().workers();
  const auto outcomes = siege.survey(calls);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    CAPTURE(calls[i].json);
    CAPTURE(outcomes[i].to_string());
    CHECK(outcomes[i].refused);
  }
  CHECK(siege.worker() == attacker);
  CHECK(portrait(attacker) == before);
  CHECK(portrait(launcher) == launcher_before);
  CHECK(siege.daemon().zygote() == zygote);
  CHECK(siege.daemon().workers() == family);
  CHECK(limits(siege.daemon().pid()) == supervisor_limits);
  CHECK(limits(zygote) == zygote_limits);
  CHECK(limits(::getpid()) == own_limits);
  siege.end();
}

TEST_CASE("no file is opened, read, found, made or removed") {
  const TemporaryFolder folder;
  const std::string victim = folder.write("victim", "untouched"), made = folder.path() / "made";
  const NativeArgument memory = at("memory");
  std::vector<NativeCall> calls;
  for (const std::string& path : {std::string("/etc/passwd"), std::string("/proc/self/mem"), std::string("/"),
                                  std::string("."), std::string(".."), std::string("../../../../etc/shadow"), victim}) {
    const NativeArgument name = text(path);
    for (const long flags : {O_RDONLY, O_PATH, O_RDWR | O_CREAT, O_DIRECTORY, O_TMPFILE | O_RDWR}) {
      calls.push_back(native_call(SYS_open, name, flags, 0600));
      calls.push_back(native_call(SYS_openat, AT_FDCWD, name, flags, 0600));
      calls.push_back(native_call(SYS_openat2, AT_FDCWD, name, structure({word(flags), word(0), word(0)}), 24));
    }
    calls.push_back(native_call(SYS_stat, name, memory));
    calls.push_back(native_call(SYS_lstat, name, memory));
    calls.push_back(native_call(SYS_newfstatat, AT_FDCWD, name, memory, 0));
    calls.push_back(native_call(SYS_statx, AT_FDCWD, name, 0, 0xfff, memory));
    calls.push_back(native_call(SYS_access, name, R_OK));
    calls.push_back(native_call(SYS_faccessat, AT_FDCWD, name, R_OK));
    calls.push_back(native_call(SYS_readlink, name, memory, 4096));
    calls.push_back(native_call(SYS_readlinkat, AT_FDCWD, name, memory, 4096));
    calls.push_back(native_call(SYS_name_to_handle_at, AT_FDCWD, name, memory, memory, 0));
    calls.push_back(native_call(SYS_statfs, name, memory));
    calls.push_back(native_call(SYS_getxattr, name, text("security.capability"), memory, 64));
    calls.push_back(native_call(SYS_chdir, name));
    calls.push_back(native_call(SYS_truncate, name, 0));
    calls.push_back(native_call(SYS_unlink, name));
    calls.push_back(native_call(SYS_chmod, name, 0777));
    calls.push_back(native_call(SYS_chown, name, 0, 0));
    calls.push_back(native_call(SYS_rename, name, text(made)));
    calls.push_back(native_call(SYS_link, name, text(made)));
    calls.push_back(native_call(SYS_symlink, name, text(made)));
    calls.push_back(native_call(SYS_inotify_add_watch, 0, name, 0xfff));
    calls.push_back(native_call(SYS_fanotify_mark, 0, 1, 0x20, AT_FDCWD, name));
    calls.push_back(native_call(SYS_open_tree, AT_FDCWD, name, 1));
    calls.push_back(native_call(SYS_uselib, name));
    calls.push_back(native_call(SYS_acct, name));
    calls.push_back(native_call(SYS_execve, name, 0, 0));
    calls.push_back(native_call(SYS_execveat, AT_FDCWD, name, 0, 0, 0));
  }
  calls.push_back(native_call(SYS_creat, text(made), 0777));
  calls.push_back(native_call(SYS_mkdir, text(made), 0777));
  calls.push_back(native_call(SYS_mknod, text(made), 0100666, 0));
  calls.push_back(native_call(SYS_open_by_handle_at, AT_FDCWD, memory, O_RDONLY));
  calls.push_back(native_call(SYS_getdents64, AT_FDCWD, memory, 4096));
  calls.push_back(native_call(SYS_getcwd, memory, 4096));
  calls.push_back(native_call(SYS_sync));
  calls.push_back(native_call(SYS_umask, 0));
  check_kept(calls);
  CHECK(read_file(victim) == "untouched");
  CHECK_FALSE(fs::exists(made));
}

TEST_CASE("no socket of any family is opened, and no descriptor is made or passed") {
  const NativeArgument memory = at("memory");
  std::vector<NativeCall> calls;
  for (long family = 0; family < 47; ++family) {
    for (const long type : {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW}) {
      calls.push_back(native_call(SYS_socket, family, type, 0));
    }
    calls.push_back(native_call(SYS_socketpair, family, SOCK_STREAM, 0, memory));
  }
  // A message that carries the worker's own socket (SCM_RIGHTS), and room for a descriptor in an incoming one.
  const NativeArgument rights =
      structure({word(20), word(SOL_SOCKET | static_cast<std::uint64_t>(SCM_RIGHTS) << 32), word(kSocket)});
  const NativeArgument message =
      structure({word(0), word(0), structure({at("memory"), word(8)}), word(1), rights, word(24), word(0)});
  calls.push_back(native_call(SYS_sendmsg, kSocket, message, MSG_DONTWAIT));
  calls.push_back(native_call(SYS_recvmsg, kSocket, message, MSG_DONTWAIT));
  calls.push_back(native_call(SYS_sendmmsg, kSocket, message, 1, MSG_DONTWAIT));
  calls.push_back(native_call(SYS_recvmmsg, kSocket, message, 1, MSG_DONTWAIT, 0));
  calls.push_back(native_call(SYS_connect, kSocket, memory, 16));
  calls.push_back(native_call(SYS_bind, kSocket, memory, 16));
  calls.push_back(native_call(SYS_listen, kSocket, 1));
  calls.push_back(native_call(SYS_accept, kSocket, 0, 0));
  calls.push_back(native_call(SYS_accept4, kSocket, 0, 0, 0));
  calls.push_back(native_call(SYS_shutdown, kSocket, SHUT_RDWR));
  calls.push_back(native_call(SYS_getsockopt, kSocket, SOL_SOCKET, SO_PEERCRED, memory, memory));
  calls.push_back(native_call(SYS_setsockopt, kSocket, SOL_SOCKET, SO_SNDBUF, memory, 4));
  calls.push_back(native_call(SYS_getpeername, kSocket, memory, memory));
  calls.push_back(native_call(SYS_ioctl, kSocket, 0x8910, memory));
  calls.push_back(native_call(SYS_fcntl, kSocket, F_SETOWN, 1));
  calls.push_back(native_call(SYS_fcntl, kSocket, F_SETFL, O_ASYNC));
  for (const long number : {SYS_dup, SYS_close}) calls.push_back(native_call(number, kSocket));
  calls.push_back(native_call(SYS_dup2, kSocket, 0));
  calls.push_back(native_call(SYS_dup3, kSocket, 0, 0));
  calls.push_back(native_call(SYS_close_range, 0, ~0U, 0));
  calls.push_back(native_call(SYS_pipe, memory));
  calls.push_back(native_call(SYS_pipe2, memory, 0));
  calls.push_back(native_call(SYS_eventfd2, 0, 0));
  calls.push_back(native_call(SYS_timerfd_create, 1, 0));
  calls.push_back(native_call(SYS_signalfd4, -1, memory, 8, 0));
  calls.push_back(native_call(SYS_epoll_create1, 0));
  calls.push_back(native_call(SYS_inotify_init1, 0));
  calls.push_back(native_call(SYS_fanotify_init, 0, 0));
  calls.push_back(native_call(SYS_memfd_create, text("code"), 0));
  calls.push_back(native_call(SYS_memfd_secret, 0));
  calls.push_back(native_call(SYS_execveat, kSocket, text(""), 0, 0, AT_EMPTY_PATH));
  calls.push_back(native_call(SYS_splice, kSocket, 0, kSocket, 0, 4096, 0));
  calls.push_back(native_call(SYS_tee, kSocket, kSocket, 4096, 0));
  calls.push_back(native_call(SYS_vmsplice, kSocket, memory, 1, 0));
  calls.push_back(native_call(SYS_sendfile, kSocket, kSocket, 0, 4096));
  calls.push_back(native_call(SYS_read, kSocket, memory, 1));
  calls.push_back(native_call(SYS_readv, kSocket, memory, 1));
  check_kept(calls);
}

TEST_CASE("no other process is signalled, traced, read, written to or robbed of descriptors") {
  std::vector<NativeCall> calls;
  const NativeArgument memory = at("memory");
  const NativeArgument vector = structure({at("memory"), word(64)});
  // Pid 1 is the zygote. The others: siblings, the worker's process group, the whole namespace, and pids that exist
  // outside.
  const long pids[] = {1, 2, 3, 4, 5, 6, 7, 8, 0, -1, -2, ::getpid(), ::getppid()};
  for (const long pid : pids) {
    for (const long signal : {0, SIGKILL, SIGSTOP, SIGTERM, SIGCHLD}) {
      calls.push_back(native_call(SYS_kill, pid, signal));
      calls.push_back(native_call(SYS_tkill, pid, signal));
      calls.push_back(native_call(SYS_tgkill, pid, pid, signal));
      calls.push_back(native_call(SYS_rt_sigqueueinfo, pid, signal, memory));
      calls.push_back(native_call(SYS_rt_tgsigqueueinfo, pid, pid, signal, memory));
    }
    for (const long request : {PTRACE_TRACEME, PTRACE_ATTACH, PTRACE_SEIZE, PTRACE_PEEKDATA, PTRACE_KILL}) {
      calls.push_back(native_call(SYS_ptrace, request, pid, 0, 0));
    }
    calls.push_back(native_call(SYS_process_vm_readv, pid, vector, 1, vector, 1, 0));
    calls.push_back(native_call(SYS_process_vm_writev, pid, vector, 1, vector, 1, 0));
    calls.push_back(native_call(SYS_pidfd_open, pid, 0));
    calls.push_back(native_call(SYS_kcmp, pid, pid, KCMP_VM, 0, 0));
    calls.push_back(native_call(SYS_prlimit64, pid, RLIMIT_NPROC, 0, memory));
    calls.push_back(native_call(SYS_get_robust_list, pid, memory, memory));
    calls.push_back(native_call(SYS_migrate_pages, pid, 1, memory, memory));
    calls.push_back(native_call(SYS_move_pages, pid, 0, 0, 0, 0, 0));
    calls.push_back(native_call(SYS_sched_setaffinity, pid, 8, memory));
    calls.push_back(native_call(SYS_sched_setscheduler, pid, 1, memory));
    calls.push_back(native_call(SYS_setpriority, 0, pid, 19));
    calls.push_back(native_call(SYS_ioprio_set, 1, pid, 0));
    calls.push_back(native_call(SYS_setpgid, pid, 1));
    calls.push_back(native_call(SYS_wait4, pid, 0, 1, 0));
    calls.push_back(native_call(SYS_waitid, 0, pid, memory, 4 | 1, 0));
    calls.push_back(native_call(SYS_perf_event_open, memory, pid, -1, -1, 0));
  }
  for (long fd = 0; fd < 8; ++fd) {
    calls.push_back(native_call(SYS_pidfd_send_signal, fd, SIGKILL, 0, 0));
    calls.push_back(native_call(SYS_pidfd_getfd, fd, 0, 0));
    calls.push_back(native_call(SYS_process_madvise, fd, vector, 1, MADV_PAGEOUT, 0));
    calls.push_back(native_call(SYS_process_mrelease, fd, 0));
    calls.push_back(native_call(SYS_setns, fd, CLONE_NEWUSER | CLONE_NEWPID));
  }
  check_kept(calls);
}

TEST_CASE("no process and no thread is made") {
  const NativeArgument stack = at("memory");
  std::vector<NativeCall> calls = {native_call(SYS_fork), native_call(SYS_vfork)};
  const long kThread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
  for (const long flags : std::initializer_list<long>{0, SIGCHLD, CLONE_VM, CLONE_VM | CLONE_VFORK, kThread,
                                                      CLONE_PARENT | SIGCHLD, CLONE_NEWUSER | SIGCHLD, CLONE_UNTRACED,
                                                      CLONE_NEWPID | SIGCHLD, CLONE_PIDFD | SIGCHLD}) {
    calls.push_back(native_call(SYS_clone, flags, 0, 0, 0, 0));
    calls.push_back(native_call(SYS_clone, flags, stack, stack, stack, stack));
    const NativeArgument wanted = structure({word(static_cast<std::uint64_t>(flags) & ~0xffUL), word(0), word(0),
                                             word(0), word(SIGCHLD), word(0), word(0), word(0)});
    calls.push_back(native_call(SYS_clone3, wanted, 64));
  }
  check_kept(calls);
}

TEST_CASE("no limit is raised, no lock is undone, and no right is gained") {
  const NativeArgument memory = at("memory");
  const NativeArgument unlimited = structure({word(~0UL), word(~0UL)});
  std::vector<NativeCall> calls;
  for (long limit = 0; limit < RLIM_NLIMITS; ++limit) {
    calls.push_back(native_call(SYS_setrlimit, limit, unlimited));
    calls.push_back(native_call(SYS_prlimit64, 0, limit, unlimited, 0));
    calls.push_back(native_call(SYS_getrlimit, limit, memory));
  }
  for (long option = 1; option < 72; ++option) {
    for (const long value : {0, 1}) calls.push_back(native_call(SYS_prctl, option, value, 0, 0, 0));
  }
  for (const long option : {0x53564d41, 0x59616d61, 0x1001, 0x1002, 0x1003, 0x1004, 0x1011, 0x1012, 0x5001}) {
    calls.push_back(native_call(SYS_prctl, option, 0, 0, 0, 0));
    calls.push_back(native_call(SYS_arch_prctl, option, memory));
  }
  for (const long operation : {SECCOMP_SET_MODE_STRICT, SECCOMP_SET_MODE_FILTER, SECCOMP_GET_ACTION_AVAIL, 3}) {
    for (const long flags : {0, 1, 8}) calls.push_back(native_call(SYS_seccomp, operation, flags, memory));
  }
  for (const long id : {0, 1, 65534, -1}) {
    calls.push_back(native_call(SYS_setuid, id));
    calls.push_back(native_call(SYS_setgid, id));
    calls.push_back(native_call(SYS_setreuid, id, id));
    calls.push_back(native_call(SYS_setregid, id, id));
    calls.push_back(native_call(SYS_setresuid, id, id, id));
    calls.push_back(native_call(SYS_setresgid, id, id, id));
    calls.push_back(native_call(SYS_setfsuid, id));
    calls.push_back(native_call(SYS_setfsgid, id));
    calls.push_back(native_call(SYS_setgroups, 1, memory));
  }
  const NativeArgument everything = structure({word(~0UL), word(~0UL), word(~0UL)});
  calls.push_back(native_call(SYS_capset, structure({word(0x2008'0522)}), everything));
  calls.push_back(native_call(SYS_capget, structure({word(0x2008'0522)}), memory));
  calls.push_back(native_call(SYS_rt_sigaction, SIGSYS, memory, 0, 8));
  calls.push_back(native_call(SYS_rt_sigprocmask, 2, everything, 0, 8));
  calls.push_back(native_call(SYS_sigaltstack, memory, 0));
  calls.push_back(native_call(SYS_personality, 0x0008'0000));
  calls.push_back(native_call(SYS_personality, 8));
  calls.push_back(native_call(SYS_modify_ldt, 1, memory, 16));
  calls.push_back(native_call(SYS_iopl, 3));
  calls.push_back(native_call(SYS_ioperm, 0, 1024, 1));
  calls.push_back(native_call(SYS_set_thread_area, memory));
  calls.push_back(native_call(SYS_set_tid_address, memory));
  calls.push_back(native_call(SYS_set_robust_list, memory, 24));
  calls.push_back(native_call(SYS_rseq, memory, 32, 0, 0));
  calls.push_back(native_call(SYS_membarrier, 16, 0, 0));
  calls.push_back(native_call(SYS_landlock_create_ruleset, 0, 0, 1));
  calls.push_back(native_call(SYS_landlock_restrict_self, 0, 0));
  calls.push_back(native_call(SYS_mlock, memory, 4096));
  calls.push_back(native_call(SYS_mlockall, 3));
  calls.push_back(native_call(SYS_munlockall));
  calls.push_back(native_call(SYS_setsid));
  check_kept(calls);
}

TEST_CASE("no namespace is entered, nothing is mounted, and the host's own settings are out of reach") {
  const NativeArgument memory = at("memory");
  const NativeArgument root = text("/"), proc = text("proc"), tmpfs = text("tmpfs");
  std::vector<NativeCall> calls;
  for (const long kind : {CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS,
                          CLONE_NEWCGROUP, CLONE_FILES, CLONE_FS, 0}) {
    calls.push_back(native_call(SYS_unshare, kind));
    calls.push_back(native_call(SYS_setns, kSocket, kind));
  }
  calls.push_back(native_call(SYS_mount, proc, root, proc, 0, 0));
  calls.push_back(native_call(SYS_mount, tmpfs, root, tmpfs, MS_REMOUNT, 0));
  calls.push_back(native_call(SYS_mount, root, root, 0, MS_BIND | MS_REC, 0));
  calls.push_back(native_call(SYS_umount2, root, MNT_DETACH));
  calls.push_back(native_call(SYS_pivot_root, root, root));
  calls.push_back(native_call(SYS_chroot, root));
  calls.push_back(native_call(SYS_fsopen, proc, 0));
  calls.push_back(native_call(SYS_fspick, AT_FDCWD, root, 0));
  calls.push_back(native_call(SYS_fsmount, 0, 0, 0));
  calls.push_back(native_call(SYS_fsconfig, 0, 0, proc, proc, 0));
  calls.push_back(native_call(SYS_move_mount, AT_FDCWD, root, AT_FDCWD, root, 0));
  calls.push_back(native_call(SYS_mount_setattr, AT_FDCWD, root, 0, memory, 32));
  calls.push_back(native_call(SYS_quotactl, QCMD(Q_SYNC, USRQUOTA), 0, 0, 0));
  calls.push_back(native_call(SYS_quotactl_fd, 0, 0, 0, 0));
  calls.push_back(native_call(SYS_swapon, root, 0));
  calls.push_back(native_call(SYS_swapoff, root));
  calls.push_back(native_call(SYS_init_module, memory, 64, text("")));
  calls.push_back(native_call(SYS_finit_module, kSocket, text(""), 0));
  calls.push_back(native_call(SYS_delete_module, text("dummy"), O_NONBLOCK));
  calls.push_back(native_call(SYS_kexec_load, 0, 0, 0, 0));
  calls.push_back(native_call(SYS_kexec_file_load, 0, 0, 0, text(""), 0));
  calls.push_back(native_call(SYS_reboot, 0xfee1dead, 672274793, 0, 0));  // sets a flag, in the worst case
  calls.push_back(native_call(SYS_sethostname, text("taken"), 5));
  calls.push_back(native_call(SYS_setdomainname, text("taken"), 5));
  calls.push_back(native_call(SYS_settimeofday, memory, 0));
  calls.push_back(native_call(SYS_adjtimex, memory));
  calls.push_back(native_call(SYS_acct, 0));
  calls.push_back(native_call(SYS_vhangup));
  calls.push_back(native_call(SYS_syslog, 3, memory, 4096));
  calls.push_back(native_call(SYS_uname, memory));
  calls.push_back(native_call(SYS_sysinfo, memory));
  calls.push_back(native_call(SYS_sysfs, 3));
  check_kept(calls);
}

TEST_CASE("large and seldom used interfaces of the kernel are closed") {
  const NativeArgument memory = at("memory");
  std::vector<NativeCall> calls;
  for (const long flags : {0, 1, 2, 0x1000}) {
    calls.push_back(native_call(SYS_io_uring_setup, 8, structure({word(0), word(static_cast<std::uint64_t>(flags))})));
  }
  calls.push_back(native_call(SYS_io_uring_enter, kSocket, 1, 1, 1, 0, 0));
  calls.push_back(native_call(SYS_io_uring_register, -1, 0, 0, 0));
  calls.push_back(native_call(SYS_io_setup, 8, memory));
  calls.push_back(native_call(SYS_io_submit, 0, 1, memory));
  for (long command = 0; command < 40; ++command) calls.push_back(native_call(SYS_bpf, command, memory, 128));
  for (const long flags : {0, 1, O_NONBLOCK}) calls.push_back(native_call(SYS_userfaultfd, flags));
  for (long operation = 0; operation < 34; ++operation) {
    calls.push_back(native_call(SYS_keyctl, operation, KEY_SPEC_SESSION_KEYRING, memory, 64, 0));
  }
  calls.push_back(native_call(SYS_add_key, text("user"), text("key"), memory, 8, KEY_SPEC_SESSION_KEYRING));
  calls.push_back(native_call(SYS_request_key, text("user"), text("key"), 0, KEY_SPEC_SESSION_KEYRING));
  calls.push_back(native_call(SYS_perf_event_open, memory, 0, -1, -1, 0));
  calls.push_back(native_call(SYS_shmget, 0, 4096, 01600));
  calls.push_back(native_call(SYS_shmat, 0, 0, 0));
  calls.push_back(native_call(SYS_semget, 0, 1, 01600));
  calls.push_back(native_call(SYS_msgget, 0, 01600));
  calls.push_back(native_call(SYS_mq_open, text("queue"), O_CREAT | O_RDWR, 0600, 0));
  calls.push_back(native_call(SYS_timer_create, 1, 0, memory));
  calls.push_back(native_call(SYS_setitimer, 0, memory, 0));
  calls.push_back(native_call(SYS_alarm, 1));
  calls.push_back(native_call(SYS_remap_file_pages, memory, 4096, 0, 0, 0));
  calls.push_back(native_call(SYS_mbind, memory, 4096, 0, 0, 0, 0));
  calls.push_back(native_call(SYS_set_mempolicy, 0, 0, 0));
  calls.push_back(native_call(SYS_mincore, memory, 4096, memory));
  calls.push_back(native_call(SYS_msync, memory, 4096, MS_SYNC));
  calls.push_back(native_call(SYS_lookup_dcookie, 0, memory, 64));
  calls.push_back(native_call(SYS_restart_syscall + 1'000));
  check_kept(calls);
}

}  // namespace
}  // namespace holdfast::test
