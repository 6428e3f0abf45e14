// How one module's memory affects others.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/adversarial/attacker.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

// Fills memory and makes it read-only, as neither V8 nor RLIMIT_DATA counts memory that is not writable.
const std::string kHide = fmt::format(R"js(
  exports.hide = (megabytes) => {{
    const size = 1n << 20n;
    for (let taken = 0; taken < megabytes; taken++) {{
      const at = systemCall({}n, 0n, size, 3n, 0x22n, -1n, 0n);
      if (at < 0) return taken;
      touch(BigInt(at), size);
      if (systemCall({}n, BigInt(at), size, 1n) !== 0) return taken;
    }}
    return megabytes;
  }};
  exports.hideAndHold = (megabytes) => {{ exports.hide(megabytes); return new Promise(() => {{}}); }};
  exports.ping = () => 'pong';
)js",
                                      SYS_mmap, SYS_mprotect);

DaemonOptions with_hiders(const std::vector<std::string>& names, std::vector<std::string> flags) {
  DaemonOptions options = under_attack(std::move(flags));
  for (const std::string& name : names) options.modules.push_back({name, kHide});
  return options;
}

std::string oom_score_adj(pid_t pid) {
  std::string text = read_file(fmt::format("/proc/{}/oom_score_adj", pid));
  return text.substr(0, text.find('\n'));
}

TEST_CASE("the kernel is told to end workers first, then zygotes, and the supervisor as anything else") {
  Daemon daemon(with_hiders({"hider"}, {"--standby", "1"}));
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"hider", "ping"})) == "\"pong\"");
  const std::string usual = oom_score_adj(::getpid());
  CHECK(oom_score_adj(daemon.pid()) == usual);
  CHECK(oom_score_adj(daemon.broker()) == usual);
  CHECK(oom_score_adj(daemon.zygote()) == "500");
  const auto all = daemon.workers();
  REQUIRE(!all.empty());
  for (pid_t worker : all) CHECK(oom_score_adj(worker) == "1000");
  daemon.stop();
}

TEST_CASE("without a zygote, workers come first as well") {
  Daemon daemon(with_hiders({"hider"}, {"--isolation", "exec"}));
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"hider", "ping"})) == "\"pong\"");
  CHECK(oom_score_adj(worker_of(client, "hider").pid) == "1000");
  daemon.stop();
}

TEST_CASE("a worker that goes on holding more than its limit and native memory is ended whether idle or not") {
  // The limit: 32 MB, plus 96 MB of native memory, plus 128 MB for a moment.
  Daemon daemon(with_hiders({"idle", "waiting", "modest"}, {"--memory", "32MB"}));
  ipc::Client client = daemon.connect();
  Calls calls(client);
  CHECK(outcome(call(client, {"modest", "hide", "90"})) == "90");
  const pid_t modest = worker_of(client, "modest").pid;
  CHECK(outcome(call(client, {"idle", "hide", "145"})) == "145");
  const pid_t idle = worker_of(client, "idle").pid;
  calls.start({"waiting", "hideAndHold", "145"});
  const auto error = error_of(calls.wait_for(0));
  CHECK(ipc::to_string(error.code) == "out_of_memory");
  CHECK(contains(error.message, "memory limit of 32MB"));
  CHECK(contains(error.message, "native memory"));
  CHECK(eventually([&] { return !is_running(idle); }));
  CHECK(daemon.logged("idle@v1: worker ended: it used up its memory limit of 32MB"));
  CHECK(outcome(call(client, {"idle", "ping"})) == "\"pong\"");
  CHECK(worker_of(client, "modest").pid == modest);
  daemon.stop();
}

TEST_CASE("past the memory budget the workers furthest over their limits end first and their calls say why") {
  Daemon daemon(with_hiders({"modest", "greedy0", "greedy1", "greedy2"},
                            {"--memory", "64MB", "--memory-budget", "256MB", "--max-workers", "8"}));
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"modest", "hide", "50"})) == "50");
  const pid_t modest = worker_of(client, "modest").pid;
  Calls calls(client);
  for (int i = 0; i < 3; ++i) calls.start({fmt::format("greedy{}", i), "hideAndHold", "130"});
  // With two of them the budget would still be exceeded.
  while (calls.order().size() < 2) client.run_once(std::chrono::milliseconds(100));
  for (const std::size_t place : calls.order()) {
    const auto error = error_of(calls.answer(place));
    CHECK(ipc::to_string(error.code) == "out_of_memory");
    CHECK(contains(error.message, "--memory-budget"));
  }
  CHECK(worker_of(client, "modest").pid == modest);
  CHECK(outcome(call(client, {"modest", "ping"})) == "\"pong\"");
  CHECK(calls.order().size() == 2);
  daemon.stop();
}

TEST_CASE(
    "if the memory budget is exceeded by workers within their limits then idle ones make room and no call is blamed") {
  Daemon daemon(
      with_hiders({"one", "two", "three"}, {"--memory", "96MB", "--memory-budget", "100MB", "--max-workers", "8"}));
  ipc::Client client = daemon.connect();
  for (const std::string module : {"one", "two", "three"}) {
    CAPTURE(module);
    CHECK(outcome(call(client, {module, "hide", "60"})) == "60");
  }
  CHECK(workers_become(client, [](const auto& all) {
    return std::count_if(all.begin(), all.end(), [](const auto& worker) { return worker.module != ""; }) == 1;
  }));
  CHECK(contains(daemon.log(), "--memory-budget"));
  CHECK_FALSE(contains(daemon.log(), "worker ended"));
  for (const std::string module : {"one", "two", "three"}) {
    CHECK(outcome(call(client, {module, "ping"})) == "\"pong\"");
  }
  daemon.stop();
}

TEST_CASE("a worker that makes mappings without end is ended and the list of workers keeps working") {
  Daemon daemon(with_hiders({"modest"}, {"--stretch", "30s"}));
  ipc::Client client = daemon.connect();
  const std::string taken = outcome(call(client, {"attacker", "takeMemoryBy", "\"pieces\""}));
  CHECK((taken == "\"pieces\"" || contains(taken, "memory mappings")));
  workers(client);
  CHECK(outcome(call(client, {"modest", "ping"})) == "\"pong\"");
  CHECK(daemon.logged("attacker@v1: worker ended: it used up its memory limit of"));
  CHECK(contains(daemon.log(), "memory mappings; at most 16384 are allowed"));
  CHECK(outcome(call(client, {"attacker", "ping"})) == "\"pong\"");
  daemon.stop();
}

}  // namespace
}  // namespace holdfast::test
