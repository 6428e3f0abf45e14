// Calls the table's system calls (sandbox/seccomp_policy.cc) with arguments that the table does not grant, inside a
// locked worker that survives refusals. The test does not have to change if the table grants less.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <set>

#include "tests/adversarial/siege.h"
#include "tests/support/processes.h"

namespace holdfast::test {
namespace {

constexpr long kPrivate = MAP_PRIVATE | MAP_ANONYMOUS;
constexpr long kReadWrite = PROT_READ | PROT_WRITE;

// All words of `size` bits in which one bit is set.
std::vector<long> bits(unsigned size) {
  std::vector<long> all;
  for (unsigned bit = 0; bit < size; ++bit) all.push_back(static_cast<long>(1UL << bit));
  return all;
}

// Checks that the filter refuses each call except those at the places in `granted`.
void check_refused(Siege& siege, const std::vector<NativeCall>& calls, const std::set<std::size_t>& granted = {}) {
  const auto outcomes = siege.survey(calls);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    if (granted.contains(i)) continue;
    CAPTURE(calls[i].json);
    CAPTURE(outcomes[i].to_string());
    CHECK(outcomes[i].refused);
  }
}

TEST_CASE("memory is mapped private and anonymous or not at all") {
  Siege siege;
  std::vector<NativeCall> calls;
  constexpr long kHarmless = MAP_NORESERVE | MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_STACK;
  // Flips each bit in turn. The bits from 26 on hold a huge page's size.
  for (const long bit : bits(64)) {
    const long flags = kPrivate ^ bit;
    if ((bit & kHarmless) == 0) calls.push_back(native_call(SYS_mmap, 0, 4096, kReadWrite, flags, -1, 0));
  }
  for (const long flags : std::initializer_list<long>{0, MAP_SHARED, MAP_SHARED_VALIDATE, MAP_SHARED | MAP_ANONYMOUS,
                                                      MAP_PRIVATE, MAP_ANONYMOUS, MAP_TYPE | MAP_ANONYMOUS, -1}) {
    for (const long fd : {-1L, 0L, kSocket}) {
      calls.push_back(native_call(SYS_mmap, 0, 4096, PROT_READ, flags, fd, 0));
    }
  }
  check_refused(siege, calls);
  // The kernel ignores a descriptor beside MAP_ANONYMOUS.
  CHECK(siege.survey(native_call(SYS_mmap, 0, 4096, PROT_READ, kPrivate, kSocket, 0)).result > 0);
  siege.end();
}

TEST_CASE("only plain memory protections are granted") {
  Siege siege;
  std::vector<NativeCall> calls;
  for (const long bit : bits(64)) {
    if ((bit & (kReadWrite | PROT_EXEC)) != 0) continue;  // PROT_EXEC: see below
    calls.push_back(native_call(SYS_mmap, 0, 4096, PROT_READ | bit, kPrivate, -1, 0));
    calls.push_back(native_call(SYS_mprotect, at("memory"), 4096, PROT_READ | bit));
  }
  calls.push_back(native_call(SYS_mprotect, at("stack"), 4096, kReadWrite | PROT_GROWSDOWN));
  calls.push_back(native_call(SYS_pkey_mprotect, at("memory"), 4096, kReadWrite, -1));
  calls.push_back(native_call(SYS_pkey_alloc, 0, 0));
  check_refused(siege, calls);
  siege.end();
}

TEST_CASE("memory is made executable only where the profile grants it, and never while it can be written to") {
  for (const std::string profile : {"jit", "strict"}) {
    CAPTURE(profile);
    Siege siege({"--profile", profile});
    CHECK(siege.survey(native_call(SYS_mprotect, 1, 4096, PROT_READ | PROT_EXEC)).refused == (profile == "strict"));
    CHECK(siege.survey(native_call(SYS_mprotect, 1, 4096, PROT_EXEC)).refused == (profile == "strict"));
    std::vector<NativeCall> calls = {
        native_call(SYS_mprotect, at("memory"), 4096, kReadWrite | PROT_EXEC),
        native_call(SYS_mprotect, at("memory"), 4096, PROT_WRITE | PROT_EXEC),
        native_call(SYS_mprotect, at("memory"), 4096, PROT_READ | PROT_EXEC | PROT_GROWSDOWN),
    };
    for (const long protection : {PROT_EXEC | 0L, PROT_READ | PROT_EXEC | 0L, kReadWrite | PROT_EXEC}) {
      for (const long flag : {0, MAP_GROWSDOWN, MAP_LOCKED, MAP_HUGETLB, MAP_POPULATE, MAP_32BIT}) {
        calls.push_back(native_call(SYS_mmap, 0, 4096, protection, kPrivate | flag, -1, 0));
      }
      calls.push_back(native_call(SYS_mmap, 0, 4096, protection, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    }
    check_refused(siege, calls);
    siege.end();
  }
}

TEST_CASE("only the advice about memory that V8 gives is granted") {
  Siege siege;
  std::vector<NativeCall> calls;
  std::set<std::size_t> granted;
  const NativeArgument memory = at("memory");
  std::vector<long> all;
  for (long advice = -2; advice <= 102; ++advice) all.push_back(advice);
  for (const long bit : bits(32)) all.push_back(bit);
  for (const long advice : all) {
    if (advice == MADV_DONTNEED) granted.insert(calls.size());
    calls.push_back(native_call(SYS_madvise, 4096, 0, advice));  // harmless, as there is no memory
  }
  calls.push_back(native_call(SYS_process_madvise, kSocket, memory, 1, MADV_DONTNEED, 0));
  check_refused(siege, calls, granted);
  siege.end();
}

TEST_CASE("the socket is read and written without out-of-band data, peeks and the like") {
  Siege siege;
  std::vector<NativeCall> calls;
  for (const long flag : bits(32)) {
    if (flag == MSG_DONTWAIT) continue;
    calls.push_back(native_call(SYS_recvfrom, kSocket, at("memory"), 1, MSG_DONTWAIT | flag, 0, 0));
    if (flag == MSG_NOSIGNAL) continue;
    calls.push_back(native_call(SYS_sendto, kSocket, at("memory"), 0, MSG_DONTWAIT | flag, 0, 0));
  }
  calls.push_back(native_call(SYS_recvmmsg, kSocket, at("memory"), 1, MSG_DONTWAIT, 0));
  calls.push_back(native_call(SYS_sendmmsg, kSocket, at("memory"), 1, MSG_DONTWAIT));
  calls.push_back(native_call(SYS_shutdown, kSocket, SHUT_WR));
  check_refused(siege, calls);
  siege.end();
}

TEST_CASE("there is no descriptor to read, write or wait for but the socket") {
  Siege siege;
  std::vector<NativeCall> calls;
  std::vector<long> descriptors = {-1, -100, 1023, 65'535, INT_MAX, INT_MIN};
  for (long fd = 0; fd < 64; ++fd) {
    if (fd != kSocket) descriptors.push_back(fd);
  }
  for (const long fd : descriptors) {
    calls.push_back(native_call(SYS_recvfrom, fd, at("memory"), 1, MSG_DONTWAIT, 0, 0));
    calls.push_back(native_call(SYS_sendto, fd, at("memory"), 1, MSG_DONTWAIT, 0, 0));
  }
  for (const Outcome& outcome : siege.survey(calls)) CHECK(outcome.to_string() == std::to_string(-EBADF));
  const NativeArgument at_once = structure({word(0), word(0)});
  // Waiting for a descriptor that does not exist returns POLLNVAL at once. Waiting for two descriptors is more than the
  // limit grants.
  calls.clear();
  for (const long fd : descriptors) {
    if (fd < 0) continue;  // ppoll(2) ignores negative descriptors
    calls.push_back(native_call(SYS_ppoll, structure({word(static_cast<std::uint64_t>(fd))}), 1, at_once, 0, 0));
  }
  for (const Outcome& outcome : siege.survey(calls)) CHECK(outcome.to_string() == "1");
  for (const long count : {2L, 3L, 1024L, static_cast<long>(UINT_MAX)}) {
    CHECK(siege.survey(native_call(SYS_ppoll, at("memory"), count, at_once, 0, 0)).to_string() ==
          std::to_string(-EINVAL));
  }
  siege.end();
}

TEST_CASE("an address given to the socket leads nowhere") {
  Siege siege;
  // AF_UNIX addresses that the supervisor, the host's services and the abstract namespace might have.
  for (const std::string name : {"\\u0001\\u0000/run/systemd/journal/socket", "\\u0001\\u0000\\u0000holdfast",
                                 "\\u0002\\u0000\\u0000\\u0035\\u007f\\u0000\\u0000\\u0001"}) {
    CAPTURE(name);
    const auto sent =
        siege.survey(native_call(SYS_sendto, kSocket, at("memory"), 0, MSG_DONTWAIT | MSG_NOSIGNAL, text(name), 32));
    CHECK((sent.result == -EISCONN || sent.result == -EOPNOTSUPP));
  }
  siege.end();
}

TEST_CASE("clocks are those of the process and of the host, and no other process's") {
  Siege siege;
  std::vector<NativeCall> calls;
  std::vector<long> clocks = {8, 9, 10, 11, 12, 15, 16, 31, 32, 1023, INT_MAX};
  // Negative numbers: the CPU clock of a process or thread by its id, or a device's clock by its descriptor.
  for (long pid = 0; pid < 20; ++pid) {
    for (long kind = 0; kind < 8; ++kind) clocks.push_back(((~pid) << 3) | kind);
  }
  for (const long clock : clocks) {
    calls.push_back(native_call(SYS_clock_gettime, clock, at("memory")));
    calls.push_back(native_call(SYS_clock_getres, clock, at("memory")));
    calls.push_back(native_call(SYS_clock_settime, clock, at("memory")));
    calls.push_back(native_call(SYS_clock_nanosleep, clock, 0, at("memory"), 0));
    calls.push_back(native_call(SYS_clock_adjtime, clock, at("memory")));
  }
  for (long clock = 0; clock < 8; ++clock) calls.push_back(native_call(SYS_clock_settime, clock, at("memory")));
  check_refused(siege, calls);
  siege.end();
}

TEST_CASE("a futex is waited for and woken, within the process, and nothing else") {
  Siege siege;
  std::vector<NativeCall> calls;
  std::set<std::size_t> granted;
  // Every command with every flag. The word is 0, so that no wait for a 1 begins.
  std::vector<long> operations;
  for (long operation = 0; operation < 1024; ++operation) operations.push_back(operation);
  for (const long bit : bits(32)) {
    if (bit >= 1024) operations.push_back(FUTEX_WAKE_PRIVATE | bit);
  }
  operations.push_back(-1);
  for (const long operation : operations) {
    for (const long known : {FUTEX_WAKE_PRIVATE, FUTEX_WAIT_PRIVATE, FUTEX_WAIT_BITSET_PRIVATE,
                             FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME}) {
      if (operation == known) granted.insert(calls.size());
    }
    calls.push_back(native_call(SYS_futex, structure({word(0)}), operation, 1, 0, structure({word(0)}), 1));
  }
  for (long number = 449; number <= 456; ++number) {  // futex_waitv(2) and related calls
    if (number != 450 && number != 451 && number != 453) calls.push_back(native_call(number, at("memory"), 1, 0, 0, 0));
  }
  check_refused(siege, calls, granted);
  siege.end();
}

TEST_CASE("granted calls cannot read or write at addresses of the kernel") {
  Siege siege;
  const std::vector<long> addresses = {LONG_MIN, -(1L << 47),       -4096, -8, -(10L << 20) /* vsyscall */,
                                       1L << 47, (1L << 47) - 4096, 0,     8,  1L << 56};
  std::vector<NativeCall> calls;
  for (const long address : addresses) {
    calls.push_back(native_call(SYS_recvfrom, kSocket, at("memory"), 1, MSG_DONTWAIT, address, address));
    calls.push_back(native_call(SYS_sendto, kSocket, address, 64, MSG_DONTWAIT, 0, 0));
    calls.push_back(native_call(SYS_getrandom, address, 64, 0));
    calls.push_back(native_call(SYS_clock_gettime, 1, address));
    calls.push_back(native_call(SYS_ppoll, address, 1, structure({word(0), word(0)}), 0, 0));
    calls.push_back(native_call(SYS_futex, address, FUTEX_WAIT_PRIVATE, 1, 0, 0, 0));
    calls.push_back(native_call(SYS_mprotect, address & ~4095L, 4096, PROT_READ));
    calls.push_back(native_call(SYS_madvise, address & ~4095L, 4096, MADV_DONTNEED));
  }
  const auto outcomes = siege.survey(calls);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    CAPTURE(calls[i].json);
    CHECK((outcomes[i].refused || outcomes[i].result < 0));
  }
  siege.end();
}

TEST_CASE("neither mappings nor the break of the process can grow past the limit of address space") {
  Siege siege({"--memory", "32MB"});
  const pid_t attacker = siege.worker();
  const auto space = std::stoull(limits_of(attacker, "Max address space").second);
  std::vector<NativeCall> calls;
  for (const long flags : {0, MAP_NORESERVE, MAP_STACK, MAP_FIXED_NOREPLACE}) {
    for (const long protection : {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE}) {
      for (const unsigned long size : {static_cast<unsigned long>(space), 1UL << 40, 1UL << 46, ~0UL, ~0UL << 12}) {
        calls.push_back(native_call(SYS_mmap, 0x10'0000'0000, size, protection, kPrivate | flags, -1, 0));
      }
    }
  }
  for (const Outcome& outcome : siege.survey(calls)) {
    CAPTURE(outcome.to_string());
    CHECK((outcome.result == -ENOMEM || outcome.result == -EEXIST));  // -EEXIST from MAP_FIXED_NOREPLACE
  }
  const Outcome now = siege.survey(native_call(SYS_brk, 0));
  for (const long further : {512L << 20, 1L << 40, 1L << 46}) {
    // malloc(3) may give memory back between these calls, which lowers the break.
    CHECK((now.refused || siege.survey(native_call(SYS_brk, now.result + further)).result <= now.result));
  }
  const auto used = std::stoull(status_field(attacker, "VmSize")) << 10;
  CHECK(used <= space);
  siege.end();
}

}  // namespace
}  // namespace holdfast::test
