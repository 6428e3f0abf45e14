#include <doctest/doctest.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "sandbox/seccomp_policy.h"
#include "tests/support/skips.h"
#include "tests/unit/sandbox/test_support.h"

using namespace holdfast::sandbox;
using namespace holdfast::sandbox::test;

namespace {

constexpr Profile kProfiles[] = {Profile::strict, Profile::jit};
constexpr std::size_t kPage = 4096;
constexpr int kNumbers = 1024;  // well past the last system call

// uretprobe and uprobe, which the kernel's own probes call: they bypass seccomp (Linux 6.11), and fail unless they come
// from code that the kernel put there.
#if defined(__x86_64__)
constexpr int kPassedBySeccomp[] = {335, 336};
#else
constexpr int kPassedBySeccomp[] = {-1};
#endif

std::string_view name(Profile profile) { return profile == Profile::jit ? "jit" : "strict"; }

void* map(int protection, int flags, std::size_t size = kPage) { return mmap(nullptr, size, protection, flags, -1, 0); }

void* private_page() { return map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS); }

int wait_for_input(pollfd& wanted, int seconds) {
  const timespec timeout{seconds, 0};
  return ppoll(&wanted, 1, &timeout, nullptr);
}

// A call that must never be carried out, in either profile.
struct Attack {
  const char* name;
  long (*attempt)();
};

constexpr Attack kArgumentAttacks[] = {
    {"shared memory", [] { return long(map(PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS)); }},
    {"shared memory, the validated kind",
     [] { return long(map(PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_ANONYMOUS)); }},
    {"a mapped file", [] { return long(mmap(nullptr, kPage, PROT_READ, MAP_PRIVATE, 0, 0)); }},
    {"memory that grows downwards, which RLIMIT_DATA does not count",
     [] { return long(map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN)); }},
    {"huge pages", [] { return long(map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB)); }},
    {"locked memory", [] { return long(map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED)); }},
    {"prefaulted memory", [] { return long(map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE)); }},
    {"a flag beyond the low 32 bits",
     [] { return syscall(SYS_mmap, nullptr, kPage, PROT_READ, (1ULL << 40) | MAP_PRIVATE | MAP_ANONYMOUS, -1L, 0L); }},
    {"mprotect down to the start of a stack",
     [] { return long(mprotect(private_page(), kPage, PROT_READ | PROT_GROWSDOWN)); }},
    {"mmap of executable memory", [] { return long(map(PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS)); }},
    {"memory that is writable and executable",
     [] { return long(mprotect(private_page(), kPage, PROT_READ | PROT_WRITE | PROT_EXEC)); }},
    {"a mapping that is moved", [] { return long(mremap(private_page(), kPage, 2 * kPage, MREMAP_MAYMOVE)); }},
    {"madvise MADV_FREE", [] { return long(madvise(private_page(), kPage, MADV_FREE)); }},
    {"madvise MADV_HUGEPAGE", [] { return long(madvise(private_page(), kPage, MADV_HUGEPAGE)); }},
    {"madvise MADV_MERGEABLE", [] { return long(madvise(private_page(), kPage, MADV_MERGEABLE)); }},
    {"madvise MADV_REMOVE", [] { return long(madvise(private_page(), kPage, MADV_REMOVE)); }},
    {"madvise MADV_POPULATE_WRITE", [] { return long(madvise(private_page(), kPage, MADV_POPULATE_WRITE)); }},
    {"recvfrom MSG_OOB",
     [] {
       char byte;
       return long(recv(0, &byte, 1, MSG_OOB));
     }},
    {"recvfrom MSG_PEEK",
     [] {
       char byte;
       return long(recv(0, &byte, 1, MSG_PEEK));
     }},
    {"recvfrom MSG_ERRQUEUE",
     [] {
       char byte;
       return long(recv(0, &byte, 1, MSG_ERRQUEUE));
     }},
    {"sendto MSG_OOB", [] { return long(send(0, "x", 1, MSG_OOB)); }},
    {"sendto MSG_ZEROCOPY", [] { return long(send(0, "x", 1, MSG_ZEROCOPY)); }},
    {"a wait that blocks signals",
     [] {
       const std::uint64_t all = ~std::uint64_t{0};
       return syscall(SYS_ppoll, nullptr, 0, nullptr, &all, sizeof all);
     }},
    {"another process's CPU clock",
     [] {
       // The clock id that clock_getcpuclockid(3) makes for process 1.
       timespec time{};
       return syscall(SYS_clock_gettime, (~1 << 3) | 2, &time);
     }},
};

// The machine code of: int f() { return 42; }
#if defined(__x86_64__)
constexpr unsigned char kReturns42[] = {0xb8, 42, 0, 0, 0, 0xc3};
#elif defined(__aarch64__)
constexpr unsigned char kReturns42[] = {0x40, 0x05, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6};
#endif

