// Direct lines: a client's calls go straight to a worker, with the same guarantees as relayed calls.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <csignal>
#include <thread>

#include "ipc/worker_status.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

using std::chrono::milliseconds;

const Module kOne = {"one", R"js('use strict';
let count = 0;
const held = [];
exports.echo = (payload) => payload;
exports.count = () => ++count;
exports.ids = (payload, context) => context.requestId;
exports.spin = () => {
  for (;;) {}
};
exports.fail = () => { throw new Error('as asked'); };
exports.wait = (millis) => new Promise((resolve) => setTimeout(resolve, millis, 'waited'));
exports.hold = (name, context) => new Promise((resolve) => {
  held.push(name);
  context.signal.addEventListener('abort', () => { held.splice(held.indexOf(name), 1); resolve(); });
});
exports.held = () => held;
exports.spinLater = (millis) => new Promise((resolve) => setTimeout(() => {
  const end = Date.now() + millis;
  while (Date.now() < end);
  resolve('spun');
}, 1));
exports.stream = async function* () { yield 1; yield 2; };
exports.log = () => { console.log('a line'); return 'logged'; };
)js"};
const Module kTwo = {"two", "exports.echo = (payload) => payload;"};
const ipc::ModuleName kNameOfOne = {"one", "v1"};

Daemon daemon_with_lines(std::vector<std::string> flags = {}) {
  flags.push_back("--direct-line");
  return Daemon({.modules = {kOne, kTwo}, .flags = std::move(flags)});
}

// A client with a line to the module "one".
ipc::Client client_with_line(const Daemon& daemon) {
  ipc::Client client = daemon.connect();
  const auto opened = client.open_line(kNameOfOne);
  REQUIRE_MESSAGE(opened.has_value(), opened.error().message);
  REQUIRE(client.has_line(kNameOfOne));
  return client;
}

// Whether the call went over the line: only relayed calls count the workers that they were given to.
bool went_by_line(const ipc::Answer& answer) { return answer.usage.attempts == 0; }

TEST_CASE("calls of a client with a line go straight to the worker and are answered as usual") {
  Daemon daemon = daemon_with_lines();
  ipc::Client client = client_with_line(daemon);
  for (int i = 0; i < 100; ++i) {
    const ipc::Answer answer = call(client, {"one", "echo", std::to_string(i)});
    CHECK(outcome(answer) == std::to_string(i));
    CHECK(went_by_line(answer));
    CHECK(answer.usage.run.count() > 0);
  }
  CHECK(code_of(call(client, {"one", "fail"})) == "exception");
  CHECK(code_of(call(client, {"one", "nothing"})) == "not_found");
  Calls calls(client);
  for (int i = 0; i < 2000; ++i) calls.start({"one", "echo", std::to_string(i)});
  calls.wait_for_all();
  for (std::size_t i = 0; i < 2000; ++i) CHECK(outcome(calls.answer(i)) == std::to_string(i));

  const auto worker = worker_of(client, "one");
  CHECK(worker.line);
  CHECK(worker.calls_done == 2102);
  CHECK(worker.calls_in_flight == 1);
  const auto stats = stats_of(client, "one");
  CHECK(stats.calls == 2102);
  CHECK(stats.results == 2100);
  daemon.stop();
}

TEST_CASE("without the flag there is no line, and workers have one descriptor") {
  Daemon daemon({.modules = {kOne}});
  ipc::Client client = daemon.connect();
  const auto opened = client.open_line(kNameOfOne);
  REQUIRE_FALSE(opened.has_value());
  CHECK(opened.error().code == ipc::ErrorCode::permission_denied);
  CHECK(contains(opened.error().message, "--direct-line"));
  const ipc::Answer answer = call(client, {"one", "echo", "1"});
  CHECK(outcome(answer) == "1");
  CHECK_FALSE(went_by_line(answer));
  CHECK(descriptors_of(worker_of(client, "one").pid).size() == 1);
  daemon.stop();
}

TEST_CASE("a line to a module that does not exist or cannot be loaded is refused with the reason") {
  Daemon daemon({.modules = {{"broken", "throw new Error('not today');"}}, .flags = {"--direct-line"}});
  ipc::Client client = daemon.connect();
  CHECK(client.open_line({"broken", "v1"}).error().code == ipc::ErrorCode::load_failed);
  CHECK(client.open_line({"none", "v1"}).error().code == ipc::ErrorCode::not_found);
  CHECK(client.open_line({"..", "v1"}).error().code == ipc::ErrorCode::not_found);
  daemon.stop();
}

