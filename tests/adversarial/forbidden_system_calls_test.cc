// System calls by native code inside a locked worker. A call outside the table ends the worker. Callers can tell this
// end from every other, and it affects no other worker.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>

#include "sandbox/seccomp_policy.h"
#include "tests/adversarial/attacker.h"
#include "tests/support/calls.h"
#include "tests/support/processes.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

struct SystemCall {
  const char* name;
  long number;
  std::vector<long> arguments = {};
};

const std::vector<SystemCall>& forbidden() {
  static const std::vector<SystemCall> calls = {
      // to reach other processes
      {"socket", SYS_socket, {AF_INET, SOCK_STREAM, 0}},
      {"socketpair", SYS_socketpair, {AF_UNIX, SOCK_STREAM, 0, 0}},
      {"connect", SYS_connect, {0, 0, 0}},
      {"bind", SYS_bind, {0, 0, 0}},
      {"sendmsg", SYS_sendmsg, {0, 0, 0}},
      {"recvmsg", SYS_recvmsg, {0, 0, 0}},
      {"setsockopt", SYS_setsockopt, {0, 1, 1, 0, 0}},
      {"kill", SYS_kill, {-1, SIGKILL}},
      {"tgkill", SYS_tgkill, {1, 1, SIGKILL}},
      {"pidfd_open", SYS_pidfd_open, {1, 0}},
      {"ptrace", SYS_ptrace, {PTRACE_ATTACH, 1, 0, 0}},
      {"process_vm_readv", SYS_process_vm_readv, {1, 0, 0, 0, 0, 0}},
      {"shmget", SYS_shmget, {0, 4096, 0600}},
      // to reach files
      {"openat", SYS_openat, {AT_FDCWD, 0, O_RDONLY}},
      {"pwrite64", SYS_pwrite64, {0, 0, 0, 0}},
      {"read", SYS_read, {0, 0, 0}},
      {"close", SYS_close, {0}},
      {"dup", SYS_dup, {0}},
      {"fcntl", SYS_fcntl, {0, F_GETFL}},
      {"ioctl", SYS_ioctl, {0, 0x5401}},
      {"memfd_create", SYS_memfd_create, {0, 0}},
      {"chroot", SYS_chroot, {0}},
      {"mount", SYS_mount, {0, 0, 0, MS_BIND, 0}},
      {"umount2", SYS_umount2, {0, MNT_DETACH}},
      {"pivot_root", SYS_pivot_root, {0, 0}},
      // to get more rights or processes
      {"clone", SYS_clone, {SIGCHLD, 0, 0, 0, 0}},
      {"clone3", SYS_clone3, {0, 0}},
      {"execve", SYS_execve, {0, 0, 0}},
      {"execveat", SYS_execveat, {0, 0, 0, 0, 0}},
      {"unshare", SYS_unshare, {CLONE_NEWUSER}},
      {"setns", SYS_setns, {0, 0}},
      {"setuid", SYS_setuid, {0}},
      {"capset", SYS_capset, {0, 0}},
      {"prctl", SYS_prctl, {1, 0, 0, 0, 0}},
      {"prlimit64", SYS_prlimit64, {0, 0, 0, 0}},
      {"seccomp", SYS_seccomp, {0, 0, 0}},
      // to use seldom used kernel interfaces
      {"io_uring_setup", SYS_io_uring_setup, {1, 0}},
      {"bpf", SYS_bpf, {0, 0, 0}},
      {"perf_event_open", SYS_perf_event_open, {0, 0, -1, -1, 0}},
      {"userfaultfd", SYS_userfaultfd, {0}},
      {"keyctl", SYS_keyctl, {0, 0}},
      {"add_key", SYS_add_key, {0, 0, 0, 0, 0}},
      {"epoll_create1", SYS_epoll_create1, {0}},
      {"timer_create", SYS_timer_create, {0, 0, 0}},
      // to avoid being stopped
      {"rt_sigaction", SYS_rt_sigaction, {SIGXCPU, 0, 0, 8}},
      {"rt_sigprocmask", SYS_rt_sigprocmask, {0, 0, 0, 8}},
      {"sched_setaffinity", SYS_sched_setaffinity, {0, 0, 0}},
      {"setpriority", SYS_setpriority, {0, 0, -20}},
      // in the table, but not with these arguments
      {"mmap", SYS_mmap, {0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0}},
      {"mmap", SYS_mmap, {0, 4096, PROT_READ, MAP_PRIVATE, 0, 0}},
      {"mmap", SYS_mmap, {0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0}},
      {"mmap", SYS_mmap, {0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0}},
      {"sendto", SYS_sendto, {0, 0, 0, MSG_OOB, 0, 0}},
      {"recvfrom", SYS_recvfrom, {0, 0, 0, MSG_PEEK, 0, 0}},
      {"madvise", SYS_madvise, {0, 4096, MADV_HUGEPAGE}},
      {"clock_gettime", SYS_clock_gettime, {~(1L << 3) | 2, 0}},  // the CPU clock of pid 1
  };
  return calls;
}