int run_as_code(void* page) {
  __builtin___clear_cache(static_cast<char*>(page), static_cast<char*>(page) + sizeof kReturns42);
  return reinterpret_cast<int (*)()>(page)();
}

void on_sigsys(int, siginfo_t* info, void*) { leave(info->si_syscall & 0x7f); }

template <typename Handler>
void handle(int signal, Handler handler) {
  struct sigaction action {};
  if constexpr (std::is_invocable_v<Handler, int>) {
    action.sa_handler = handler;
  } else {
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO;
  }
  sigaction(signal, &action, nullptr);
}

// A child that installs the handlers of `prepare`, then locks itself to `profile`.
Ending run_filtered_after(Profile profile, void (*prepare)(), const Body& body) {
  return start_child(Caller::itself,
                     [&](SharedNotes& notes) {
                       require(notes, drop_privileges());
                       const auto program = compile(policy(profile));
                       if (!program) require(notes, tl::unexpected(program.error()));
                       prepare();
                       require(notes, load(*program));
                       run_and_leave(notes, body);
                     })
      .finish();
}

std::string process_state(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(stat, text);
  const std::size_t end = text.rfind(')');
  return end == std::string::npos ? "" : text.substr(end + 2, 1);
}

void wait_until_asleep(pid_t pid) {
  for (std::string state; state != "S" && state != "Z"; state = process_state(pid)) sched_yield();
}

}  // namespace

TEST_CASE("every row of the policy names a system call and gives a reason") {
  for (const PolicyRow& row : policy(Profile::jit)) {
    INFO(row.system_call);
    CHECK(std::string_view(row.reason).size() > 10);
    CHECK(row.rule.condition_count <= row.rule.conditions.size());
  }
}

TEST_CASE("the jit profile is the strict profile and executable memory, and nothing else") {
  const auto strict = policy(Profile::strict);
  const auto jit = policy(Profile::jit);
  REQUIRE(jit.size() > strict.size());
  CHECK(strict.data() == jit.data());
  for (const PolicyRow& row : jit.subspan(strict.size())) CHECK(row.system_call == std::string_view("mprotect"));
}

TEST_CASE("the strict profile names at most 16 system calls, the jit profile at most 18") {
  const auto names = [](Profile profile) {
    std::set<std::string_view> all;
    for (const PolicyRow& row : policy(profile)) all.insert(row.system_call);
    return all.size();
  };
  CHECK(names(Profile::strict) <= 16);
  CHECK(names(Profile::jit) <= 18);
}

TEST_CASE("a system call's number gives its name") {
  CHECK(syscall_name(SYS_socket) == "socket");
  CHECK(syscall_name(SYS_mmap) == "mmap");
  CHECK(syscall_name(SYS_seccomp) == "seccomp");
  CHECK(syscall_name(-1) == "unknown");
  CHECK(syscall_name(1023) == "unknown");
  CHECK(syscall_name(1'000'000) == "unknown");
}

TEST_CASE("a program is not loaded while new privileges are possible, and the error says so") {
  if (geteuid() == 0 && callers().size() == 1)
    return holdfast::test::skip_this_test("root cannot become another user here");
  const Ending ending = run_child(callers().back(), [] {
    const SetupResult done = load(*compile(policy(Profile::strict)));
    return done ? "loaded" : done.error().layer + ": " + done.error().message;
  });
  CHECK(ending.exited(0));
  CHECK(ending.said.starts_with("seccomp: "));
  CHECK(ending.said.find("no_new_privs") != std::string::npos);
}

TEST_CASE("a locked process reads, answers, waits, allocates, asks for the time and ends") {
  for (const Caller caller : callers()) {
    for (const Profile profile : kProfiles) {
      SocketPair sockets;
      REQUIRE(send(sockets.mine, "ping", 4, 0) == 4);
      const Ending ending = run_filtered(caller, profile, [&]() -> std::string {
        pollfd ready{sockets.theirs, POLLIN, 0};
        if (wait_for_input(ready, 1) != 1) return "ppoll";
        char request[8];
        if (recv(sockets.theirs, request, sizeof request, MSG_DONTWAIT) != 4) return "recv";
        if (send(sockets.theirs, "pong", 4, MSG_NOSIGNAL | MSG_DONTWAIT) != 4) return "send";

        const int reserved = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        char* const memory = static_cast<char*>(map(PROT_NONE, reserved, 4 * kPage));
        if (memory == MAP_FAILED) return "mmap";
        if (mprotect(memory, kPage, PROT_READ | PROT_WRITE) != 0) return "mprotect";
        memory[0] = 'x';
        if (mmap(memory, kPage, PROT_READ | PROT_WRITE, reserved | MAP_FIXED, -1, 0) != memory) return "mmap fixed";
        if (madvise(memory, kPage, MADV_DONTNEED) != 0) return "madvise";
        if (munmap(memory, 4 * kPage) != 0) return "munmap";
        if (syscall(SYS_brk, 0) <= 0) return "brk";

        timespec time{};
        for (const int clock : {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID}) {
          if (syscall(SYS_clock_gettime, clock, &time) != 0) return "clock_gettime";
        }
        timeval wall{};
        if (syscall(SYS_gettimeofday, &wall, nullptr) != 0) return "gettimeofday";
        char random[8];
        if (syscall(SYS_getrandom, random, sizeof random, 0) != sizeof random) return "getrandom";
        if (syscall(SYS_getpid) <= 0) return "getpid";
        return "all";
      });
      INFO(name(caller), ", ", name(profile));
      CHECK(ending.exited(0));
      CHECK(ending.said == "all");
      char answer[8];
      CHECK(recv(sockets.mine, answer, sizeof answer, MSG_DONTWAIT) == 4);
    }
  }
}

