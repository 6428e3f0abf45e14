// Native code that abuses signals: handlers without their data, returns from signals that never came (rt_sigreturn(2)
// accepts any frame), and the processor's own faults. None of them gains time for the worker or costs other modules
// any.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/syscall.h>

#include <csignal>
#include <string_view>

#include "tests/adversarial/siege.h"
#include "tests/support/processes.h"

namespace holdfast::test {
namespace {

constexpr std::uint64_t kAllSignals = ~std::uint64_t{0};

// The beginning of a range of addresses that 32-bit code can reach and that nothing here uses.
constexpr std::uint64_t kLowAddress = 0x1000'0000;

constexpr std::uint64_t kUserCode32 = 0x23;
constexpr std::uint64_t kUserStack = std::uint64_t{0x2b} << 48;

std::vector<std::string> short_stretch() { return {"--stretch", "500ms"}; }

TEST_CASE("a worker that blocks every signal by a forged return, and loops, is killed in time") {
  Siege siege(short_stretch());
  for (const char* ending : {"run", "runAndLoop"}) {
    CAPTURE(std::string_view(ending));
    const auto error = siege.lose({"attacker", ending,
                                   steps({step("blockSignals", word(kAllSignals)),
                                          std::string(ending) == "run" ? step("spin") : step("ownStack")})});
    CHECK(ipc::to_string(error.code) == "cpu_exceeded");
    CHECK(contains(error.message, "no stack"));
  }
  siege.end();
}

TEST_CASE("a worker that blocks every signal, claims to run nothing, and loops, is killed at its deadline") {
  Siege siege(short_stretch());
  const CallTo to{
      .module = "attacker",
      .function = "run",
      .payload = steps({step("blockSignals", word(kAllSignals)), step("writeWord", at("page"), 0), step("spin")}),
      .timeout = std::chrono::milliseconds(300)};
  CHECK(ipc::to_string(siege.lose(to).code) == "deadline_exceeded");
  siege.end();
}

TEST_CASE("a refused system call ends a worker that has blocked the signal which tells of it") {
  Siege siege;
  for (const std::uint64_t blocked : {kAllSignals, std::uint64_t{1} << (SIGSYS - 1)}) {
    const auto error = siege.lose({"attacker", "run",
                                   steps({step("blockSignals", word(blocked)),
                                          step("systemCall", word(SYS_socket), word(2), word(1), word(0))})});
    CHECK(ipc::to_string(error.code) == "sandbox_violation");
  }
  siege.end();
}

TEST_CASE("only the worker that forges a return from a signal ends whatever the registers") {
  Siege siege(short_stretch());
  constexpr std::uint64_t kTrap = 0x100, kDirection = 0x400, kPrivilege = 0x3000, kNested = 0x4000,
                          kAlignment = 0x40000, kVirtual8086 = 0x20000, kIdentify = 0x200000;
  constexpr std::uint64_t kKernelCode = 0x10;
  struct Frame {
    std::uint64_t flags = 0, selectors = 0, address = 0;
    NativeArgument floating_point_state = word(0);
  };
  std::vector<Frame> frames = {
      {.flags = kTrap},
      {.flags = kDirection},
      {.flags = kPrivilege},
      {.flags = kNested},
      {.flags = kAlignment},
      {.flags = kVirtual8086},
      {.flags = kIdentify},
      {.flags = ~std::uint64_t{0}},
      {.selectors = kUserStack},                        // no code segment
      {.selectors = kKernelCode | kUserStack},          // the kernel's code segment
      {.selectors = kUserCode32 | kUserStack},          // the 32-bit segment, and an address that it cannot reach
      {.selectors = 0xffff | kUserStack},               // a segment that does not exist
      {.selectors = 0x33 | std::uint64_t{0x18} << 48},  // the kernel's stack segment
      {.selectors = 0x33 | std::uint64_t{0xffff} << 48},
      {.selectors = 0x33},
      {.selectors = ~std::uint64_t{0}},
      {.address = std::uint64_t{1} << 47},  // not canonical, which makes sysret fault
      {.address = ~std::uint64_t{0}},
      {.address = std::uint64_t{0xffff'8000} << 32},
      {.address = 8},
      {.floating_point_state = word(8)},
      {.floating_point_state = word(std::uint64_t{0xffff'8000} << 32)},
      {.floating_point_state = at("memory")},
      {.floating_point_state = at("memory", 8)},
      {.floating_point_state = at("stack")},
      {.floating_point_state = at("engine")},
  };
  for (const Frame& frame : frames) {
    const std::string attempt = step("forgeReturn", word(kAllSignals), word(frame.flags), word(frame.selectors),
                                     word(frame.address), frame.floating_point_state);
    CAPTURE(attempt);
    // A floating point state with every bit set, and one that claims to be extended.
    for (const std::uint64_t fill : {std::uint64_t{0}, ~std::uint64_t{0}}) {
      std::vector<std::string> all;
      if (frame.floating_point_state.json.find("memory") != std::string::npos) {
        for (long offset = 0; offset < 4096; offset += 8)
          all.push_back(step("writeWord", at("memory", offset), word(fill)));
      } else if (fill != 0) {
        continue;
      }
      all.push_back(attempt);
      const auto error = siege.lose({"attacker", "run", steps(all)});
      CAPTURE(error.message);
      CHECK((error.code == ipc::ErrorCode::cpu_exceeded || error.detail == "SIGSEGV" || error.detail == "SIGTRAP" ||
             error.detail == "SIGBUS" || error.detail == "SIGILL"));
    }
  }
  siege.end();
}

TEST_CASE("a worker that overwrites the data of its signal handlers is ended all the same") {
  Siege siege(short_stretch());
  // The handler of refused calls writes to the shared page. Its pointer now points elsewhere or nowhere.
  for (const std::uint64_t elsewhere : {std::uint64_t{0}, ~std::uint64_t{0}, kLowAddress}) {
    const auto error = siege.lose({"attacker", "run",
                                   steps({step("replaceWords", at("page"), word(elsewhere)),
                                          step("systemCall", word(SYS_socket), word(2), word(1), word(0))})});
    CHECK(ipc::to_string(error.code) == "worker_crashed");
    CHECK(error.detail == "SIGSEGV");
  }
  // The handler of the soft stop calls an engine that is no longer there.
  for (const std::uint64_t value : {std::uint64_t{0}, ~std::uint64_t{0}, std::uint64_t{0x4141'4141'4141'4141}}) {
    const auto error = siege.lose({"attacker", "run", steps({step("scribble", word(value))})});
    CHECK(ipc::to_string(error.code) == "cpu_exceeded");
  }
  siege.end();
}

TEST_CASE("only the worker that registers a bad restartable sequence ends") {
  Siege siege(short_stretch());
  constexpr long kDescriptor = 8;  // its offset in struct rseq
  const NativeArgument everywhere = structure({word(0), word(0), word(~std::uint64_t{0} >> 17), at("code")});
  for (const NativeArgument& descriptor : {word(8), word(std::uint64_t{0xffff'8000} << 32), word(~std::uint64_t{0}),
                                           at("memory"), at("engine"), at("page"), everywhere}) {
    CAPTURE(descriptor.json);
    const auto error = siege.lose(
        {"attacker", "run", steps({step("writeWord", at("sequences", kDescriptor), descriptor), step("spin")})});
    CHECK((error.code == ipc::ErrorCode::cpu_exceeded || error.detail == "SIGSEGV"));
  }
  siege.end();
}

TEST_CASE("a fault of the processor is worker_crashed with its signal") {
  const std::pair<const char*, const char*> faults[] = {
      {"illegal instruction", "SIGILL"},
      {"breakpoint", "SIGTRAP"},
      {"single step", "SIGTRAP"},
      {"division by zero", "SIGFPE"},
      {"misaligned access", "SIGBUS"},
      {"privileged instruction", "SIGSEGV"},
      {"port", "SIGSEGV"},
      {"non-canonical address", "SIGSEGV"},
      {"kernel address", "SIGSEGV"},
  };
  Siege siege;
  for (const auto& [kind, signal] : faults) {
    CAPTURE(kind);
    const auto error = siege.lose({"attacker", "fault", fmt::format("\"{}\"", kind)});
    CHECK(ipc::to_string(error.code) == "worker_crashed");
    CHECK(error.detail == signal);
    CHECK(error.executed == ipc::Executed::maybe);
  }
  siege.end();
}

TEST_CASE("a worker that blocks its signals and waits in the kernel for ever is killed at its deadline") {
  Siege siege;
  const std::string block = step("blockSignals", word(kAllSignals));
  std::vector<std::string> waits = {
      step("systemCall", word(SYS_recvfrom), word(3), at("memory"), word(4096), word(0), word(0), word(0))};
  waits.push_back(step("systemCall", word(SYS_ppoll), word(0), word(0), word(0), word(0), word(0)));
  for (const std::string& wait : waits) {
    CAPTURE(wait);
    const pid_t before = siege.worker();
    const CallTo to{.module = "attacker",
                    .function = "run",
                    .payload = steps({block, wait}),
                    .timeout = std::chrono::milliseconds(100)};
    CHECK(ipc::to_string(siege.lose(to).code) == "deadline_exceeded");
    CHECK_FALSE(is_running(before));
  }
  siege.end();
}

}  // namespace
}  // namespace holdfast::test