TEST_CASE("a worker gives its line to one client and calls of other clients are relayed to it") {
  Daemon daemon = daemon_with_lines();
  ipc::Client first = client_with_line(daemon);
  ipc::Client second = daemon.connect();
  const auto refused = second.open_line(kNameOfOne);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == ipc::ErrorCode::unavailable);
  Calls of_first(first), of_second(second);
  for (int i = 0; i < 500; ++i) {
    of_first.start({"one", "count"});
    of_second.start({"one", "count"});
  }
  of_second.wait_for_all();
  of_first.wait_for_all();
  CHECK(outcome(call(first, {"one", "count"})) == "1001");
  CHECK(of_first.count("result") + of_second.count("result") == 1000);
  CHECK_FALSE(went_by_line(of_second.answer(0)));
  daemon.stop();
}

// Makes so many calls on the client's line that the worker of the module "one" busy-polls for a millisecond before it
// sleeps (ipc/base/busy_poll.h). Returns that worker.
ipc::WorkerInfo worker_that_looks(ipc::Client& client) {
  for (int i = 0; i < 300; ++i) REQUIRE(outcome(call(client, {"one", "echo", "1"})) == "1");
  return worker_of(client, "one");
}

TEST_CASE("a worker that busy-polls its line notices everything else in the meantime") {
  Daemon daemon = daemon_with_lines({"--busy-poll", "1ms"});
  ipc::Client client = client_with_line(daemon);
  ipc::Client other = daemon.connect();
  worker_that_looks(client);
  for (int round = 0; round < 20; ++round) {
    Calls relayed(other);
    const auto open = relayed.start({"one", "count"});
    other.run_once(milliseconds(0));  // sends the call
    // Each of these calls comes soon enough that the worker need not sleep.
    for (int i = 0; i < 300; ++i) REQUIRE(outcome(call(client, {"one", "echo", "1"})) == "1");
    CHECK(outcome(relayed.wait_for(open)) == std::to_string(round + 1));
  }
  Calls timed(client);
  const auto timer = timed.start({"one", "wait", "3"});
  CHECK(outcome(timed.wait_for(timer)) == "\"waited\"");
  daemon.stop();
}

TEST_CASE("a worker that busy-polls its line ends when it is told to") {
  Daemon daemon = daemon_with_lines({"--busy-poll", "1ms"});
  for (int round = 0; round < 5; ++round) {
    ipc::Client client = client_with_line(daemon);
    const pid_t worker = worker_that_looks(client).pid;
    REQUIRE(outcome(call(client, {"one", "echo", "2"})) == "2");
    // The worker busy-polls now, and no further call comes.
    REQUIRE(::kill(worker, ipc::kSoftStopSignal) == 0);
    CHECK(eventually([&] { return ::kill(worker, 0) != 0; }));
  }
  daemon.stop();
}

TEST_CASE("a worker notices the next call on its line after timers that took longer than a relayed call") {
  Daemon daemon = daemon_with_lines();
  ipc::Client client = client_with_line(daemon);
  ipc::Client other = daemon.connect();
  Calls calls(client);
  for (int round = 0; round < 5; ++round) {
    const std::size_t place = calls.start({"one", "spinLater", "100"});
    client.run_once(milliseconds(0));
    std::this_thread::sleep_for(milliseconds(30));
    CHECK(outcome(call(other, {"one", "echo", "1"})) == "1");  // this call came while the timer ran
    CHECK(outcome(calls.wait_for(place)) == "\"spun\"");
    CHECK(outcome(call(client, {"one", "echo", "2", std::chrono::seconds(30)})) == "2");
  }
  daemon.stop();
}

