// The resource usage of a call: its answer reports it, the statistics sum it up, and `holdfast ps` and `holdfast stats`
// show it.
#include <doctest/doctest.h>
#include <signal.h>

#include <nlohmann/json.hpp>

#include "tests/integration/modules.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr nanoseconds kNone{0};

const Module kWorker{"worker", R"js(
    exports.echo = (payload) => payload;
    exports.spin = (ms) => { const end = Date.now() + ms; while (Date.now() < end) {} return ms; };
    exports.work = (steps) => { let sum = 0; while (steps-- > 0) sum = sum * 31 + steps | 0; return sum; };
    exports.loop = () => { while (true) {} };
    exports.sleep = (ms) => new Promise((resolve) => setTimeout(() => resolve(ms), ms));
    exports.keep = async (bytes) => {
      globalThis.kept = new Uint8Array(bytes).fill(1);
      await exports.sleep(30);  // the supervisor measures now and then
      return bytes;
    };
    exports.drop = () => { globalThis.kept = undefined; };
    exports.fail = () => { throw new Error('as asked'); };
    let waiting = [];
    exports.wait = () => { console.log('waiting'); return new Promise((resolve) => waiting.push(resolve)); };
    exports.release = () => { for (const resolve of waiting.splice(0)) resolve('waited'); };
)js"};

std::size_t bytes_of(const ipc::Error& error) {
  return error.message.size() + error.stack.size() + error.detail.size();
}

json shown_by(const Daemon& daemon, const std::string& command) {
  const Finished done = run({command_program(), command, "--json", "--socket", daemon.socket_path()});
  REQUIRE_MESSAGE(done.status == 0, done.errors);
  return json::parse(done.output);
}

TEST_CASE("a cold call waits for its module to be loaded, a hot one does not; both tell of their bytes exactly") {
  Daemon daemon({.modules = {kWorker, {"other", kWorker.code}}});
  ipc::Client client = daemon.connect();
  const std::string payload = "\"" + std::string(1000, 'x') + "\"";
  const ipc::Answer cold = call(client, {"worker", "echo", payload});
  REQUIRE(cold.has_value());
  CHECK(cold.usage.cold);
  CHECK(cold.usage.load > kNone);
  CHECK(cold.usage.run > kNone);
  CHECK(cold.usage.attempts == 1);
  CHECK(cold.usage.bytes_in == 1002);
  CHECK(cold.usage.bytes_out == 1002);
  CHECK(cold.usage.peak_memory_bytes > 0);
  const ipc::Answer hot = call(client, {"worker", "spin", "3"});
  REQUIRE(outcome(hot) == "3");
  CHECK_FALSE(hot.usage.cold);
  CHECK(hot.usage.load == kNone);
  CHECK(hot.usage.run >= milliseconds(2));
  CHECK(hot.usage.attempts == 1);
  CHECK(hot.usage.bytes_in == 1);
  CHECK(hot.usage.bytes_out == 1);
  // The kernel may not have counted the last tick, of at most 10 ms, of a process that is on the CPU.
  const ipc::Answer busy = call(client, {"other", "work", "100000000"});
  REQUIRE(busy.has_value());
  CHECK(busy.usage.cold);
  CHECK(busy.usage.cpu >= milliseconds(10));
  daemon.stop();
}

TEST_CASE("a function that spins is charged what the kernel counted for its process, one that sleeps next to nothing") {
  Daemon daemon({.modules = {kWorker}, .flags = {"--stretch", "1m"}});
  ipc::Client client = daemon.connect();
  REQUIRE(outcome(call(client, {"worker", "echo", "1"})) == "1");
  const nanoseconds before = worker_of(client, "worker").cpu;
  const ipc::Answer spun = call(client, {"worker", "spin", "200"});
  const nanoseconds counted = worker_of(client, "worker").cpu - before;
  REQUIRE(outcome(spun) == "200");
  CHECK(spun.usage.run >= milliseconds(195));
  CHECK(spun.usage.cpu <= counted);
  CHECK(spun.usage.cpu >= counted / 2);
  CHECK(spun.usage.cpu <= spun.usage.run + milliseconds(20));

  const ipc::Answer slept = call(client, {"worker", "sleep", "300"});
  REQUIRE(outcome(slept) == "300");
  CHECK(slept.usage.run >= milliseconds(300));
  CHECK(slept.usage.cpu < slept.usage.run / 3);
  daemon.stop();
}

