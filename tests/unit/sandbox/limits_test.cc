#include "sandbox/limits.h"

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <string>

#include "tests/unit/sandbox/test_support.h"

using namespace holdfast::sandbox;
using namespace holdfast::sandbox::test;

namespace {

constexpr std::size_t kMebibyte = 1 << 20;

std::string limit(const ResourceLimits& limits) {
  const SetupResult done = apply_limits(limits);
  return done ? "" : done.error().layer + ": " + done.error().message;
}

Ending run_limited(Caller caller, const ResourceLimits& limits, const Body& body) {
  return run_child(caller, [&] {
    std::string error = limit(limits);
    return error.empty() ? body() : error;
  });
}

void* map(std::size_t size, int protection = PROT_READ | PROT_WRITE) {
  return mmap(nullptr, size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

std::string map_outcome(std::size_t size) { return outcome(map(size) == MAP_FAILED ? -1 : 0); }

// Fills `blocks` mappings of one MiB each and makes each read-only, so that RLIMIT_DATA no longer counts it. Returns
// how many were possible.
int fill_and_hide(int blocks) {
  for (int i = 0; i < blocks; ++i) {
    void* const block = map(kMebibyte);
    if (block == MAP_FAILED) return i;
    std::memset(block, 1, kMebibyte);
    if (mprotect(block, kMebibyte, PROT_READ) != 0) return i;
  }
  return blocks;
}

constexpr int kBottomless = 1 << 30;

// Uses up the stack in steps of at least a KiB and counts them.
__attribute__((noinline, no_sanitize_address)) int use_stack(std::atomic<int>& kibibytes) {
  volatile char frame[1024];
  frame[0] = 1;
  return ++kibibytes == kBottomless ? 0 : use_stack(kibibytes) + frame[0];
}

}  // namespace

TEST_CASE("a limited process cannot make a child or a thread") {
  for (const Caller caller : callers()) {
    const Ending ending = start_sealed(caller, [](SharedNotes& notes) {
                            require(notes, drop_privileges());
                            require(notes, apply_limits({}));
                            run_and_leave(notes, [] {
                              const pid_t child = fork();
                              if (child == 0) _exit(0);
                              return outcome(child);
                            });
                          }).finish();
    INFO(name(caller));
    CHECK(ending.said == "EAGAIN");
  }
}

TEST_CASE("private writable memory ends at the data limit") {
  for (const Caller caller : callers()) {
    const std::uint64_t in_use = data_bytes_in_use().value();
    const ResourceLimits limits{.data_bytes = in_use + 64 * kMebibyte};
    const Ending ending = run_limited(caller, limits, [] {
      void* const reserved = map(128 * kMebibyte, PROT_NONE);
      return in_order({map_outcome(16 * kMebibyte), map_outcome(128 * kMebibyte),
                       outcome(mprotect(reserved, 128 * kMebibyte, PROT_READ | PROT_WRITE)),
                       map_outcome(16 * kMebibyte)});
    });
    INFO(name(caller));
    CHECK(ending.said == "ok ENOMEM ENOMEM ok");
  }
}

TEST_CASE("the address space limit stops memory that the data limit does not count") {
  const std::uint64_t data = data_bytes_in_use().value() + 16 * kMebibyte;
  const std::uint64_t address_space = address_space_bytes_in_use().value() + 32 * kMebibyte;
  const Ending evaded =
      run_limited(callers().back(), {.data_bytes = data}, [] { return std::to_string(fill_and_hide(64)); });
  CHECK(evaded.said == "64");
  const Ending stopped = run_limited(callers().back(), {.data_bytes = data, .address_space_bytes = address_space},
                                     [] { return std::to_string(fill_and_hide(64)); });
  CHECK(std::stoi(stopped.said) < 32);
}

TEST_CASE("no byte can be written to a file") {
  const int file = memfd_create("file", MFD_CLOEXEC);
  const Ending ending = run_limited(callers().back(), {}, [&] { return outcome(write(file, "x", 1)); });
  CHECK(ending.killed_by(SIGXFSZ));
  close(file);
}

TEST_CASE("the kept socket stays usable, poll included, and there is no room for further descriptors") {
  SocketPair sockets;
  const Ending ending = run_child(callers().back(), [&] {
    if (!close_all_descriptors_except(sockets.theirs)) return std::string("close");
    if (const std::string error = limit({}); !error.empty()) return error;
    pollfd ready{kKeptDescriptor, POLLOUT, 0};
    if (poll(&ready, 1, 0) != 1) return std::string("poll");
    if (send(kKeptDescriptor, "x", 1, 0) != 1) return std::string("send");
    return in_order({outcome(dup(kKeptDescriptor)), outcome(dup(kKeptDescriptor))});
  });
  CHECK(ending.said == "ok EMFILE");
}

TEST_CASE("the stack ends at its limit, by SIGSEGV") {
  void* const page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(page != MAP_FAILED);
  std::atomic<int>& kibibytes = *new (page) std::atomic<int>(0);
  const Ending ending = run_limited(callers().back(), {.stack_bytes = 2 * kMebibyte},
                                    [&] { return std::to_string(use_stack(kibibytes)); });
  CHECK(ending.killed_by(SIGSEGV));
  CHECK(kibibytes > 256);
  CHECK(kibibytes <= 2048);
  munmap(page, 4096);
}

TEST_CASE("CPU time past the limit ends the process by SIGKILL, and no SIGXCPU comes before") {
  const Ending ending = run_limited(callers().back(), {.cpu_time = std::chrono::seconds(1)}, []() -> std::string {
    std::signal(SIGXCPU, [](int) { _exit(1); });
    for (;;) getppid();
  });
  CHECK(ending.killed_by(SIGKILL));
}

TEST_CASE("no core is dumped, no memory locked, no real-time signal queued, no message queue made") {
  const Ending core = run_limited(callers().back(), {}, []() -> std::string { std::abort(); });
  CHECK(core.killed_by(SIGABRT));
  CHECK(!WCOREDUMP(core.wait_status));
  const Ending others = run_limited(callers().back(), {}, [] {
    return in_order({outcome(syscall(SYS_mlock, map(4096), 4096)), outcome(sigqueue(getpid(), SIGRTMIN + 1, sigval{})),
                     outcome(syscall(SYS_mq_open, "holdfast-test", O_CREAT | O_RDWR, 0600, nullptr))});
  });
  CHECK(others.said == "EPERM EAGAIN EMFILE");
}

TEST_CASE("the supervisor's soft stop reaches a limited process") {
  static volatile int arrived;
  const Ending ending = run_limited(callers().back(), {}, [] {
    std::signal(SIGXCPU, [](int) { arrived = 1; });
    sigset_t block;
    sigemptyset(&block);
    sigaddset(&block, SIGXCPU);
    sigprocmask(SIG_BLOCK, &block, nullptr);
    kill(getpid(), SIGXCPU);
    sigprocmask(SIG_UNBLOCK, &block, nullptr);
    return std::to_string(arrived);
  });
  CHECK(ending.said == "1");
}

TEST_CASE("a limit of zero leaves the kernel's limit as it was") {
  const auto current = [] {
    std::string all;
    for (const auto resource : {RLIMIT_DATA, RLIMIT_AS, RLIMIT_STACK, RLIMIT_CPU}) {
      rlimit value{};
      getrlimit(resource, &value);
      all += std::to_string(value.rlim_cur) + "/" + std::to_string(value.rlim_max) + " ";
    }
    return all;
  };
  CHECK(run_limited(callers().back(), {}, current).said == current());
}

TEST_CASE("a limit above what the process was started with is an error that says what to raise") {
  const Ending ending = run_child(callers().back(), [] {
    // Far above current use, so that the error report still finds memory.
    const std::uint64_t low = data_bytes_in_use().value() + 64 * kMebibyte;
    const rlimit limits{low, low};
    if (setrlimit(RLIMIT_DATA, &limits) != 0) return outcome(-1);
    return limit({.data_bytes = low + kMebibyte});
  });
  CHECK(ending.said.starts_with("limits: setrlimit(RLIMIT_DATA): "));
  CHECK(ending.said.find("ulimit") != std::string::npos);
}

TEST_CASE("memory in use grows by the mapped size") {
  const Ending ending = run_child(callers().back(), []() -> std::string {
    const std::uint64_t data = data_bytes_in_use().value();
    const std::uint64_t address_space = address_space_bytes_in_use().value();
    if (map(32 * kMebibyte) == MAP_FAILED) return "map";
    // Reading the figures may itself allocate a little.
    const std::uint64_t more_data = data_bytes_in_use().value() - data;
    const std::uint64_t more_address_space = address_space_bytes_in_use().value() - address_space;
    if (more_data < 32 * kMebibyte || more_data > 40 * kMebibyte) return "data " + std::to_string(more_data);
    if (more_address_space < 32 * kMebibyte) return "address space " + std::to_string(more_address_space);
    return "as mapped";
  });
  CHECK(ending.said == "as mapped");
}

TEST_CASE("without /proc the memory in use is an error") {
  const Ending ending = run_sealed(callers().back(), [] {
    const auto in_use = data_bytes_in_use();
    return in_use ? "a figure" : in_use.error().layer + ": " + in_use.error().message;
  });
  CHECK(ending.said.starts_with("limits: "));
}
