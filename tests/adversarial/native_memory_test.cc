// Native code takes memory in every way that the table of system calls allows. Each way ends near the module's limit.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/syscall.h>

#include <algorithm>

#include "tests/adversarial/siege.h"
#include "tests/support/processes.h"

namespace holdfast::test {
namespace {

// --memory 32MB, plus what V8 and the worker need.
const std::vector<std::string> kSmall = {"--memory", "32MB", "--stretch", "30s"};
constexpr std::uint64_t kMostResident = std::uint64_t{256} << 20;

struct Taken {
  std::string ending;
  std::uint64_t most_resident = 0;
};

Taken take(Siege& siege, const CallTo& to) {
  const pid_t attacker = siege.worker();
  Calls calls(siege.client());
  calls.start(to);
  Taken taken;
  while (!calls.is_answered(0)) {
    siege.client().run_once(std::chrono::milliseconds(1));
    taken.most_resident = std::max(taken.most_resident, resident_bytes(attacker));
  }
  taken.ending = outcome(calls.answer(0));
  taken.most_resident = std::max(taken.most_resident, resident_bytes(attacker));
  return taken;
}

TEST_CASE("native code gets no more memory than its module may use, whatever the way") {
  Siege siege(kSmall);
  for (const std::string way : {"noReserve", "stack", "executable", "reserved", "heapEnd", "lazilyFreed", "pieces",
                                "pageTables", "programFiles"}) {
    CAPTURE(way);
    const Taken taken = take(siege, {"attacker", "takeMemoryBy", "\"" + way + "\""});
    CHECK(taken.most_resident < kMostResident);
    CHECK(taken.ending != "");
    call(siege.client(), {"attacker", "doCall", native_call(SYS_exit_group, 0).json});
  }
  siege.end();
}

TEST_CASE("a stack ends at its limit") {
  Siege siege(kSmall);
  const Taken taken = take(siege, {"attacker", "run", steps({step("overflowStack")})});
  CHECK(taken.ending == "worker_crashed: the call's worker died of SIGSEGV");
  CHECK(taken.most_resident < kMostResident);
  siege.end();
}

TEST_CASE("what workers have taken is given back when they are gone") {
  Siege siege(kSmall);
  std::vector<CallTo> calls;
  for (int i = 0; i < 24; ++i) {
    calls.push_back({"attacker", "run", steps({step("overflowStack")})});
  }
  for (const auto& error : siege.lose_each(calls)) CHECK(error.detail == "SIGSEGV");
  siege.end();
}

}  // namespace
}  // namespace holdfast::test