TEST_CASE("a system call outside the policy ends the process by SIGSYS") {
  for (const Caller caller : callers()) {
    for (const Profile profile : kProfiles) {
      INFO(name(caller), ", ", name(profile));
      CHECK(run_filtered(caller, profile, [] { return outcome(socket(AF_INET, SOCK_STREAM, 0)); }).killed_by(SIGSYS));
      CHECK(run_filtered(caller, profile, [] { return outcome(open("/", O_RDONLY)); }).killed_by(SIGSYS));
      CHECK(run_filtered(caller, profile, [] { return outcome(kill(1, 0)); }).killed_by(SIGSYS));
      CHECK(run_filtered(caller, profile, [] { return outcome(syscall(SYS_clone3, nullptr, 0)); }).killed_by(SIGSYS));
    }
  }
}

TEST_CASE("no system call that the policy does not name is carried out, whichever its number") {
  for (const Profile profile : kProfiles) {
    std::set<std::string_view> named;
    for (const PolicyRow& row : policy(profile)) named.insert(row.system_call);
    std::vector<int> forbidden;
    for (int number = 0; number < kNumbers; ++number) {
      if (std::ranges::count(kPassedBySeccomp, number) != 0) continue;
      if (!named.contains(syscall_name(number))) forbidden.push_back(number);
    }
    // The handler counts and goes on with the next call, so one child tries them all.
    static volatile int trapped;
    const Ending ending = run_filtered_after(
        profile,
        [] {
          handle(
              SIGSYS, +[](int, siginfo_t* info, void*) { trapped = info->si_syscall; });
        },
        [&] {
          for (const int number : forbidden) {
            trapped = -1;
            syscall(number, 0, 0, 0, 0, 0, 0);
            if (trapped != number) return "carried out: " + std::string(syscall_name(number));
          }
          return std::string("none");
        });
    INFO(name(profile));
    CHECK(ending.exited(0));
    CHECK(ending.said == "none");
  }
}

TEST_CASE("the system calls that the kernel exempts from filters are of no use to a process") {
  for (const int number : kPassedBySeccomp) {
    const Ending ending =
        run_filtered(callers().back(), Profile::jit, [&] { return outcome(syscall(number, 0, 0, 0, 0, 0, 0)); });
    INFO(number, ": ", ending.said);
    const bool useless = ending.killed_by(SIGSYS) || ending.killed_by(SIGILL) || ending.said == "ENXIO";
    CHECK(useless);
  }
}

TEST_CASE("an allowed system call with other arguments than the policy grants ends the process by SIGSYS") {
  for (const Profile profile : kProfiles) {
    for (const Attack& attack : kArgumentAttacks) {
      INFO(name(profile), ": ", attack.name);
      CHECK(run_filtered(callers().back(), profile, [&] { return outcome(attack.attempt()); }).killed_by(SIGSYS));
    }
  }
}

TEST_CASE("the strict profile lets no memory become executable") {
  constexpr int kEverything = PROT_READ | PROT_WRITE | PROT_EXEC;
  constexpr int kPrivate = MAP_PRIVATE | MAP_ANONYMOUS;
  const auto attempt = [](const Body& body) { return run_filtered(callers().back(), Profile::strict, body); };
  CHECK(attempt([] { return outcome(long(map(kEverything, kPrivate))); }).killed_by(SIGSYS));
  CHECK(attempt([] { return outcome(long(map(PROT_EXEC, kPrivate))); }).killed_by(SIGSYS));
  CHECK(attempt([] { return outcome(mprotect(private_page(), kPage, PROT_READ | PROT_EXEC)); }).killed_by(SIGSYS));
  CHECK(attempt([] { return outcome(mprotect(private_page(), kPage, kEverything)); }).killed_by(SIGSYS));
  CHECK(attempt([] {
          return outcome(syscall(SYS_pkey_mprotect, private_page(), kPage, PROT_EXEC, -1));
        }).killed_by(SIGSYS));
}

