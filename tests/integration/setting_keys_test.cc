// Each key of the settings file, shown on a module that has it beside a module that does not.
#include <doctest/doctest.h>
#include <signal.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <thread>

#include "tests/integration/modules.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/program.h"
#include "tests/support/skips.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

using std::chrono::milliseconds;

const std::string kCode = R"js(
    const me = Math.random();
    let inside = 0;
    let most = 0;
    exports.me = () => me;
    exports.ping = () => 'pong';
    exports.overlap = async () => {
      most = Math.max(most, ++inside);
      await new Promise((resolve) => setTimeout(resolve, 20));
      inside--;
      return most;
    };
    exports.hold = () => { console.log('held'); return new Promise(() => {}); };
    exports.spin = (ms) => { const end = Date.now() + ms; while (Date.now() < end) {} return me; };
    exports.fill = (megabytes) => {
      const all = [];
      for (let i = 0; i < megabytes; i++) all.push(new Array((1 << 20) / 8).fill(1.5));
      return all.length;
    };
)js";

// A daemon with the modules "set", which the settings are about, and "plain".
struct Two {
  explicit Two(const std::string& settings, std::vector<std::string> flags = {}, std::vector<Module> more = {})
      : file(folder.write("settings.toml", settings)), daemon(options(std::move(flags), std::move(more))) {}

  DaemonOptions options(std::vector<std::string> flags, std::vector<Module> more) const {
    more.push_back({"set", kCode});
    more.push_back({"plain", kCode});
    // A short shutdown timeout, as some tests leave endless calls open.
    flags.insert(flags.end(), {"--config", file, "--shutdown-timeout", "100ms"});
    return {.modules = std::move(more), .flags = std::move(flags)};
  }

  TemporaryFolder folder;
  std::filesystem::path file;
  Daemon daemon;
  ipc::Client client = daemon.connect();
};

std::size_t count_of(const std::vector<ipc::WorkerInfo>& workers, const std::string& module) {
  return static_cast<std::size_t>(
      std::count_if(workers.begin(), workers.end(), [&](const auto& worker) { return worker.module == module; }));
}

bool instances_become(ipc::Client& client, const std::string& module, std::size_t count) {
  return workers_become(client, [&](const auto& all) { return count_of(all, module) == count; });
}

TEST_CASE("concurrency: at most this many calls run on one process") {
  Two two("[module.set]\nconcurrency = 2\n");
  for (const char* module : {"set", "plain"}) {
    Calls calls(two.client);
    for (int i = 0; i < 12; ++i) calls.start({module, "overlap"});
    calls.wait_for_all();
    int most = 0;
    for (std::size_t place = 0; place < 12; ++place) most = std::max(most, std::stoi(outcome(calls.answer(place))));
    if (std::string(module) == "set") CHECK(most == 2);
    if (std::string(module) == "plain") CHECK(most > 2);
  }
  two.daemon.stop();
}

TEST_CASE("queue_limit: calls beyond it are overloaded and told when to come again, those of other modules wait") {
  Two two("[module.set]\nqueue_limit = 3\n", {"--concurrency", "1"});
  Calls calls(two.client);
  for (const char* module : {"set", "plain"}) calls.start({module, "hold"});
  REQUIRE(workers_become(two.client, [](const auto& all) {
    return std::count_if(all.begin(), all.end(), [](const auto& worker) { return worker.calls_in_flight == 1; }) == 2;
  }));
  for (const char* module : {"set", "plain"}) {
    for (int i = 0; i < 5; ++i) calls.start({module, "ping"});
  }
  for (const std::size_t place : {5, 6}) {
    const auto error = error_of(calls.wait_for(place));
    CHECK(ipc::to_string(error.code) == "overloaded");
    CHECK(error.executed == ipc::Executed::no);
    CHECK(error.retryable);
    CHECK(error.retry_after > milliseconds(0));
  }
  for (const std::size_t place : {0, 1}) calls.cancel(place);
  calls.wait_for_all();
  CHECK(calls.count("result") == 3 + 5);
  CHECK(stats_of(two.client, "set").refused == 2);
  CHECK(stats_of(two.client, "plain").refused == 0);
  two.daemon.stop();
}