TEST_CASE("streams, logs and other modules' calls go by the supervisor while there is a line") {
  Daemon daemon = daemon_with_lines();
  ipc::Client client = client_with_line(daemon);
  int chunks = 0, lines = 0;
  const CallTo stream{"one", "stream"};
  const CallTo log{"one", "log"};
  CHECK(client.call(stream.request(), {.on_chunk = [&](ipc::Result) { ++chunks; }}).has_value());
  CHECK(client.call(log.request(), {.on_log = [&](const ipc::LogRecord&) { ++lines; }}).has_value());
  CHECK(chunks == 2);
  CHECK(lines == 1);
  CHECK_FALSE(went_by_line(call(client, {"two", "echo", "2"})));
  CHECK(went_by_line(call(client, {"one", "log"})));
  daemon.stop();
}

TEST_CASE("request ids of calls on a line differ from those of relayed ones") {
  Daemon daemon = daemon_with_lines();
  ipc::Client client = client_with_line(daemon);
  ipc::Client other = daemon.connect();
  CHECK(outcome(call(client, {"one", "ids"})).ends_with("-line-1\""));
  CHECK(outcome(call(client, {"one", "ids"})).ends_with("-line-2\""));
  CHECK_FALSE(contains(outcome(call(other, {"one", "ids"})), "line"));
  daemon.stop();
}

TEST_CASE("a loop on a line is stopped with the place of the loop, and the next call is served") {
  Daemon daemon = daemon_with_lines({"--stretch", "100ms"});
  ipc::Client client = client_with_line(daemon);
  Calls calls(client);
  const auto waiting = calls.start({"one", "wait", "10000"});
  const auto spinning = calls.start({"one", "spin"});
  const auto behind = calls.start({"one", "echo", "7"});
  const ipc::Error error = error_of(calls.wait_for(spinning));
  CHECK(error.code == ipc::ErrorCode::cpu_exceeded);
  CHECK(contains(error.stack, "one-v1.js:8"));
  const ipc::Error bystander = error_of(calls.wait_for(waiting));
  CHECK(bystander.code == ipc::ErrorCode::worker_crashed);
  CHECK(bystander.executed == ipc::Executed::maybe);
  CHECK(outcome(calls.wait_for(behind)) == "7");
  CHECK_FALSE(client.has_line(kNameOfOne));
  CHECK(outcome(call(client, {"one", "echo", "8"})) == "8");
  REQUIRE(client.open_line(kNameOfOne).has_value());
  CHECK(went_by_line(call(client, {"one", "echo", "9"})));
  daemon.stop();
}

TEST_CASE("a deadline ends a call on a line whether or not it is on the CPU") {
  Daemon daemon = daemon_with_lines();
  ipc::Client client = client_with_line(daemon);
  const CallTo waiting{.module = "one", .function = "hold", .payload = "1", .timeout = milliseconds(50)};
  const ipc::Error pending = error_of(call(client, waiting));
  CHECK(pending.code == ipc::ErrorCode::deadline_exceeded);
  CHECK(pending.executed == ipc::Executed::maybe);
  CHECK(eventually([&] { return outcome(call(client, {"one", "held"})) == "[]"; }));
  CHECK(client.has_line(kNameOfOne));

  const CallTo spinning{.module = "one", .function = "spin", .timeout = milliseconds(50)};
  const ipc::Error running = error_of(call(client, spinning));
  CHECK(running.code == ipc::ErrorCode::deadline_exceeded);
  CHECK(eventually([&] {
    client.run_once(milliseconds(10));
    return !client.has_line(kNameOfOne);
  }));
  CHECK(outcome(call(client, {"one", "echo", "1"})) == "1");
  daemon.stop();
}

TEST_CASE("a call on a line that is cancelled is answered at once, and its function is told") {
  Daemon daemon = daemon_with_lines();
  ipc::Client client = client_with_line(daemon);
  Calls calls(client);
  const auto held = calls.start({"one", "hold", "1"});
  CHECK(outcome(call(client, {"one", "held"})) == "[1]");
  calls.cancel(held);
  CHECK(code_of(calls.wait_for(held)) == "cancelled");
  CHECK(eventually([&] { return outcome(call(client, {"one", "held"})) == "[]"; }));
  CHECK(client.has_line(kNameOfOne));
  daemon.stop();
}

