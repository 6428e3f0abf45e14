// Native code that changes code, brings its own or enters the kernel in unusual ways; and what it finds in memory.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <string_view>

#include "ipc/shared_page.h"
#include "tests/adversarial/attacker.h"
#include "tests/adversarial/siege.h"
#include "tests/support/processes.h"
#include "tests/support/skips.h"

namespace holdfast::test {
namespace {

constexpr std::uint64_t kLow = 0x1000'0000;
constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kReadableWritable = PROT_READ | PROT_WRITE;
constexpr std::uint64_t kPrivateHere = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

// A step that maps memory at this address.
std::string map_at(std::uint64_t address, std::uint64_t protection) {
  return step("systemCall", word(SYS_mmap), word(address), word(kPage), word(protection), word(kPrivateHere),
              word(~std::uint64_t{0}), word(0));
}

// Whether the worker's code is sealed, which needs mseal(2) (Linux 6.10).
bool is_sealed(Siege& siege) {
  const long result = siege.survey(native_call(SYS_mprotect, at("codePage"), kPage, PROT_READ)).result;
  return result == -EPERM;
}

TEST_CASE("code cannot be written and data cannot be executed") {
  Siege siege;
  const std::vector<std::string> attempts[] = {
      {step("writeWord", at("code"), word(0))},
      {step("writeWord", at("engine"), word(0))},
      {step("jump", at("memory"), word(0))},
      {step("jump", at("page"), word(0))},
      {step("jump", at("stack"), word(0))},
      {map_at(kLow, kReadableWritable), step("writeWord", word(kLow), word(0xc3)), step("jump", word(kLow), word(0))},
  };
  for (const auto& attempt : attempts) {
    const auto error = siege.lose({"attacker", "run", steps(attempt)});
    CAPTURE(attempt.back());
    CHECK(ipc::to_string(error.code) == "worker_crashed");
    CHECK(error.detail == "SIGSEGV");
  }
  siege.end();
}

TEST_CASE("a worker cannot make its code writable or replace it") {
  for (const std::string profile : {"jit", "strict"}) {
    CAPTURE(profile);
    Siege siege({"--profile", profile});
    if (!is_sealed(siege)) continue;  // this kernel cannot seal memory
    for (const char* page : {"enginePage", "codePage"}) {
      CAPTURE(std::string_view(page));
      const auto refused = [&](const NativeCall& call) {
        CAPTURE(call.json);
        CHECK(siege.survey(call).to_string() == std::to_string(-EPERM));
      };
      refused(native_call(SYS_mprotect, at(page), kPage, kReadableWritable));
      refused(native_call(SYS_munmap, at(page), kPage));
      refused(native_call(SYS_mmap, at(page), kPage, kReadableWritable, kPrivateHere, -1, 0));
    }
    siege.end();
  }
}

// Steps that write the code to memory, make it executable, and then do `last`.
std::string code_and(std::uint64_t code, const std::string& last) {
  return steps({map_at(kLow, kReadableWritable), step("writeWord", word(kLow), word(code)),
                step("systemCall", word(SYS_mprotect), word(kLow), word(kPage), word(PROT_READ | PROT_EXEC)), last});
}

TEST_CASE("code that a worker makes has no more rights than the worker and cannot be made in the strict profile") {
  for (const std::string profile : {"jit", "strict"}) {
    CAPTURE(profile);
    Siege siege({"--profile", profile});
    const bool executable = profile == "jit";
    // mov $41, %eax; syscall; ret: socket(2)
    const auto bare =
        siege.lose({"attacker", "run", code_and(0xc3'05'0f'00'00'00'29'b8, step("jump", word(kLow), word(0)))});
    CHECK(ipc::to_string(bare.code) == "sandbox_violation");
    CHECK(bare.detail == (executable ? "socket" : "mprotect"));
    // mov $20, %eax; int $0x80: getpid(2) of i386, as 32-bit code, which only a forged return can enter
    const auto narrow = siege.lose(
        {"attacker", "run",
         code_and(0xf4'80'cd'00'00'00'14'b8,
                  step("forgeReturn", word(0), word(0), word(std::uint64_t{0x2b} << 48 | 0x23), word(kLow), word(0)))});
    const bool crashes = executable && !offers_calls_of_i386();
    CHECK(ipc::to_string(narrow.code) == (crashes ? "worker_crashed" : "sandbox_violation"));
    CHECK(narrow.detail == (crashes ? "SIGSEGV" : executable ? "of another architecture" : "mprotect"));
    siege.end();
  }
}

TEST_CASE("the old entries into the kernel give access to nothing") {
  Siege siege;
  // Not every processor has this instruction in this mode.
  const auto entered = siege.lose(
      {"attacker", "run", steps({map_at(kLow, kReadableWritable), step("sysenter", word(20), word(kLow + 64))})});
  CHECK(
      (entered.code == ipc::ErrorCode::sandbox_violation || entered.detail == "SIGSEGV" || entered.detail == "SIGILL"));
  // The vsyscall page, which every process has at the same address if the kernel still provides it: time(2), getcpu(2).
  for (const std::uint64_t entry : {std::uint64_t{0xffff'ffff'ff60'0400}, std::uint64_t{0xffff'ffff'ff60'0800}}) {
    const auto error = siege.lose({"attacker", "run", steps({step("jump", word(entry), word(0))})});
    CHECK((error.detail == "time" || error.detail == "getcpu" || error.detail == "SIGSEGV"));
  }
  siege.end();
}

TEST_CASE("a worker that takes its shared page away ends at its deadline or before") {
  Siege siege({"--stretch", "100ms"});
  const auto page_call = [](long number, std::uint64_t third, std::uint64_t fourth) {
    return step("systemCall", word(static_cast<std::uint64_t>(number)), at("page"), word(kPage), word(third),
                word(fourth), word(~std::uint64_t{0}), word(0));
  };
  for (const std::string& attempt :
       {page_call(SYS_munmap, 0, 0), page_call(SYS_mprotect, PROT_NONE, 0), page_call(SYS_mprotect, PROT_READ, 0),
        page_call(SYS_mmap, kReadableWritable, kPrivateHere), page_call(SYS_madvise, MADV_DONTNEED, 0)}) {
    CAPTURE(attempt);
    for (const char* ending : {"run", "runAndLoop"}) {
      const CallTo to{.module = "attacker",
                      .function = ending,
                      .payload = steps({attempt}),
                      .timeout = std::chrono::milliseconds(400)};
      const pid_t before = siege.worker();
      const std::string code = code_of(call(siege.client(), to));
      if (ending == std::string("runAndLoop")) {
        CHECK((code == "cpu_exceeded" || code == "deadline_exceeded"));
      } else {
        CHECK((code == "result" || code == "worker_crashed"));
        if (is_running(before)) call(siege.client(), {"attacker", "doCall", native_call(SYS_exit_group, 0).json});
      }
    }
  }
  siege.end();
}

TEST_CASE("only the worker that unmaps all of its memory dies unless its code is sealed") {
  Siege siege;
  const NativeCall everything = native_call(SYS_munmap, 0, (1L << 47) - 4096);
  if (is_sealed(siege)) {
    CHECK(siege.survey(everything).to_string() == std::to_string(-EPERM));
  } else {
    CHECK(siege.lose({"attacker", "doCall", everything.json}).detail == "SIGSEGV");
  }
  siege.end();
}

// --- what native code finds in memory -------------------------------------------------------------------------------

bool memory_holds(pid_t pid, const std::string& secret) {
  const UniqueFd memory(::open(fmt::format("/proc/{}/mem", pid).c_str(), O_RDONLY | O_CLOEXEC));
  REQUIRE(memory);
  std::istringstream maps(read_file(fmt::format("/proc/{}/maps", pid)));
  std::string block;
  std::size_t read = 0;
  for (std::string line; std::getline(maps, line);) {
    std::uint64_t begin = 0, end = 0;
    char dash = 0, readable = 0;
    std::istringstream(line) >> std::hex >> begin >> dash >> end >> readable;
    // Skips pages of files that the process has not written to.
    if (readable != 'r' || line.find("[v") != std::string::npos) continue;
    for (std::uint64_t at = begin; at < end; at += block.size()) {
      block.resize(std::min<std::uint64_t>(end - at, 4 << 20));
      const ssize_t count = ::pread(memory.get(), block.data(), block.size(), static_cast<off_t>(at));
      if (count <= 0) break;
      read += static_cast<std::size_t>(count);
      if (std::string_view(block.data(), static_cast<std::size_t>(count)).find(secret) != std::string_view::npos)
        return true;
    }
  }
  REQUIRE(read > 1 << 20);
  return false;
}

TEST_CASE("a worker's memory holds nothing of the supervisor's, of the host's environment or of other modules" *
          needs_root()) {
  constexpr const char* kVariable = "HOLDFAST_TEST_VARIABLE";
  const std::string environment = "5ecret-0f-the-environment", code = "5ecret-0f-a-m0dule",
                    payload = "5ecret-0f-a-call";
  ::setenv(kVariable, environment.c_str(), 1);
  {
    Siege siege({}, {{"victim", fmt::format("const kept = ['{}']; exports.ping = () => 'pong';"
                                            "exports.keep = (value) => kept.push(value);",
                                            code)}});
    call(siege.client(), {"victim", "keep", "\"" + payload + "\""});
    const pid_t victim = siege.worker("victim"), attacker = siege.worker("attacker"), zygote = siege.daemon().zygote();
    for (const std::string& secret : {code, payload}) {
      CAPTURE(secret);
      CHECK(memory_holds(victim, secret));  // else the search itself does not work
      CHECK_FALSE(memory_holds(attacker, secret));
      CHECK_FALSE(memory_holds(zygote, secret));
    }
    CHECK(memory_holds(siege.daemon().pid(), environment));
    const std::string folder = siege.daemon().folder()->path();
    for (pid_t worker : siege.daemon().workers()) {
      CHECK_FALSE(memory_holds(worker, environment));
      CHECK_FALSE(memory_holds(worker, folder));
    }
    siege.daemon().stop();
  }
  ::unsetenv(kVariable);
}

}  // namespace
}  // namespace holdfast::test