TEST_CASE("timeout: calls that set none have this long, those that set one have theirs") {
  Two two("[module.set]\ntimeout = \"50ms\"\n");
  Calls calls(two.client);
  const auto plain = calls.start({"plain", "hold"});
  CHECK(code_of(call(two.client, {"set", "hold"})) == "deadline_exceeded");
  CHECK(call(two.client, {.module = "set", .function = "overlap", .timeout = std::chrono::seconds(60)}).has_value());
  CHECK_FALSE(calls.is_answered(plain));
  two.daemon.stop();
}

TEST_CASE("stretch: longer ones are stopped, and the error names the module's own limit") {
  Two two("[module.set]\nstretch = \"50ms\"\n", {"--stretch", "1m"});
  const auto error = error_of(call(two.client, {"set", "spin", "20000"}));
  CHECK(ipc::to_string(error.code) == "cpu_exceeded");
  CHECK(contains(error.message, "50ms"));
  CHECK(code_of(call(two.client, {"plain", "spin", "400"})) == "result");
  two.daemon.stop();
}

TEST_CASE("memory: below and above the default, each module has its own") {
  Two two("[module.set]\nmemory = \"32MB\"\n[module.large]\nmemory = \"256MB\"\n",
          {"--memory", "64MB", "--stretch", "1m"}, {{"large", kCode}});
  const auto error = error_of(call(two.client, {"set", "fill", "45"}));
  CHECK(ipc::to_string(error.code) == "out_of_memory");
  CHECK(contains(error.message, "32MB"));
  CHECK(outcome(call(two.client, {"plain", "fill", "45"})) == "45");
  CHECK(contains(outcome(call(two.client, {"plain", "fill", "160"})), "64MB"));
  CHECK(outcome(call(two.client, {"large", "fill", "160"})) == "160");
  CHECK(contains(outcome(call(two.client, {"large", "fill", "400"})), "256MB"));
  two.daemon.stop();
}

TEST_CASE("idle_timeout: the process goes sooner, or stays longer, than others") {
  Two two("[module.set]\nidle_timeout = \"10ms\"\n[module.stays]\nidle_timeout = \"1h\"\n", {"--idle-timeout", "200ms"},
          {{"stays", kCode}});
  for (const char* module : {"stays", "plain", "set"}) CHECK(code_of(call(two.client, {module, "ping"})) == "result");
  const pid_t stays = worker_of(two.client, "stays").pid;
  CHECK(instances_become(two.client, "set", 0));
  CHECK(instances_become(two.client, "plain", 0));
  CHECK(worker_of(two.client, "stays").pid == stays);
  two.daemon.stop();
}

TEST_CASE(
    "min_warm: a process with the module is kept before any call and after a kill and while others want its slot") {
  Two two("[module.\"set@v1\"]\nmin_warm = 1\nidle_timeout = \"10ms\"\n", {"--max-workers", "2", "--slice", "1ms"},
          {{"a", kCode}, {"b", kCode}, {"c", kCode}});
  const auto is_warm = [&](pid_t not_this) {
    return workers_become(two.client, [&](const auto& all) {
      return std::any_of(all.begin(), all.end(), [&](const auto& worker) {
        return worker.module == "set" && worker.state == ipc::WorkerState::idle && worker.pid != not_this;
      });
    });
  };
  REQUIRE(is_warm(0));
  const pid_t first = worker_of(two.client, "set").pid;
  CHECK(worker_of(two.client, "set").calls_done == 0);
  ::kill(first, SIGKILL);
  REQUIRE(is_warm(first));
  const pid_t second = worker_of(two.client, "set").pid;

  for (int round = 0; round < 5; ++round) {
    for (const char* module : {"a", "b", "c"}) CHECK(outcome(call(two.client, {module, "ping"})) == "\"pong\"");
  }
  CHECK(worker_of(two.client, "set").pid == second);
  const ipc::Answer answer = call(two.client, {"set", "ping"});
  CHECK(outcome(answer) == "\"pong\"");
  CHECK_FALSE(answer.usage.cold);
  CHECK(worker_of(two.client, "set").pid == second);
  CHECK(stats_of(two.client, "set").evictions == 0);
  CHECK(stats_of(two.client, "a").evictions > 0);
  two.daemon.stop();
}

