// The number of processes and the modules that have one: eviction, idle time, standbys, waiting for a slot.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <set>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

using ipc::WorkerState;
using List = std::vector<ipc::WorkerInfo>;

std::size_t with_module(const List& all) {
  return static_cast<std::size_t>(
      std::count_if(all.begin(), all.end(), [](const auto& worker) { return !worker.module.empty(); }));
}

std::size_t on_standby(const List& all) {
  return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), [](const auto& worker) {
    return worker.state == WorkerState::standby && worker.pid != 0;
  }));
}

Module echo(const std::string& name) { return {name, "exports.echo = (payload) => payload;"}; }

Module holder(const std::string& name) {
  return {name, R"js(
      let resolvers = [];
      exports.hold = (value) => new Promise((resolve) => resolvers.push(() => resolve(value)));
      exports.held = () => resolvers.length;
      exports.release = () => { for (const resolve of resolvers) resolve(); resolvers = []; };
  )js"};
}

TEST_CASE("with --max-workers 1 two modules take turns, each time in a fresh process") {
  Daemon daemon({.modules = {echo("one"), echo("two")}, .flags = {"--max-workers", "1"}});
  ipc::Client client = daemon.connect();
  std::set<pid_t> pids;
  for (int i = 0; i < 10; ++i) {
    const std::string module = i % 2 == 0 ? "one" : "two";
    CHECK(outcome(call(client, {module, "echo", std::to_string(i)})) == std::to_string(i));
    CHECK(with_module(workers(client)) == 1);
    pids.insert(worker_of(client, module).pid);
  }
  CHECK(pids.size() == 10);
  CHECK(eventually(
      [&] { return std::count_if(pids.begin(), pids.end(), [](pid_t pid) { return is_running(pid); }) == 1; }));
  daemon.stop();
}

TEST_CASE("eviction removes the module that was idle longest") {
  Daemon daemon({.modules = {echo("one"), echo("two"), echo("three")}, .flags = {"--max-workers", "2"}});
  ipc::Client client = daemon.connect();
  const auto began = std::chrono::steady_clock::now();
  call(client, {"one", "echo"});
  call(client, {"two", "echo"});
  const auto took = std::chrono::steady_clock::now() - began;
  const pid_t one = worker_of(client, "one").pid;
  // Stays idle for longer than a load takes: a module that was idle for less time might be called again.
  for (const auto until = std::chrono::steady_clock::now() + 5 * took; std::chrono::steady_clock::now() < until;) {
    call(client, {"one", "echo"});
  }
  call(client, {"three", "echo"});
  CHECK(worker_of(client, "one").pid == one);
  CHECK(with_module(workers(client)) == 2);
}

TEST_CASE("a module with calls in flight keeps its process and other modules are served in order of arrival") {
  Daemon daemon(
      {.modules = {holder("busy"), echo("one"), echo("two"), echo("three")}, .flags = {"--max-workers", "1"}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  calls.start({"busy", "hold"});
  REQUIRE(outcome(call(client, {"busy", "held"})) == "1");
  for (const char* module : {"two", "one", "three", "two"}) calls.start({module, "echo"});
  CHECK(outcome(call(client, {"busy", "held"})) == "1");
  CHECK(calls.order().empty());
  call(client, {"busy", "release"});
  calls.wait_for_all();
  CHECK(calls.order() == std::vector<std::size_t>{0, 1, 4, 2, 3});  // a module that gets the slot runs all its calls
  CHECK(calls.count("result") == 5);
  daemon.stop();
}

TEST_CASE("after its idle time a module has no process, and its next call gets a fresh one") {
  Daemon daemon({.modules = {{"one", "let calls = 0; exports.count = () => ++calls;"}},
                 .flags = {"--idle-timeout", "50ms", "--standby", "0"}});
  ipc::Client client = daemon.connect();
  for (int i = 0; i < 2; ++i) {
    CHECK(outcome(call(client, {"one", "count"})) == "1");
    CHECK(workers_become(client, [](const List& all) { return with_module(all) == 0; }));
    CHECK(eventually([&] { return daemon.workers().empty(); }));
  }
  daemon.stop();
}

TEST_CASE("a call longer than the idle time keeps its process") {
  Daemon daemon(
      {.modules = {{"slow",
                    "exports.wait = (millis) => new Promise((resolve) => setTimeout(resolve, millis, 'waited'));"}},
       .flags = {"--idle-timeout", "20ms"}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"slow", "wait", "300"})) == "\"waited\"");
}

