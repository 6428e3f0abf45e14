// Makes every system call that exists, by each of the processor's ways into the kernel, inside a locked worker: the
// kernel carries out the calls of the table (sandbox/seccomp_policy.cc) and no others.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <map>
#include <set>

#include "sandbox/seccomp_policy.h"
#include "tests/adversarial/attacker.h"
#include "tests/adversarial/siege.h"
#include "tests/support/calls.h"

namespace holdfast::test {
namespace {

// The filter that the zygote loads into each worker.
constexpr sandbox::Profile kProfile = sandbox::Profile::jit;

// Above the numbers of today's kernels and of those of the next years.
constexpr long kNumbers = 600;

std::set<std::string> granted_names() {
  std::set<std::string> all;
  for (const auto& row : sandbox::policy(kProfile)) all.insert(row.system_call);
  return all;
}

bool is_in_table(long number) {
  static const std::set<std::string> granted = granted_names();
  return granted.contains(std::string(sandbox::syscall_name(static_cast<int>(number))));
}

// uretprobe(2) and uprobe(2), which end probes that a debugger has set, called from the kernel's own trampoline. Recent
// kernels (seen: 6.18) deliberately bypass seccomp filters for them, and refuse them to any other code.
constexpr long kUnfiltered[] = {335, 336};

// Every number that must be refused, and samples of numbers that no kernel has.
std::vector<long> refused_numbers() {
  std::vector<long> numbers;
  for (long number = 0; number <= kNumbers; ++number) {
    if (!is_in_table(number) && std::ranges::count(kUnfiltered, number) == 0) numbers.push_back(number);
  }
  for (long number : {601L, 1023L, 1024L, 4095L, 65'535L, 1L << 20, 1L << 29, (1L << 30) - 1})
    numbers.push_back(number);
  numbers.push_back(-1);
  return numbers;
}

// Arguments that some call might accept: none; memory and sizes; the worker's socket; another descriptor; pid 1; the
// worker itself.
std::vector<NativeCall> with_all_arguments(long number) {
  const NativeArgument memory = at("memory");
  return {native_call(number, 0, 0, 0, 0, 0, 0),
          native_call(number, memory, 4096, memory, 4096, memory, 4096),
          native_call(number, kSocket, memory, 64, 0, memory, 16),
          native_call(number, -1, memory, 64, 0, 0, 0),
          native_call(number, -100, text("/"), 0, 0, 0, 0),
          native_call(number, text("/proc/self/mem"), 2, 0600, 0, 0, 0),
          native_call(number, 1, 9, 1, 9, 1, 9),
          native_call(number, 1, 2, 3, 4, 5, 6),
          native_call(number, INT_MAX, UINT_MAX, LONG_MAX, LONG_MIN, -1, -1)};
}

TEST_CASE("every system call outside the table ends its worker and is named in the error") {
  Siege siege;
  const std::vector<long> numbers = refused_numbers();
  std::vector<CallTo> calls;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const auto forms = with_all_arguments(numbers[i]);
    calls.push_back({"attacker", "doCall", forms[i % forms.size()].json});
  }
  const auto errors = siege.lose_each(calls);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    CAPTURE(numbers[i]);
    CHECK(ipc::to_string(errors[i].code) == "sandbox_violation");
    CHECK(errors[i].detail == sandbox::syscall_name(static_cast<int>(numbers[i])));
  }
  siege.end();
}

TEST_CASE("no system call outside the table is carried out whatever its arguments even if its worker survives it") {
  Siege siege({"--stretch", "30s"});
  for (long number : refused_numbers()) {
    CAPTURE(number);
    for (const Outcome& outcome : siege.survey(with_all_arguments(number))) {
      CHECK(outcome.refused);
      CHECK(outcome.result == (number == -1 ? -2 : number));  // see ipc/shared_page.h
    }
  }
  siege.end();
}

TEST_CASE("the two calls that no filter is asked about are refused by the kernel") {
  Siege siege;
  for (const NativeCall& form : with_all_arguments(335)) {
    const auto error = siege.lose({"attacker", "doCall", form.json});
    CHECK((error.detail == "SIGILL" || ipc::to_string(error.code) == "sandbox_violation"));
  }
  for (const Outcome& outcome : siege.survey(with_all_arguments(336))) {
    CAPTURE(outcome.to_string());
    CHECK((outcome.refused || outcome.result == -ENXIO || outcome.result == -EPROTO));
  }
  siege.end();
}

// A harmless form of each call, and its possible results. Calls that do not return have a test of their own.
struct Harmless {
  NativeCall call;
  std::set<long> results;
};
std::map<std::string, Harmless> harmless() {
  const NativeArgument memory = at("memory");
  constexpr long kPrivate = MAP_PRIVATE | MAP_ANONYMOUS;
  return {
      {"recvfrom", {native_call(SYS_recvfrom, kSocket, memory, 1, MSG_DONTWAIT, 0, 0), {-EAGAIN}}},
      {"sendto", {native_call(SYS_sendto, kSocket, memory, 0, MSG_DONTWAIT, 0, 0), {0}}},
      {"poll", {native_call(SYS_poll, 0, 0, 0), {0}}},
      {"ppoll", {native_call(SYS_ppoll, 0, 0, structure({word(0), word(0)}), 0, 0), {0}}},
      {"mmap", {native_call(SYS_mmap, 0, 0, PROT_READ, kPrivate, -1, 0), {-EINVAL}}},
      {"munmap", {native_call(SYS_munmap, 1, 4096), {-EINVAL}}},
      {"mprotect", {native_call(SYS_mprotect, 1, 4096, PROT_READ), {-EINVAL}}},
      {"madvise", {native_call(SYS_madvise, 0, 0, MADV_DONTNEED), {0}}},
      {"brk", {native_call(SYS_brk, 0), {}}},
      {"mremap", {native_call(SYS_mremap, 0, 0, 0, 0), {-ENOMEM}}},
      {"futex", {native_call(SYS_futex, memory, 1 | 128, 1), {0}}},
      {"clock_gettime", {native_call(SYS_clock_gettime, 1, memory), {0}}},
      {"gettimeofday", {native_call(SYS_gettimeofday, memory, 0), {0}}},
      {"getrandom", {native_call(SYS_getrandom, memory, 8, 0), {8}}},
      {"write", {native_call(SYS_write, 2, memory, 0), {-EBADF}}},
      {"writev", {native_call(SYS_writev, 2, memory, 0), {-EBADF}}},
      {"restart_syscall", {native_call(SYS_restart_syscall), {-EINTR}}},
      {"getpid", {native_call(SYS_getpid), {}}},
  };
}

TEST_CASE("every system call of the table is carried out and none that was removed from it") {
  Siege siege;
  auto forms = harmless();
  for (const std::string& name : granted_names()) {
    if (name == "rt_sigreturn" || name == "exit_group") continue;
    CAPTURE(name);
    REQUIRE_MESSAGE(forms.contains(name),
                    "the table has a call that this test does not know; add a harmless form of it");
    const Outcome outcome = siege.survey(forms[name].call);
    CAPTURE(outcome.to_string());
    CHECK_FALSE(outcome.refused);
    CHECK((forms[name].results.empty() ? outcome.result > 0 : forms[name].results.contains(outcome.result)));
    forms.erase(name);
  }
  // Calls that the table contained earlier.
  for (const auto& [name, form] : forms) {
    CAPTURE(name);
    CHECK(siege.survey(form.call).refused);
  }
  CHECK(siege.lose({"attacker", "doCall", native_call(SYS_exit_group, 7).json}).detail == "exit status 7");
  siege.end();
}

TEST_CASE("the upper half of the number register does not change which call is made") {
  Siege siege;
  for (const long high : {1L << 32, 1L << 62, -(1L << 32)}) {
    CAPTURE(high);
    CHECK(siege.survey(native_call(high + SYS_madvise, 0, 0, MADV_DONTNEED)).to_string() == "0");
    CHECK(siege.survey(native_call(high + SYS_socket, 2, 1, 0)).to_string() == fmt::format("refused:{}", SYS_socket));
  }
  siege.end();
}

// Checks the end of workers that made a call in another architecture's manner: the kernel kills the process without
// running its handler. `offered`: whether the kernel offers such calls.
void check_killed(const std::vector<ipc::Error>& errors, bool offered = true) {
  for (std::size_t number = 0; number < errors.size(); ++number) {
    CAPTURE(number);
    CHECK(ipc::to_string(errors[number].code) == (offered ? "sandbox_violation" : "worker_crashed"));
    CHECK(errors[number].detail == (offered ? "of another architecture" : "SIGSEGV"));
  }
}

TEST_CASE("every system call number of x32 programs kills the process even if the table grants the call") {
  Siege siege;
  std::vector<CallTo> calls;
  for (long number = 0; number <= kNumbers; ++number) {
    calls.push_back({"attacker", "doCall", native_call(0x4000'0000 + number, 0, 0, 0, 0, 0, 0).json});
  }
  // So does every number with that bit, including negative ones except -1, as the kernel reads the low half of the
  // register.
  for (long number :
       {0x7fff'ffffL, 0x4000'ffffL, 0x1'4000'0000L, -2L, -39L, -512L, -4096L, INT_MIN + 1L, INT_MIN + 0L}) {
    calls.push_back({"attacker", "doCall", native_call(number, 0, 0, 0, 0, 0, 0).json});
  }
  check_killed(siege.lose_each(calls));
  siege.end();
}

TEST_CASE(
    "every system call number by the entry of 32-bit programs kills the process even if the table grants the call") {
  Siege siege;
  std::vector<CallTo> calls;
  for (long number = 0; number <= kNumbers; ++number) {
    calls.push_back({"attacker", "oldSystemCall", fmt::format("[{},1,0,0,0,0]", number)});
  }
  for (const char* number : {"-1", "65536", "1073741824", "2147483647"}) {
    calls.push_back({"attacker", "oldSystemCall", fmt::format("[{},1,0,0,0,0]", number)});
  }
  check_killed(siege.lose_each(calls), offers_calls_of_i386());
  siege.end();
}

}  // namespace
}  // namespace holdfast::test