TEST_CASE("a line is withdrawn when its module changes and no call is affected") {
  Daemon daemon = daemon_with_lines();
  ipc::Client client = client_with_line(daemon);
  Calls calls(client);
  std::size_t started = 0;
  const auto serve = [&] {
    for (int i = 0; i < 50; ++i) calls.start({"one", "wait", "1"}), ++started;
    client.run_once(milliseconds(1));
    return !client.has_line(kNameOfOne);
  };
  serve();
  daemon.add_module({"one", "exports.wait = () => 'new'; exports.echo = () => 'new';"});
  REQUIRE(eventually(serve));
  calls.wait_for_all();
  CHECK(calls.count("result") == started);
  CHECK(calls.order().size() == started);
  CHECK(outcome(call(client, {"one", "echo"})) == "\"new\"");
  daemon.stop();
}

TEST_CASE("a line keeps its worker from other modules no longer than calls would") {
  Daemon daemon = daemon_with_lines({"--max-workers", "1", "--slice", "50ms", "--waiting-grace", "1h"});
  ipc::Client client = client_with_line(daemon);
  Calls calls(client);
  const auto waiting = calls.start({"one", "wait", "200"});
  client.run_once(milliseconds(0));
  CHECK(outcome(call(client, {"two", "echo", "2"})) == "2");
  CHECK(outcome(calls.wait_for(waiting)) == "\"waited\"");
  CHECK_FALSE(client.has_line(kNameOfOne));
  CHECK(outcome(call(client, {"one", "echo", "1"})) == "1");
  daemon.stop();
}

TEST_CASE("a line that nobody calls on is closed after the idle time, and then its worker is removed") {
  Daemon daemon = daemon_with_lines({"--idle-timeout", "100ms"});
  ipc::Client client = client_with_line(daemon);
  CHECK(outcome(call(client, {"one", "echo", "1"})) == "1");
  CHECK(workers_become(client, [](const auto& workers) {
    return std::none_of(workers.begin(), workers.end(), [](const auto& worker) { return worker.module == "one"; });
  }));
  CHECK_FALSE(client.has_line(kNameOfOne));
  CHECK(outcome(call(client, {"one", "echo", "2"})) == "2");
  daemon.stop();
}

TEST_CASE("each of a thousand calls on a line is answered once when its worker is killed among them") {
  Daemon daemon = daemon_with_lines();
  ipc::Client observer = daemon.connect();
  for (int round = 0; round < 5; ++round) {
    ipc::Client client = client_with_line(daemon);
    const pid_t worker = worker_of(observer, "one").pid;
    Calls calls(client);
    for (int i = 0; i < 1000; ++i) calls.start({"one", i % 3 == 0 ? "wait" : "echo", "1"});
    client.run_once(milliseconds(round));
    ::kill(worker, SIGKILL);
    calls.wait_for_all();
    CHECK(calls.order().size() == 1000);
    CHECK(calls.count("result") + calls.count("worker_crashed") == 1000);
    CHECK_FALSE(client.has_line(kNameOfOne));
  }
  daemon.stop();
}

TEST_CASE("no call begins twice whether its line is withdrawn or its worker is killed") {
  const std::string code = "exports.mark = async (id) => { console.log(`begun ${id};`); await 0; return id; };";
  Daemon daemon({.modules = {{"one", code}}, .flags = {"--direct-line", "--log-rate", "1GB", "--log-burst", "1GB"}});
  ipc::Client observer = daemon.connect();
  std::size_t id = 0;
  for (int round = 0; round < 8; ++round) {
    ipc::Client client = client_with_line(daemon);
    const pid_t worker = worker_of(observer, "one").pid;
    Calls calls(client);
    const std::size_t first = id;
    for (int i = 0; i < 300; ++i) calls.start({"one", "mark", std::to_string(id++)});
    client.run_once(milliseconds(0));
    if (round % 2 == 0) {
      ::kill(worker, SIGKILL);
    } else {
      daemon.add_module({"one", fmt::format("{} // {}", code, round)});
    }
    // Some of these calls are sent while the line is being closed.
    for (int i = 0; i < 100; ++i) {
      calls.start({"one", "mark", std::to_string(id++)});
      client.run_once(milliseconds(0));
    }
    calls.wait_for_all();
    CHECK(calls.order().size() == 400);
    for (std::size_t i = 0; i < 400; ++i) {
      const std::string got = outcome(calls.answer(i));
      CHECK((got == std::to_string(first + i) || got.starts_with("worker_crashed")));
    }
    REQUIRE(eventually([&] {
      return call(client, {"one", "mark", std::to_string(id++)}).has_value() && !client.has_line(kNameOfOne);
    }));
  }
  const std::string log = daemon.log();
  for (std::size_t i = 0; i < id; ++i) CHECK(occurrences(log, fmt::format("begun {};", i)) <= 1);
  daemon.stop();
}