TEST_CASE("as many standby processes as requested are kept ready and a used one is replaced") {
  Daemon daemon({.modules = {echo("one"), echo("two")}, .flags = {"--standby", "3"}});
  ipc::Client client = daemon.connect();
  CHECK(workers_become(client, [](const List& all) { return on_standby(all) == 3 && all.size() == 3; }));
  call(client, {"one", "echo"});
  call(client, {"two", "echo"});
  CHECK(workers_become(client, [](const List& all) { return on_standby(all) == 3 && all.size() == 5; }));
  CHECK(eventually([&] { return daemon.workers().size() == 5; }));
  daemon.stop();
}

TEST_CASE("with --standby 0 there is no process before the first call") {
  Daemon daemon({.modules = {echo("one")}, .flags = {"--standby", "0"}});
  ipc::Client client = daemon.connect();
  CHECK(workers(client).empty());
  CHECK(daemon.workers().empty());
  CHECK(outcome(call(client, {"one", "echo", "1"})) == "1");
  CHECK(workers(client).size() == 1);
}

TEST_CASE("a standby serves the first call of a module") {
  Daemon daemon({.modules = {echo("one")}, .flags = {"--standby", "1"}});
  ipc::Client client = daemon.connect();
  REQUIRE(workers_become(client, [](const List& all) { return on_standby(all) == 1; }));
  const pid_t standby = workers(client).front().pid;
  call(client, {"one", "echo"});
  CHECK(worker_of(client, "one").pid == standby);
}

TEST_CASE("more modules than fit are all served with never more processes than allowed") {
  std::vector<Module> modules;
  for (int i = 0; i < 12; ++i) modules.push_back(echo(fmt::format("m{}", i)));
  Daemon daemon({.modules = modules, .flags = {"--max-workers", "3"}});
  ipc::Client client = daemon.connect();
  ipc::Client observer = daemon.connect();
  Calls calls(client);
  for (std::size_t i = 0; i < 600; ++i) calls.start({fmt::format("m{}", i * 7 % 12), "echo", std::to_string(i)});
  while (calls.order().size() < calls.size()) {
    client.run_once();
    CHECK(with_module(workers(observer)) <= 3);
  }
  for (std::size_t i = 0; i < 600; ++i) CHECK(outcome(calls.answer(i)) == std::to_string(i));
  daemon.stop();
}

TEST_CASE("a fresh process knows nothing of what its module kept in the last one") {
  Daemon daemon({.modules = {{"counter", "let count = 0; exports.count = () => ++count;"}, echo("other")},
                 .flags = {"--max-workers", "1"}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"counter", "count"})) == "1");
  CHECK(outcome(call(client, {"counter", "count"})) == "2");
  call(client, {"other", "echo"});
  CHECK(outcome(call(client, {"counter", "count"})) == "1");
}

TEST_CASE("no two of 50 processes draw the same random numbers") {
  std::vector<Module> modules;
  for (int i = 0; i < 50; ++i) {
    modules.push_back(
        {fmt::format("m{}", i), "const first = Math.random(); exports.draw = () => [first, Math.random()];"});
  }
  Daemon daemon({.modules = modules, .flags = {"--max-workers", "1", "--standby", "2"}});
  ipc::Client client = daemon.connect();
  std::set<std::string> drawn;
  std::set<std::string> first;
  for (const Module& module : modules) {
    const std::string pair = outcome(call(client, {module.name, "draw"}));
    drawn.insert(pair);
    first.insert(pair.substr(0, pair.find(',')));
  }
  CHECK(drawn.size() == 50);
  CHECK(first.size() == 50);
  daemon.stop();
}

TEST_CASE("the list of workers shows the state and the module and the calls of each") {
  Daemon daemon({.modules = {holder("one")}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  for (int i = 0; i < 3; ++i) calls.start({"one", "hold"});
  for (int i = 0; i < 2; ++i) call(client, {"one", "held"});
  const auto busy = worker_of(client, "one");
  CHECK(busy.version == "v1");
  CHECK(busy.state == WorkerState::busy);
  CHECK(busy.calls_in_flight == 3);
  CHECK(busy.calls_done == 2);
  CHECK(busy.memory_bytes > 0);
  CHECK(busy.memory_bytes < std::uint64_t{64} << 20);
  CHECK(busy.age.count() > 0);
  const auto real = daemon.workers();
  CHECK(std::count(real.begin(), real.end(), busy.pid) == 1);
  call(client, {"one", "release"});
  calls.wait_for_all();
  CHECK(worker_of(client, "one").state == WorkerState::idle);
}

}  // namespace
}  // namespace holdfast::test