TEST_CASE("calls that share a worker share its CPU time, and together are charged what the kernel counted for it") {
  Daemon daemon({.modules = {kWorker}, .flags = {"--stretch", "1m"}});
  ipc::Client client = daemon.connect();
  REQUIRE(outcome(call(client, {"worker", "echo", "1"})) == "1");
  const auto before = worker_of(client, "worker");
  Calls calls(client);
  const auto bystander = calls.start({"worker", "wait"});
  for (int i = 0; i < 20; ++i) calls.start({"worker", "spin", "20"});
  for (std::size_t place = 1; place <= 20; ++place) REQUIRE(outcome(calls.wait_for(place)) == "20");
  call(client, {"worker", "release"});
  calls.wait_for_all();
  nanoseconds sum{0};
  for (std::size_t place = 0; place < calls.size(); ++place) sum += calls.answer(place).usage.cpu;
  const auto after = worker_of(client, "worker");
  REQUIRE(after.pid == before.pid);
  CHECK(sum <= after.cpu - before.cpu);
  CHECK(sum >= (after.cpu - before.cpu) * 8 / 10);
  // This call was on the worker all the time, and is charged half of what each of the others used.
  CHECK(calls.answer(bystander).usage.cpu > calls.answer(1).usage.cpu);
  CHECK(stats_of(client, "worker").cpu >= sum);
  daemon.stop();
}

TEST_CASE("a call that fills 50 MB has a peak above that, and the next one is not charged what was given back") {
  Daemon daemon({.modules = {kWorker}});
  ipc::Client client = daemon.connect();
  const ipc::Answer small = call(client, {"worker", "keep", "1"});
  REQUIRE(outcome(small) == "1");
  CHECK(small.usage.peak_memory_bytes < 50 << 20);
  const ipc::Answer large = call(client, {"worker", "keep", std::to_string(50 << 20)});
  REQUIRE(outcome(large) == std::to_string(50 << 20));
  CHECK(large.usage.peak_memory_bytes > 50 << 20);
  CHECK(large.usage.peak_memory_bytes < 128 << 20);
  CHECK(stats_of(client, "worker").peak_memory_bytes == large.usage.peak_memory_bytes);
  daemon.stop();
}

TEST_CASE("a call behind another on a worker that takes one at a time tells how long it was queued") {
  Daemon daemon({.modules = {kWorker}, .flags = {"--concurrency", "1"}});
  ipc::Client client = daemon.connect();
  REQUIRE(outcome(call(client, {"worker", "echo", "1"})) == "1");
  Calls calls(client);
  calls.start({"worker", "sleep", "200"});
  calls.start({"worker", "echo", "1"});
  calls.wait_for_all();
  const ipc::Usage& first = calls.answer(0).usage;
  const ipc::Usage& second = calls.answer(1).usage;
  CHECK(first.run >= milliseconds(200));
  CHECK(first.queue < first.run);
  CHECK(second.queue >= milliseconds(150));
  CHECK(second.attempts == 1);
  daemon.stop();
}