TEST_CASE("calls that say that they are idempotent are run again when their line's worker is killed") {
  Daemon daemon = daemon_with_lines();
  ipc::Client client = client_with_line(daemon);
  Calls calls(client);
  for (int i = 0; i < 10; ++i) calls.start({.module = "one", .function = "wait", .payload = "300", .idempotent = true});
  CHECK(outcome(call(client, {"one", "echo", "1"})) == "1");
  ::kill(worker_of(client, "one").pid, SIGKILL);
  calls.wait_for_all();
  CHECK(calls.count("result") == 10);
  daemon.stop();
}

TEST_CASE("calls of a client that leaves with its line are cancelled, and the worker serves others") {
  Daemon daemon = daemon_with_lines();
  ipc::Client other = daemon.connect();
  {
    ipc::Client client = client_with_line(daemon);
    Calls calls(client);
    for (int i = 0; i < 5; ++i) calls.start({"one", "hold", std::to_string(i)});
    CHECK(outcome(call(client, {"one", "held"})) == "[0,1,2,3,4]");
  }
  CHECK(eventually([&] { return outcome(call(other, {"one", "held"})) == "[]"; }));
  CHECK(eventually([&] { return worker_of(other, "one").calls_in_flight == 0; }));
  CHECK_FALSE(worker_of(other, "one").line);
  daemon.stop();
}

TEST_CASE("the supervisor's shutdown withdraws lines, and calls on them have their time") {
  Daemon daemon = daemon_with_lines();
  ipc::Client client = client_with_line(daemon);
  Calls calls(client);
  const auto waiting = calls.start({"one", "wait", "300"});
  CHECK(outcome(call(client, {"one", "echo", "1"})) == "1");
  daemon.signal(SIGTERM);
  CHECK(outcome(calls.wait_for(waiting)) == "\"waited\"");
  CHECK(daemon.wait() == 0);
}

TEST_CASE("when the supervisor is killed each call on a line is answered") {
  Daemon daemon = daemon_with_lines();
  ipc::Client client = client_with_line(daemon);
  Calls calls(client);
  for (int i = 0; i < 10; ++i) calls.start({"one", "wait", "5000"});
  CHECK(outcome(call(client, {"one", "echo", "1"})) == "1");
  daemon.signal(SIGKILL);
  calls.wait_for_all();
  CHECK(calls.count("unavailable") == 10);
  daemon.wait();
}

TEST_CASE("a line works with workers that are programs of their own, and in the strict profile") {
  for (const std::vector<std::string>& flags :
       {std::vector<std::string>{"--isolation", "exec"}, std::vector<std::string>{"--profile", "strict"}}) {
    Daemon daemon = daemon_with_lines(flags);
    ipc::Client client = client_with_line(daemon);
    const ipc::Answer answer = call(client, {"one", "echo", "1"});
    CHECK(outcome(answer) == "1");
    CHECK(went_by_line(answer));
    CHECK(descriptors_of(worker_of(client, "one").pid).size() == 2);
    daemon.stop();
  }
}

TEST_CASE("a module whose calls run one at a time has no line") {
  Daemon daemon = daemon_with_lines({"--concurrency", "1"});
  ipc::Client client = daemon.connect();
  CHECK(client.open_line(kNameOfOne).error().code == ipc::ErrorCode::permission_denied);
  CHECK(outcome(call(client, {"one", "echo", "1"})) == "1");
  daemon.stop();
}

TEST_CASE("the calls on a line respect the concurrency of the module") {
  Daemon daemon = daemon_with_lines({"--concurrency", "4"});
  ipc::Client client = client_with_line(daemon);
  Calls calls(client);
  const auto begun = std::chrono::steady_clock::now();
  for (int i = 0; i < 12; ++i) calls.start({"one", "wait", "50"});
  calls.wait_for_all();
  CHECK(calls.count("result") == 12);
  CHECK(std::chrono::steady_clock::now() - begun >= milliseconds(150));
  daemon.stop();
}

}  // namespace
}  // namespace holdfast::test
