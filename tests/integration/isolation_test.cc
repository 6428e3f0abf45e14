// The origin of workers: zygotes that are replaced, and workers that are programs of their own.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/skips.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

const std::string kCode = R"js(
    exports.echo = (payload) => payload;
    exports.later = (payload) => new Promise((resolve) => setTimeout(resolve, 20, payload));
    exports.loops = function loops() { for (;;); };
    exports.fills = () => { const all = []; for (;;) all.push({ all }); };
)js";

std::vector<Module> modules(std::size_t count) {
  std::vector<Module> all;
  for (std::size_t i = 0; i < count; ++i) all.push_back({fmt::format("m{}", i), kCode});
  return all;
}

std::vector<pid_t> launchers(const Daemon& daemon) { return children_of(daemon.broker()); }

// The address of V8's code in the process, which shows its random address layout.
std::string place_of_v8(pid_t worker) {
  const std::string maps = read_file(fmt::format("/proc/{}/maps", worker));
  const std::size_t library = maps.find("libnode");
  REQUIRE(library != std::string::npos);
  const std::size_t line = maps.rfind('\n', library);
  return maps.substr(line + 1, maps.find('-', line + 1) - line - 1);
}

TEST_CASE("a zygote is replaced after --zygote-forks, under load, and no call notices") {
  Daemon daemon(
      {.modules = modules(6),
       .flags = {"--zygote-forks", "2", "--max-workers", "2", "--idle-timeout", "200ms", "--log-level", "debug"}});
  ipc::Client client = daemon.connect();
  const pid_t first = daemon.zygote();
  Calls calls(client);
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 6; ++i)
      calls.start({fmt::format("m{}", i), round % 2 == 0 ? "echo" : "later", std::to_string(round)});
  }
  calls.wait_for_all();
  for (std::size_t i = 0; i < calls.size(); ++i) CHECK(outcome(calls.answer(i)) == std::to_string(i / 6));
  CHECK(daemon.logged("zygote: replaced by another"));
  // Replaced zygotes end with their last workers.
  CHECK(eventually([&] { return !is_running(first); }));
  daemon.stop();
}

TEST_CASE("a zygote is replaced at --zygote-age; its worker lives on under it, and standbys are of the new one") {
  Daemon daemon({.modules = modules(2), .flags = {"--zygote-age", "1s"}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"m0", "echo", "1"})) == "1");
  const pid_t worker = worker_of(client, "m0").pid;
  const std::string old_zygote = status_field(worker, "PPid");
  REQUIRE(workers_become(client, [&](const auto& all) {
    return std::ranges::any_of(all, [&](const auto& one) {
      return one.module.empty() && one.pid != 0 && status_field(one.pid, "PPid") != old_zygote;
    });
  }));
  CHECK(outcome(call(client, {"m0", "echo", "2"})) == "2");
  CHECK(worker_of(client, "m0").pid == worker);
  CHECK(outcome(call(client, {"m1", "echo", "3"})) == "3");
  CHECK(status_field(worker_of(client, "m1").pid, "PPid") != old_zygote);
  // The old zygote ends after its last worker.
  ::kill(worker, SIGKILL);
  CHECK(eventually([&] { return !is_running(std::stoi(old_zygote)); }));
  CHECK(outcome(call(client, {"m0", "echo", "4"})) == "4");
  daemon.stop();
}

TEST_CASE("a call that is open while its zygote is replaced is answered") {
  Daemon daemon({.modules = modules(3), .flags = {"--zygote-forks", "1", "--max-workers", "3"}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  for (int round = 0; round < 50; ++round) {
    for (int i = 0; i < 3; ++i) calls.start({fmt::format("m{}", i), "later", std::to_string(i)});
  }
  calls.wait_for_all();
  for (std::size_t i = 0; i < calls.size(); ++i) CHECK(outcome(calls.answer(i)) == std::to_string(i % 3));
  daemon.stop();
}

TEST_CASE("with --isolation exec every worker is a program of its own, pid 1 of namespaces of its own") {
  Daemon daemon({.modules = modules(2), .flags = {"--isolation", "exec", "--standby", "1"}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"m0", "echo", "1"})) == "1");
  CHECK(outcome(call(client, {"m1", "echo", "2"})) == "2");
  const pid_t one = worker_of(client, "m0").pid, other = worker_of(client, "m1").pid;
  for (pid_t worker : {one, other}) {
    CHECK(status_field(worker, "NSpid").ends_with("\t1"));
    CHECK(status_field(worker, "Seccomp") == "2");
    CHECK(children_of(worker).empty());
  }
  daemon.stop();
}

TEST_CASE("with --isolation exec no two workers share a namespace or an address layout" * needs_root()) {
  Daemon daemon({.modules = modules(2), .flags = {"--isolation", "exec", "--standby", "1"}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"m0", "echo", "1"})) == "1");
  CHECK(outcome(call(client, {"m1", "echo", "2"})) == "2");
  const pid_t one = worker_of(client, "m0").pid, other = worker_of(client, "m1").pid;
  for (const std::string kind : {"user", "pid", "mnt", "net", "ipc", "uts", "cgroup"}) {
    CAPTURE(kind);
    CHECK(namespace_of(one, kind) != namespace_of(other, kind));
  }
  CHECK(place_of_v8(one) != place_of_v8(other));
  daemon.stop();
}