TEST_CASE("errors report the usage of their calls and none if the call reached no worker") {
  Daemon daemon({.modules = {kWorker, {"broken", "throw new Error('as asked');"}}, .flags = {"--stretch", "100ms"}});
  ipc::Client client = daemon.connect();
  const ipc::Answer failed = call(client, {"worker", "fail", "12345"});
  CHECK(code_of(failed) == "exception");
  CHECK(failed.usage.cold);
  CHECK(failed.usage.attempts == 1);
  CHECK(failed.usage.bytes_in == 5);
  CHECK(failed.usage.bytes_out == bytes_of(failed.error()));
  CHECK(failed.usage.run > kNone);

  const ipc::Answer stopped = call(client, {"worker", "loop"});
  CHECK(code_of(stopped) == "cpu_exceeded");
  CHECK(stopped.usage.attempts == 1);
  CHECK(stopped.usage.run >= milliseconds(100));
  CHECK(stopped.usage.cpu >= milliseconds(50));
  CHECK(stopped.usage.bytes_out == bytes_of(stopped.error()));

  const ipc::Answer late = call(client, {.module = "worker", .function = "wait", .timeout = milliseconds(100)});
  CHECK(code_of(late) == "deadline_exceeded");
  CHECK(late.usage.attempts == 1);
  CHECK(late.usage.queue + late.usage.load + late.usage.run >= milliseconds(100));

  const ipc::Answer unloaded = call(client, {"broken", "ping"});
  CHECK(code_of(unloaded) == "load_failed");
  CHECK(unloaded.usage.attempts == 1);
  CHECK(unloaded.usage.load > kNone);
  CHECK(unloaded.usage.run == kNone);
  CHECK(unloaded.usage.cold);

  CHECK(call(client, {"nobody", "ping"}).usage == ipc::Usage{});
  daemon.stop();
}

TEST_CASE("a call that was run twice tells what both attempts took") {
  Daemon daemon({.modules = {kWorker}, .flags = {"--stretch", "1m"}});
  ipc::Client client = daemon.connect();
  REQUIRE(outcome(call(client, {"worker", "echo", "1"})) == "1");
  Calls calls(client);
  calls.start({.module = "worker", .function = "wait", .idempotent = true});
  calls.start({"worker", "spin", "200"});
  REQUIRE(outcome(calls.wait_for(1)) == "200");
  const nanoseconds half_of_it = calls.answer(1).usage.cpu;
  ::kill(worker_of(client, "worker").pid, SIGKILL);
  REQUIRE(eventually([&] {
    client.run_once(milliseconds(0));
    return occurrences(daemon.log(), "waiting") == 2;
  }));
  call(client, {"worker", "release"});
  const ipc::Answer& answer = calls.wait_for(0);
  REQUIRE(outcome(answer) == "\"waited\"");
  CHECK(answer.usage.attempts == 2);
  CHECK(answer.usage.cold);
  CHECK(answer.usage.cpu >= half_of_it * 9 / 10);
  CHECK(answer.usage.run >= milliseconds(190));
  CHECK(answer.usage.peak_memory_bytes > 0);
  daemon.stop();
}