TEST_CASE("min_warm: a module whose file comes later is loaded as soon as it is there") {
  Two two("[module.\"later@v1\"]\nmin_warm = 1\n");
  CHECK(contains(two.daemon.log(), "later@v1: cannot be kept warm (min_warm): "));
  two.daemon.add_module({"later", kCode});
  REQUIRE(workers_become(two.client, [](const auto& all) {
    return std::any_of(all.begin(), all.end(), [](const auto& worker) {
      return worker.module == "later" && worker.state == ipc::WorkerState::idle;
    });
  }));
  CHECK_FALSE(call(two.client, {"later", "ping"}).usage.cold);
  two.daemon.stop();
}

TEST_CASE("max_instances: a batch of calls that need the CPU is served by two processes, which go when they are idle") {
  // A second one would make nothing faster, so there is none.
  if (std::thread::hardware_concurrency() < 2) return skip_this_test("it needs two CPUs");
  Two two("[module.set]\nmax_instances = 2\nidle_timeout = \"50ms\"\n");
  for (const char* module : {"set", "plain"}) {
    CAPTURE(std::string_view(module));
    const std::size_t expected = std::string(module) == "set" ? 2 : 1;
    Calls calls(two.client);
    for (int i = 0; i < 40; ++i) calls.start({module, "spin", "20"});
    calls.wait_for_all();
    std::set<std::string> processes;
    for (std::size_t place = 0; place < calls.size(); ++place) processes.insert(outcome(calls.answer(place)));
    CHECK(calls.count("result") == 40);
    CHECK(processes.size() == expected);
    CHECK(stats_of(two.client, module).cold_starts == expected);
  }
  CHECK(instances_become(two.client, "set", 0));
  CHECK(count_of(workers(two.client), "plain") == 1);
  two.daemon.stop();
}

TEST_CASE("max_retries: an idempotent call is run again at most this often") {
  Two two("[module.set]\nmax_retries = 0\n", {"--max-retries", "1"});
  for (const char* module : {"set", "plain"}) {
    const std::size_t runs = std::string(module) == "set" ? 1 : 2;
    Calls calls(two.client);
    calls.start({.module = module, .function = "hold", .idempotent = true});
    for (std::size_t run = 1; run <= runs; ++run) {
      const std::string line = std::string(module) + "@v1 call";
      REQUIRE(eventually([&] {
        two.client.run_once(milliseconds(0));
        return occurrences(two.daemon.log(), line) == run;
      }));
      ::kill(worker_of(two.client, module).pid, SIGKILL);
    }
    CHECK(code_of(calls.wait_for(0)) == "worker_crashed");
    CHECK(calls.answer(0).usage.attempts == runs);
  }
  two.daemon.stop();
}

TEST_CASE("weight: of two busy modules the one with the lesser weight makes room, though it came later") {
  Two two("[module.set]\nweight = 10\n", {"--max-workers", "2", "--slice", "1s", "--waiting-grace", "1h"},
          {{"newcomer", kCode}});
  Calls calls(two.client);
  for (const char* module : {"set", "plain"}) {
    calls.start({module, "hold"});
    REQUIRE(workers_become(two.client, [&](const auto& all) {
      return std::any_of(all.begin(), all.end(), [&](const auto& worker) {
        return worker.module == module && worker.state == ipc::WorkerState::busy;
      });
    }));
  }
  const auto waits = calls.start({"newcomer", "ping"});
  REQUIRE(workers_become(two.client, [](const auto& all) {
    return std::any_of(all.begin(), all.end(),
                       [](const auto& worker) { return worker.state == ipc::WorkerState::draining; });
  }));
  CHECK(worker_of(two.client, "plain").state == ipc::WorkerState::draining);
  CHECK(worker_of(two.client, "set").state == ipc::WorkerState::busy);
  calls.cancel(1);
  CHECK(outcome(calls.wait_for(waits)) == "\"pong\"");
  CHECK_FALSE(calls.is_answered(0));
  two.daemon.stop();
}

TEST_CASE("[defaults] hold for each module, before the flags, and a version's own settings before the module's") {
  Two two("[defaults]\ntimeout = \"50ms\"\n[module.set]\ntimeout = \"1ms\"\n[module.\"set@v1\"]\ntimeout = \"1m\"\n",
          {"--timeout", "1h"});
  Calls calls(two.client);
  const auto set = calls.start({"set", "hold"});
  CHECK(code_of(call(two.client, {"plain", "hold"})) == "deadline_exceeded");
  CHECK_FALSE(calls.is_answered(set));
  two.daemon.stop();
}

}  // namespace
}  // namespace holdfast::test