TEST_CASE("forked workers share their zygote's address layout, until it is replaced" * needs_root()) {
  Daemon daemon({.modules = modules(3), .flags = {"--zygote-forks", "1000"}});
  ipc::Client client = daemon.connect();
  std::set<std::string> places;
  for (int i = 0; i < 3; ++i) {
    CHECK(outcome(call(client, {fmt::format("m{}", i), "echo", "1"})) == "1");
    places.insert(place_of_v8(worker_of(client, fmt::format("m{}", i)).pid));
  }
  CHECK(places.size() == 1);
}

TEST_CASE("with --isolation exec loops, memory and deaths end as they do with forked workers") {
  Daemon daemon({.modules = modules(4),
                 .flags = {"--isolation", "exec", "--stretch", "100ms", "--memory", "32MB", "--max-workers", "2"}});
  ipc::Client client = daemon.connect();
  const auto loop = error_of(call(client, {"m0", "loops"}));
  CHECK(ipc::to_string(loop.code) == "cpu_exceeded");
  CHECK(contains(loop.stack, "loops (m0-v1.js:4:"));
  const auto memory = error_of(call(client, {"m1", "fills"}));
  CHECK((memory.code == ipc::ErrorCode::out_of_memory || memory.code == ipc::ErrorCode::cpu_exceeded));
  CHECK(outcome(call(client, {"m2", "echo", "2"})) == "2");
  const pid_t worker = worker_of(client, "m2").pid;
  Calls calls(client);
  calls.start({"m2", "later"});
  CHECK(outcome(call(client, {"m2", "echo", "3"})) == "3");
  ::kill(worker, SIGKILL);
  calls.wait_for_all();
  const auto death = error_of(calls.answer(0));
  CHECK(ipc::to_string(death.code) == "worker_crashed");
  CHECK(death.detail == "SIGKILL");
  for (int i = 0; i < 8; ++i) CHECK(outcome(call(client, {fmt::format("m{}", i % 4), "echo", "4"})) == "4");
  // Launchers whose workers are gone end too.
  CHECK(eventually([&] { return launchers(daemon).size() <= 3; }));
  daemon.stop();
}

TEST_CASE("with --isolation exec all calls under load are answered through evictions and replacements") {
  Daemon daemon({.modules = modules(4), .flags = {"--isolation", "exec", "--max-workers", "2", "--standby", "2"}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 4; ++i) calls.start({fmt::format("m{}", i), "echo", std::to_string(i)});
  }
  calls.wait_for_all();
  for (std::size_t i = 0; i < calls.size(); ++i) CHECK(outcome(calls.answer(i)) == std::to_string(i % 4));
  daemon.stop();
}

TEST_CASE("a worker that has used half of --cpu-limit is replaced, and its calls are answered") {
  Daemon daemon({.modules = {{"busy", R"js(
      exports.work = () => { const end = Date.now() + 300; while (Date.now() < end); return 'done'; };
  )js"}},
                 .flags = {"--cpu-limit", "2s", "--stretch", "1s"}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"busy", "work"})) == "\"done\"");
  const pid_t first = worker_of(client, "busy").pid;
  // The number of calls that this takes depends on the machine.
  for (int i = 0; i < 200 && is_running(first); ++i) CHECK(outcome(call(client, {"busy", "work"})) == "\"done\"");
  CHECK_FALSE(is_running(first));
  CHECK(daemon.logged("half of its CPU time"));
  daemon.stop();
}

TEST_CASE("--profile strict runs modules without making code, and says that there is no WebAssembly") {
  Daemon daemon({.modules = {{"module", R"js(
      exports.sum = () => { let sum = 0; for (let i = 0; i < 1e5; i++) sum += i; return sum; };
      exports.matches = () => /(\d+)-\1/.test('12-12');
      exports.wasm = () => typeof WebAssembly;
      exports.compile = (bytes) => new WebAssembly.Module(new Uint8Array(bytes));
  )js"},
                             {"needs", "const compiled = WebAssembly.compile(new Uint8Array(8));"}},
                 .flags = {"--profile", "strict"}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"module", "sum"})) == "4999950000");
  CHECK(outcome(call(client, {"module", "matches"})) == "true");
  CHECK(outcome(call(client, {"module", "wasm"})) == "\"undefined\"");
  constexpr const char* kReason =
      "ReferenceError: WebAssembly is not defined: modules run in the strict profile here, ";
  CHECK(contains(error_of(call(client, {"module", "compile", "[]"})).message, kReason));
  const ipc::Error at_load = error_of(call(client, {"needs", "compiled"}));
  CHECK(at_load.code == ipc::ErrorCode::load_failed);
  CHECK(contains(at_load.message, kReason));
  daemon.stop();
}

}  // namespace
}  // namespace holdfast::test
