// What an attacker in the supervisor could still do after the supervisor has given up its rights, tried in a child.
#include "supervisor/own_sandbox.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <string>

#include "ipc/base/pidfd.h"
#include "sandbox/seccomp_policy.h"
#include "tests/unit/sandbox/test_support.h"

using namespace holdfast::sandbox;
using namespace holdfast::sandbox::test;

namespace {

// The address sanitizer makes system calls of its own at a process's end and for its memory.
#if !defined(__SANITIZE_ADDRESS__)

Ending run_in_own_sandbox(Caller caller, const Body& body) {
  return start_child(caller,
                     [&](SharedNotes& notes) {
                       require(notes, holdfast::supervisor::give_up_rights(ClientDescriptors::refused));
                       run_and_leave(notes, body);
                     })
      .finish();
}

std::string status_field(pid_t pid, const std::string& name) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(name + ":\t")) return line.substr(name.size() + 2);
  }
  return "";
}

struct Attempt {
  const char* name;
  long (*attempt)();
};

constexpr Attempt kAttempts[] = {
    {"open a file", [] { return long(open("/etc/passwd", O_RDONLY)); }},
    {"open a file for writing", [] { return long(open("/tmp/holdfast", O_WRONLY | O_CREAT, 0600)); }},
    {"remove a file", [] { return long(unlink("/tmp/holdfast")); }},
    {"run a program", [] { return long(execl("/bin/true", "true", nullptr)); }},
    {"fork", [] { return long(fork()); }},
    {"make a thread", [] { return syscall(SYS_clone3, nullptr, 0); }},
    {"make a network socket", [] { return long(socket(AF_INET, SOCK_STREAM, 0)); }},
    {"make a Unix socket", [] { return long(socket(AF_UNIX, SOCK_STREAM, 0)); }},
    {"make a pair of network sockets",
     [] {
       int ends[2];
       return long(socketpair(AF_INET, SOCK_STREAM, 0, ends));
     }},
    {"connect", [] { return long(connect(0, nullptr, 0)); }},
    {"trace a process", [] { return ptrace(PTRACE_ATTACH, getppid(), nullptr, nullptr); }},
    {"read a process's memory", [] { return syscall(SYS_process_vm_readv, getppid(), nullptr, 0, nullptr, 0, 0); }},
    {"take a process's descriptor", [] { return syscall(SYS_pidfd_getfd, 0, 0, 0); }},
    {"find a process to signal", [] { return syscall(SYS_pidfd_open, getppid(), 0); }},
    {"signal a process by its number", [] { return long(kill(getppid(), 0)); }},
    {"mount", [] { return long(mount("none", "/tmp", "tmpfs", 0, nullptr)); }},
    {"make namespaces", [] { return long(unshare(CLONE_NEWUSER)); }},
    {"load a program into the kernel", [] { return syscall(SYS_bpf, 0, nullptr, 0); }},
    {"make an io_uring", [] { return syscall(SYS_io_uring_setup, 1, nullptr); }},
    {"make executable memory",
     [] { return long(mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)); }},
    {"map memory to execute", [] { return long(mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, 0, 0)); }},
    {"make a terminal's input", [] { return syscall(SYS_ioctl, 0, 0x5412 /* TIOCSTI */, "x"); }},
    {"become another user", [] { return long(setuid(0)); }},
    {"load a filter", [] { return syscall(SYS_seccomp, 0, 0, nullptr); }},
};

TEST_CASE("a supervisor that has given up its rights can open nothing, start nothing and trace nobody") {
  for (const Caller caller : callers()) {
    for (const Attempt& attempt : kAttempts) {
      INFO(name(caller), ": ", attempt.name);
      CHECK(run_in_own_sandbox(caller, [&] { return outcome(attempt.attempt()); }).killed_by(SIGSYS));
    }
  }
}

TEST_CASE("a supervisor that has given up its rights can read the pid of a pidfd") {
  const holdfast::UniqueFd pidfd = holdfast::open_pidfd(getpid());
  for (const Caller caller : callers()) {
    CHECK(run_in_own_sandbox(caller, [&] {
            return std::to_string(holdfast::pid_of(pidfd, holdfast::PidSource::ioctl));
          }).exited(0));
  }
}

TEST_CASE("a supervisor that has given up its rights is not root, holds no capability, and gains none") {
  for (const Caller caller : callers()) {
    const Ending ending = run_in_own_sandbox(caller, [] { return std::string("alive"); });
    INFO(name(caller), ": ", ending.said);
    CHECK(ending.exited(0));
    // Looks at the process from outside while it runs.
    SocketPair sockets;
    RunningChild child = start_child(caller, [&](SharedNotes& notes) {
      require(notes, holdfast::supervisor::give_up_rights(ClientDescriptors::refused));
      run_and_leave(notes, [&] {
        char byte = 'x';
        send(sockets.theirs, &byte, 1, MSG_NOSIGNAL);
        return std::to_string(recv(sockets.theirs, &byte, 1, 0));
      });
    });
    char byte;
    REQUIRE(recv(sockets.mine, &byte, 1, 0) == 1);
    CHECK_FALSE(("\t" + status_field(child.pid(), "Uid") + "\t").find("\t0\t") != std::string::npos);
    // Only root can empty the bounding set; for other users no_new_privs makes it ineffective.
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"}) {
      INFO(set);
      CHECK(status_field(child.pid(), set) == "0000000000000000");
    }
    CHECK(status_field(child.pid(), "NoNewPrivs") == "1");
    CHECK(status_field(child.pid(), "Seccomp") == "2");
    REQUIRE(send(sockets.mine, "x", 1, 0) == 1);
    CHECK(child.finish().exited(0));
  }
}

TEST_CASE("every row of the supervisor's and the closer's policies names a system call and gives a reason") {
  for (const auto& rows : {supervisor_policy(ClientDescriptors::refused),
                           supervisor_policy(ClientDescriptors::possible), closer_policy()}) {
    CHECK(compile(rows).has_value());
    for (const PolicyRow& row : rows) {
      INFO(row.system_call);
      CHECK(std::string_view(row.reason).size() >= 5);
    }
  }
}

#endif

}  // namespace