CallTo attempt(const SystemCall& call) {
  std::string list = std::to_string(call.number);
  for (long argument : call.arguments) list += fmt::format(",{}", argument);
  return {"attacker", "systemCall", "[" + list + "]"};
}

TEST_CASE("a forbidden system call is sandbox_violation with its name and kills only its own worker") {
  Daemon daemon(under_attack({"--standby", "2"}));
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"bystander", "ping"})) == "\"pong\"");
  const pid_t bystander = worker_of(client, "bystander").pid;
  for (const SystemCall& forbidden_call : forbidden()) {
    CAPTURE(std::string(forbidden_call.name));
    CHECK(outcome(call(client, {"attacker", "ping"})) == "\"pong\"");
    const pid_t attacker = worker_of(client, "attacker").pid;
    const auto error = error_of(call(client, attempt(forbidden_call)));
    CHECK(ipc::to_string(error.code) == "sandbox_violation");
    CHECK(error.detail == forbidden_call.name);
    CHECK(contains(error.message, forbidden_call.name));
    CHECK(error.executed == ipc::Executed::maybe);
    CHECK_FALSE(error.retryable);
    CHECK(killed_worker_is_gone(client, "attacker", attacker));
  }
  CHECK(outcome(call(client, {"attacker", "ping"})) == "\"pong\"");
  CHECK(worker_of(client, "bystander").pid == bystander);
  daemon.stop();
}

TEST_CASE("allowed system calls give no second descriptor and no more memory than the limit") {
  Daemon daemon(under_attack({"--memory", "32MB"}));
  ipc::Client client = daemon.connect();
  // 16 GB of private memory: whether or not it can be reserved, it cannot be written to.
  const auto mapped = call(
      client, attempt({"mmap",
                       SYS_mmap,
                       {0, 16L << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0}}));
  CHECK(outcome(mapped) == std::to_string(-ENOMEM));
  CHECK(outcome(call(client, {"attacker", "ping"})) == "\"pong\"");
}

// Returns the worker's peak of resident memory while it takes all it can get with --memory 32MB.
std::uint64_t most_resident(bool hide) {
  Daemon daemon(under_attack({"--memory", "32MB", "--stretch", "30s"}));
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"attacker", "ping"})) == "\"pong\"");
  const pid_t attacker = worker_of(client, "attacker").pid;
  Calls calls(client);
  calls.start({"attacker", "takeMemory", hide ? "true" : "false"});
  std::uint64_t most = 0;
  while (!calls.is_answered(0)) {
    client.run_once(std::chrono::milliseconds(1));
    const std::string resident = status_field(attacker, "RssAnon");  // "1234 kB"
    if (!resident.empty()) most = std::max<std::uint64_t>(most, std::stoull(resident) << 10);
  }
  CHECK(outcome(call(client, {"bystander", "ping"})) == "\"pong\"");
  daemon.stop();
  return most;
}

// The module's memory plus the headroom that V8 needs.
constexpr std::uint64_t kMostResident = std::uint64_t{256} << 20;

TEST_CASE("native code gets little more memory than its module may use") {
  CHECK(most_resident(false) < kMostResident);
}

TEST_CASE("the supervisor ends native code that hides its memory from the count of the kernel") {
  Daemon daemon(under_attack({"--memory", "32MB", "--stretch", "2s"}));
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"attacker", "ping"})) == "\"pong\"");
  const pid_t attacker = worker_of(client, "attacker").pid;
  Calls calls(client);
  calls.start({"attacker", "takeMemory", "true"});
  calls.wait_for_all();
  CHECK((code_of(calls.answer(0)) == "out_of_memory" || code_of(calls.answer(0)) == "result"));
  // Answering in time does not let the worker keep the memory.
  CHECK(eventually([&] { return !is_running(attacker); }));
  CHECK(daemon.logged("it used up its memory limit of 32MB"));
  CHECK(outcome(call(client, {"attacker", "ping"})) == "\"pong\"");
  daemon.stop();
}

#ifdef __x86_64__
TEST_CASE("a system call in the manner of another architecture kills the process") {
  Daemon daemon(under_attack());
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"attacker", "ping"})) == "\"pong\"");
  const pid_t attacker = worker_of(client, "attacker").pid;
  constexpr long kGetpidOfI386 = 20;
  constexpr long kX32 = 0x4000'0000;
  const auto old = error_of(call(client, {"attacker", "oldSystemCall", fmt::format("[{}]", kGetpidOfI386)}));
  CHECK(ipc::to_string(old.code) == (offers_calls_of_i386() ? "sandbox_violation" : "worker_crashed"));
  CHECK_FALSE(is_running(attacker));
  const auto x32 = error_of(call(client, attempt({"getpid", kX32 + SYS_getpid, {}})));
  CHECK(ipc::to_string(x32.code) == "sandbox_violation");
  CHECK(outcome(call(client, {"attacker", "ping"})) == "\"pong\"");
  daemon.stop();
}
#endif