TEST_CASE("the statistics of a module are the sums over its calls, however they ended") {
  Daemon daemon({.modules = {kWorker, kEcho}, .flags = {"--stretch", "100ms", "--max-workers", "1"}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  for (int i = 0; i < 50; ++i) calls.start({"worker", "echo", std::to_string(i)});
  for (int i = 0; i < 3; ++i) calls.start({"worker", "fail", "1"});
  calls.start({"worker", "loop"});
  calls.wait_for_all();
  calls.start({.module = "worker", .function = "wait", .timeout = milliseconds(100)});
  calls.start({"worker", "nothing"});
  // Calls that never reach a worker.
  const auto cancelled = calls.start({"worker", "sleep", "20"});
  calls.start({.module = "worker", .function = "sleep", .payload = "20", .timeout = milliseconds(1)});
  calls.cancel(cancelled);
  calls.wait_for_all();
  {
    ipc::Client leaver = daemon.connect();
    leaver.start(CallTo{"worker", "wait"}.request(), [](ipc::Answer) {});
    leaver.run_once(milliseconds(0));
    REQUIRE(eventually([&] { return stats_of(client, "worker").calls == calls.size() + 1; }));
  }
  REQUIRE(eventually([&] {
    const auto now = stats_of(client, "worker");
    return now.calls_in_flight + now.queued == 0 && now.calls == now.results + now.error_count();
  }));

  const ipc::ModuleStats stats = stats_of(client, "worker");
  CHECK(stats.calls == calls.size() + 1);
  CHECK(stats.results == calls.count("result"));
  for (const ipc::ErrorCount& error : stats.errors) {
    const bool is_the_leavers = error.code == ipc::ErrorCode::cancelled;
    CHECK(error.count == calls.count(std::string(ipc::to_string(error.code))) + (is_the_leavers ? 1 : 0));
  }
  ipc::Usage sum;
  for (std::size_t place = 0; place < calls.size(); ++place) {
    const ipc::Usage& usage = calls.answer(place).usage;
    sum.queue += usage.queue;
    sum.load += usage.load;
    sum.run += usage.run;
    sum.cpu += usage.cpu;
    sum.bytes_in += usage.bytes_in;
    sum.bytes_out += usage.bytes_out;
  }
  CHECK(stats.queue == sum.queue);
  CHECK(stats.load == sum.load);
  CHECK(stats.run == sum.run);
  CHECK(stats.bytes_in == sum.bytes_in);
  CHECK(stats.bytes_out == sum.bytes_out);
  CHECK(stats.cpu >= sum.cpu);
  CHECK(stats.cold_starts >= 2);
  CHECK(stats.cold_starts <= 3);
  daemon.stop();
}

TEST_CASE("holdfast stats counts on, and shows cold starts and CPU time that grow with what is done") {
  Daemon daemon({.modules = {kWorker, kEcho}, .flags = {"--max-workers", "1"}});
  ipc::Client client = daemon.connect();
  REQUIRE(outcome(call(client, {"worker", "echo", "1"})) == "1");
  const json first = shown_by(daemon, "stats");
  REQUIRE(first.at("modules").size() == 1);
  CHECK(first.at("modules")[0].at("calls") == 1);
  CHECK(first.at("modules")[0].at("cold_starts") == 1);
  CHECK(first.at("totals").at("workers") == 1);
  REQUIRE(outcome(call(client, {"worker", "spin", "30"})) == "30");
  REQUIRE(outcome(call(client, {"echo", "echo", "1"})) == "1");  // this worker takes the only slot
  CHECK(code_of(call(client, {"worker", "fail"})) == "exception");
  const json second = shown_by(daemon, "stats");
  REQUIRE(second.at("modules").size() == 2);
  for (const json& module : second.at("modules")) {
    if (module.at("module") != "worker") continue;
    CHECK(module.at("calls") == 3);
    CHECK(module.at("results") == 2);
    CHECK(module.at("errors") == json{{"exception", 1}});
    CHECK(module.at("cold_starts") == 2);
    CHECK(module.at("evictions") == 1);
    CHECK(module.at("cpu").get<double>() > first.at("modules")[0].at("cpu").get<double>());
  }
  daemon.stop();
}

TEST_CASE("holdfast ps shows which worker drains for another module, and what CPU time each has used") {
  Daemon daemon(
      {.modules = {kWorker, kEcho}, .flags = {"--max-workers", "1", "--slice", "1ms", "--waiting-grace", "1h"}});
  ipc::Client client = daemon.connect();
  REQUIRE(outcome(call(client, {"worker", "spin", "30"})) == "30");
  Calls calls(client);
  const auto held = calls.start({"worker", "wait"});
  REQUIRE(workers_become(client, [](const auto& all) {
    return std::any_of(all.begin(), all.end(), [](const auto& worker) { return worker.calls_in_flight == 1; });
  }));
  const auto waits = calls.start({"echo", "echo", "7"});
  json draining;
  REQUIRE(eventually([&] {
    client.run_once(milliseconds(0));
    for (const json& worker : shown_by(daemon, "ps")) {
      if (worker.at("state") == "draining") draining = worker;
    }
    return !draining.is_null();
  }));
  CHECK(draining.at("module") == "worker");
  CHECK(draining.at("calls_in_flight") == 1);
  CHECK(draining.at("cpu").get<double>() > 0.005);
  CHECK_FALSE(calls.is_answered(waits));
  calls.cancel(held);
  CHECK(outcome(calls.wait_for(waits)) == "7");
  CHECK(stats_of(client, "worker").drains == 1);
  daemon.stop();
}

}  // namespace
}  // namespace holdfast::test