TEST_CASE("the jit profile lets code be written, made executable and run") {
  const Ending ending = run_filtered(callers().back(), Profile::jit, [] {
    void* const page = private_page();
    std::memcpy(page, kReturns42, sizeof kReturns42);
    if (mprotect(page, kPage, PROT_READ | PROT_EXEC) != 0) return std::string("mprotect");
    return std::to_string(run_as_code(page));
  });
  CHECK(ending.exited(0));
  CHECK(ending.said == "42");
}

TEST_CASE("a SIGSYS handler learns the number of the refused system call and can end the process") {
  const Ending ending = run_filtered_after(
      Profile::strict, [] { handle(SIGSYS, &on_sigsys); }, [] { return outcome(socket(AF_UNIX, SOCK_STREAM, 0)); });
  CHECK(ending.exited(SYS_socket));
}

TEST_CASE("an int argument is judged by its low half, as the kernel does") {
  SocketPair sockets;
  const Ending ending = run_filtered(callers().back(), Profile::strict, [&] {
    char byte;
    const std::uint64_t flags = (1ULL << 40) | MSG_DONTWAIT;
    return outcome(syscall(SYS_recvfrom, sockets.theirs, &byte, 1L, flags, nullptr, nullptr));
  });
  CHECK(ending.exited(0));
  CHECK(ending.said == "EAGAIN");
}

TEST_CASE("abort and a failed assertion end a locked process by a signal") {
  for (const Profile profile : kProfiles) {
    const Ending ending = run_filtered(callers().back(), profile, [] {
      std::abort();
      return std::string();
    });
    CHECK(WIFSIGNALED(ending.wait_status));
  }
}

TEST_CASE("a locked process that is stopped while it waits goes on waiting when it is continued") {
  SocketPair sockets;
  RunningChild child = start_filtered(callers().back(), Profile::strict, [&] {
    pollfd ready{sockets.theirs, POLLIN, 0};
    return std::to_string(wait_for_input(ready, 60));
  });
  // The child locks itself before it sleeps for the first time.
  wait_until_asleep(child.pid());
  kill(child.pid(), SIGSTOP);
  int status = 0;
  REQUIRE(waitpid(child.pid(), &status, WUNTRACED) == child.pid());
  REQUIRE(WIFSTOPPED(status));
  kill(child.pid(), SIGCONT);
  wait_until_asleep(child.pid());
  REQUIRE(send(sockets.mine, "x", 1, 0) == 1);
  const Ending ending = child.finish();
  CHECK(ending.exited(0));
  CHECK(ending.said == "1");
}

TEST_CASE("a signal handler in a locked process returns to what it interrupted") {
  static volatile int arrived;
  SocketPair sockets;
  RunningChild child = start_child(callers().back(), [&](SharedNotes& notes) {
    handle(
        SIGXCPU, +[](int) { arrived = 1; });
    require(notes, drop_privileges());
    require(notes, load(*compile(policy(Profile::strict))));
    run_and_leave(notes, [&] {
      pollfd ready{sockets.theirs, POLLIN, 0};
      send(sockets.theirs, "x", 1, 0);
      const int result = wait_for_input(ready, 60);
      return (result < 0 && errno == EINTR ? "interrupted " : "not interrupted ") + std::to_string(arrived);
    });
  });
  sockets.close_theirs();
  char byte;
  REQUIRE(recv(sockets.mine, &byte, 1, 0) == 1);
  wait_until_asleep(child.pid());
  kill(child.pid(), SIGXCPU);
  const Ending ending = child.finish();
  CHECK(ending.exited(0));
  CHECK(ending.said == "interrupted 1");
}

#if defined(__x86_64__)
TEST_CASE("a system call in the manner of another architecture kills the process, handler or not") {
  const auto exit_calmly = [] {
    handle(
        SIGSYS, +[](int, siginfo_t*, void*) { leave(0); });
  };
  const Ending compatible = run_filtered_after(Profile::jit, exit_calmly, [] {
    long result = 20;  // getpid(2) of i386
    asm volatile("int $0x80" : "+a"(result) : : "memory");
    return std::to_string(result);
  });
  // A kernel without such calls answers SIGSEGV.
  const bool refused = compatible.killed_by(SIGSYS) || compatible.killed_by(SIGSEGV);
  CHECK(refused);
  const Ending x32 = run_filtered_after(Profile::jit, exit_calmly,
                                        [] { return outcome(syscall(0x4000'0000 | SYS_munmap, nullptr, 0)); });
  CHECK(x32.killed_by(SIGSYS));
}
#endif