TEST_CASE("a forbidden system call at a module's top level is load_failed, and the system call is named") {
  DaemonOptions options = under_attack();
  options.modules.push_back({"eager", fmt::format("systemCall({}n, 2n, 1n, 0n); exports.f = () => 1;", SYS_socket)});
  Daemon daemon(std::move(options));
  ipc::Client client = daemon.connect();
  const auto error = error_of(call(client, {"eager", "f"}));
  CHECK(ipc::to_string(error.code) == "load_failed");
  CHECK(error.detail == "sandbox_violation");
  CHECK(contains(error.message, "socket"));
  CHECK(outcome(call(client, {"bystander", "ping"})) == "\"pong\"");
}

TEST_CASE("other calls on a worker that made a forbidden system call say so and may be repeated") {
  Daemon daemon(under_attack());
  ipc::Client client = daemon.connect();
  Calls calls(client);
  for (int i = 0; i < 3; ++i) calls.start({"attacker", "hold"});
  REQUIRE(outcome(call(client, {"attacker", "ping"})) == "\"pong\"");
  const auto guilty = calls.start(attempt({"socket", SYS_socket, {AF_INET, SOCK_STREAM, 0}}));
  calls.wait_for_all();
  CHECK(code_of(calls.answer(guilty)) == "sandbox_violation");
  for (std::size_t i = 0; i < 3; ++i) {
    const auto error = error_of(calls.answer(i));
    CHECK(error.code == ipc::ErrorCode::worker_crashed);
    CHECK(error.retryable);
    CHECK(contains(error.message, "socket"));
  }
}

// --- crashes -------------------------------------------------------------------------------------------------------

TEST_CASE("a worker that writes where there is no memory is worker_crashed by SIGSEGV") {
  Daemon daemon(under_attack());
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"bystander", "ping"})) == "\"pong\"");
  const pid_t bystander = worker_of(client, "bystander").pid;
  CHECK(outcome(call(client, {"attacker", "ping"})) == "\"pong\"");
  const pid_t attacker = worker_of(client, "attacker").pid;
  const auto error = error_of(call(client, {"attacker", "writeWord", "[0,1]"}));
  CHECK(ipc::to_string(error.code) == "worker_crashed");
  CHECK(error.detail == "SIGSEGV");
  CHECK(error.executed == ipc::Executed::maybe);
  CHECK_FALSE(is_running(attacker));
  CHECK(outcome(call(client, {"attacker", "ping"})) == "\"pong\"");
  CHECK(outcome(call(client, {"bystander", "ping"})) == "\"pong\"");
  CHECK(worker_of(client, "bystander").pid == bystander);
  daemon.stop();
}

TEST_CASE("a worker that executes a trapping instruction is worker_crashed and not sandbox_violation") {
  Daemon daemon(under_attack());
  ipc::Client client = daemon.connect();
  for (const bool illegal : {false, true}) {
    CAPTURE(illegal);
    const auto error = error_of(call(client, {"attacker", "trap", illegal ? "true" : "false"}));
    CHECK(ipc::to_string(error.code) == "worker_crashed");
#ifdef __x86_64__
    CHECK(error.detail == (illegal ? "SIGILL" : "SIGTRAP"));
#endif
    CHECK(outcome(call(client, {"attacker", "ping"})) == "\"pong\"");
  }
}

TEST_CASE("a worker that exits in the midst of a call is worker_crashed with its exit status") {
  Daemon daemon(under_attack());
  ipc::Client client = daemon.connect();
  for (int status : {0, 1, 77}) {
    CAPTURE(status);
    const auto error = error_of(call(client, attempt({"exit_group", SYS_exit_group, {status}})));
    CHECK(ipc::to_string(error.code) == "worker_crashed");
    CHECK(error.detail == fmt::format("exit status {}", status));
  }
  CHECK(outcome(call(client, {"attacker", "ping"})) == "\"pong\"");
}

TEST_CASE("native code that does not end is stopped and its error has no stack") {
  Daemon daemon(under_attack({"--stretch", "100ms"}));
  ipc::Client client = daemon.connect();
  const auto error = error_of(call(client, {"attacker", "spin"}));
  CHECK(ipc::to_string(error.code) == "cpu_exceeded");
  CHECK(contains(error.message, "no stack"));
  CHECK(outcome(call(client, {"attacker", "ping"})) == "\"pong\"");
  daemon.stop();
}

}  // namespace
}  // namespace holdfast::test
