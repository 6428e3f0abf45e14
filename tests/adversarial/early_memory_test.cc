// Memory that native code takes before the supervisor first inspects the worker.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/syscall.h>

#include "tests/adversarial/attacker.h"
#include "tests/adversarial/siege.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

TEST_CASE("memory that the top level of a module takes counts like memory that its functions take") {
  // The memory is filled and made read-only, as RLIMIT_DATA does not count it then.
  const std::string code = fmt::format(R"js('use strict';
    const size = 4n << 20n;
    let taken = 0n;
    // Ends before the supervisor's first inspection, which is after half a stretch.
    const end = Date.now() + 2000;
    for (let at; Date.now() < end && (at = BigInt(systemCall({}n, 0n, size, 3n, 0x22n, -1n, 0n))) > 0n; taken += size) {{
      touch(at, size);
      if (systemCall({}n, at, size, 1n) !== 0) break;
    }}
    exports.taken = () => Number(taken);
  )js",
                                       SYS_mmap, SYS_mprotect);
  const Daemon daemon(
      {.modules = {{"greedy", code}}, .flags = {"--memory", "32MB", "--stretch", "5s"}, .worker = attacker_program()});
  auto client = daemon.connect();
  const std::string taken = outcome(call(client, {"greedy", "taken"}));
  INFO("taken: ", taken);
  constexpr std::uint64_t kMost = std::uint64_t{32 + 128 + 96} << 20;
  const bool bounded = eventually(
      [&] {
        for (const auto& worker : workers(client)) {
          if (worker.module == "greedy" && resident_bytes(static_cast<pid_t>(worker.pid)) > kMost) return false;
        }
        return true;
      },
      std::chrono::milliseconds(6000));
  CHECK(bounded);
}

}  // namespace
}  // namespace holdfast::test
