// Successful calls: where they run, how many run at a time, and that each is answered once.
#include "tests/support/calls.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <memory>
#include <random>
#include <set>

#include "tests/support/daemon.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

const Module kEcho{"echo", "exports.echo = (payload) => payload; exports.later = async (payload) => payload;"};

// `wait` calls resolve with `value` after `millis`; `hold` calls resolve when release() is called.
const Module kWaiter{"waiter", R"js(
    let resolvers = [];
    exports.wait = ({ millis, value }) => new Promise((resolve) => setTimeout(() => resolve(value), millis));
    exports.hold = (value) => new Promise((resolve) => resolvers.push(() => resolve(value)));
    exports.held = () => resolvers.length;
    exports.release = () => { for (const resolve of resolvers.reverse()) resolve(); resolvers = []; };
)js"};

TEST_CASE("the first call of a module is answered, and later calls are served by the same process") {
  Daemon daemon({.modules = {kEcho}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"echo", "echo", "1"})) == "1");
  const auto first = worker_of(client, "echo");
  for (int i = 2; i < 50; ++i) CHECK(outcome(call(client, {"echo", "echo", std::to_string(i)})) == std::to_string(i));
  const auto later = worker_of(client, "echo");
  CHECK(later.pid == first.pid);
  CHECK(later.calls_done == 49);
  daemon.stop();
}

TEST_CASE("two modules live in two processes") {
  Daemon daemon({.modules = {kEcho, {"other", "exports.echo = (payload) => payload;"}}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"echo", "echo", "1"})) == "1");
  CHECK(outcome(call(client, {"other", "echo", "2"})) == "2");
  CHECK(worker_of(client, "echo").pid != worker_of(client, "other").pid);
  daemon.stop();
}

TEST_CASE("two versions of a module live in two processes, and each call reaches its own") {
  Daemon daemon(
      {.modules = {{"module", "exports.version = () => 1;", "v1"}, {"module", "exports.version = () => 2;", "v2"}}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {.module = "module", .function = "version", .version = "v1"})) == "1");
  CHECK(outcome(call(client, {.module = "module", .function = "version", .version = "v2"})) == "2");
  const auto all = workers(client);
  CHECK(std::count_if(all.begin(), all.end(), [](const auto& worker) { return worker.module == "module"; }) == 2);
}

TEST_CASE("every JSON value comes back as it was sent") {
  Daemon daemon({.modules = {kEcho}});
  ipc::Client client = daemon.connect();
  for (const char* payload :
       {"null", "true", "0", "-1.5e-7", R"("")", R"("\ud83d\ude00 \ud800 \" \\ \u0000")", "\"\xF0\x9F\x98\x80\"", "[]",
        "{}", R"({"a":{"b":[1,2,{"c":null}]},"":"empty","__proto__":{"x":1}})", "9007199254740993"}) {
    const std::string expected = std::string(payload) == "9007199254740993" ? "9007199254740992"
                                 : std::string(payload) == R"("\ud83d\ude00 \ud800 \" \\ \u0000")"
                                     ? "\"\xF0\x9F\x98\x80 \\ud800 \\\" \\\\ \\u0000\""
                                     : payload;
    CHECK(outcome(call(client, {"echo", "echo", payload})) == expected);
    CHECK(outcome(call(client, {"echo", "later", payload})) == expected);
  }
  CHECK(outcome(call(client, {"echo", "echo", ""})) == "null");
}

TEST_CASE("payload and result may have megabytes") {
  Daemon daemon({.modules = {kEcho}});
  ipc::Client client = daemon.connect();
  const std::string large = "\"" + std::string(std::size_t{15} << 20, 'x') + "\"";
  const auto answer = call(client, {"echo", "echo", large});
  REQUIRE(code_of(answer) == "result");
  CHECK((answer->payload == large));
  daemon.stop();
}

TEST_CASE("promises and thenables and plain values are all answered with their final value") {
  Daemon daemon({.modules = {{"kinds", R"js(
      exports.value = () => 1;
      exports.promise = () => Promise.resolve(2);
      exports.asynchronous = async () => { await null; return 3; };
      exports.thenable = () => ({ then(resolve) { resolve(4); } });
      exports.nothing = () => {};
      exports.object = () => ({ five: 5 });
      exports.lateThenable = () => ({ then(resolve) { setTimeout(() => resolve(Promise.resolve(6)), 1); } });
      exports.twice = () => ({ then(resolve, reject) { resolve(7); resolve(8); reject(new Error('late')); } });
  )js"}}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"kinds", "value"})) == "1");
  CHECK(outcome(call(client, {"kinds", "promise"})) == "2");
  CHECK(outcome(call(client, {"kinds", "asynchronous"})) == "3");
  CHECK(outcome(call(client, {"kinds", "thenable"})) == "4");
  CHECK(outcome(call(client, {"kinds", "nothing"})) == "null");
  CHECK(outcome(call(client, {"kinds", "object"})) == R"({"five":5})");
  CHECK(outcome(call(client, {"kinds", "lateThenable"})) == "6");
  CHECK(outcome(call(client, {"kinds", "twice"})) == "7");
}

TEST_CASE("positional arguments arrive one by one, with the context behind them") {
  Daemon daemon({.modules = {{"count", R"js(
      exports.show = (...values) => [values.length, values.slice(0, -1), values.at(-1).function];
      exports.count = (...values) => values.length;
  )js"}}});
  ipc::Client client = daemon.connect();
  const auto positional = [&](const char* function, std::string payload) {
    return outcome(call(client, {.module = "count",
                                 .function = function,
                                 .payload = std::move(payload),
                                 .arguments = ipc::ArgumentStyle::positional}));
  };
  CHECK(positional("show", "[]") == R"([1,[],"show"])");
  CHECK(positional("show", R"([1,"two",null])") == R"([4,[1,"two",null],"show"])");
  std::string many = "[0";
  for (int i = 1; i < 5000; ++i) many += ",0";
  CHECK(positional("count", many + "]") == "5001");
}

TEST_CASE("more positional arguments than a function can be given are refused, and no crash") {
  Daemon daemon({.modules = {{"count", "exports.count = (...values) => values.length;"}}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"count", "count"})) == "2");
  const auto before = worker_of(client, "count").pid;
  const auto counted = [&](int count) {
    std::string many = "[0";
    for (int i = 1; i < count; ++i) many += ",0";
    return outcome(call(
        client,
        {.module = "count", .function = "count", .payload = many + "]", .arguments = ipc::ArgumentStyle::positional}));
  };
  CHECK(counted(65534) == "65535");
  const std::string refused = "protocol_error: the payload has {} positional arguments; at most 65534 are allowed";
  CHECK(counted(65535) == fmt::format(fmt::runtime(refused), 65535));
  CHECK(counted(2'000'000) == fmt::format(fmt::runtime(refused), 2'000'000));
  CHECK(worker_of(client, "count").pid == before);
}

TEST_CASE("positional arguments that are an array of four thousand million holes are refused, and no crash") {
  Daemon daemon({.modules = {{"count", "exports.count = (...values) => values.length;"}}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"count", "count"})) == "2");
  const auto before = worker_of(client, "count").pid;
  // The format of V8's serializer: version 13, a sparse array, its length, its end with the number of properties and
  // the length again.
  constexpr std::string_view kSparse(
      "\xff\x0d"
      "a\xff\xff\xff\xff\x0f"
      "@\x00\xff\xff\xff\xff\x0f",
      15);
  const auto answer = client.call({.module = "count",
                                   .version = "v1",
                                   .function = "count",
                                   .payload = ipc::as_bytes(kSparse),
                                   .encoding = ipc::Encoding::structured,
                                   .arguments = ipc::ArgumentStyle::positional});
  CHECK(outcome(answer) ==
        "protocol_error: the payload has 4294967295 positional arguments; at most 65534 are allowed");
  CHECK(worker_of(client, "count").pid == before);
}

TEST_CASE("functions that wait share their process, and each answer finds its call whatever the order") {
  Daemon daemon({.modules = {kWaiter}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  constexpr std::size_t kHeld = 90;
  for (std::size_t i = 0; i < kHeld; ++i) calls.start({"waiter", "hold", fmt::format("{{\"call\":{}}}", i)});
  REQUIRE(outcome(call(client, {"waiter", "held"})) == std::to_string(kHeld));
  CHECK(worker_of(client, "waiter").calls_in_flight == kHeld);
  CHECK(worker_of(client, "waiter").state == ipc::WorkerState::busy);
  CHECK(calls.order().empty());
  call(client, {"waiter", "release"});
  calls.wait_for_all();
  for (std::size_t i = 0; i < kHeld; ++i) CHECK(outcome(calls.answer(i)) == fmt::format("{{\"call\":{}}}", i));
  CHECK(calls.order().front() == kHeld - 1);  // release() resolves the last one first
  CHECK(worker_of(client, "waiter").calls_in_flight == 0);
  daemon.stop();
}

TEST_CASE("calls that wait for timers are each answered with their own value") {
  Daemon daemon({.modules = {kWaiter}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  constexpr std::size_t kCalls = 60;
  for (std::size_t i = 0; i < kCalls; ++i) {
    calls.start({"waiter", "wait", fmt::format(R"({{"millis":{},"value":{}}})", (kCalls - i) * 5, i)});
  }
  calls.wait_for_all();
  for (std::size_t i = 0; i < kCalls; ++i) CHECK(outcome(calls.answer(i)) == std::to_string(i));
}

TEST_CASE("each of 10000 calls with 64 in flight from one client is answered once and correctly") {
  Daemon daemon({.modules = {kEcho, kWaiter}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  constexpr std::size_t kCalls = 10'000;
  constexpr std::size_t kInFlight = 64;
  while (calls.size() < kCalls) {
    while (client.open_calls() < kInFlight && calls.size() < kCalls) {
      const std::size_t i = calls.size();
      if (i % 16 == 0) {
        calls.start({"waiter", "wait", fmt::format(R"({{"millis":{},"value":{}}})", i % 3, i)});
      } else {
        calls.start({"echo", i % 2 == 0 ? "echo" : "later", std::to_string(i)});
      }
    }
    client.run_once();
  }
  calls.wait_for_all();
  CHECK(calls.order().size() == kCalls);
  std::size_t right = 0;
  for (std::size_t i = 0; i < kCalls; ++i) right += outcome(calls.answer(i)) == std::to_string(i) ? 1 : 0;
  CHECK(right == kCalls);
  daemon.stop();
}

TEST_CASE("a client that starts more calls than the supervisor lets be in flight gets them all answered") {
  Daemon daemon({.modules = {kEcho}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  const std::size_t count = client.server().max_calls_in_flight * 3;
  for (std::size_t i = 0; i < count; ++i) calls.start({"echo", "later", std::to_string(i)});
  calls.wait_for_all();
  CHECK(calls.count("result") == count);
}

TEST_CASE("1000 clients with a call each all get the right answer") {
  rlimit limit;
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = limit.rlim_max;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
  constexpr std::size_t kClients = 1000;
  REQUIRE_MESSAGE(limit.rlim_cur > kClients + 100, "too few descriptors are allowed here (ulimit -Hn)");
  Daemon daemon({.modules = {kWaiter}, .flags = {"--queue-limit", "2000"}});

  std::vector<ipc::Client> clients;
  std::vector<std::unique_ptr<Calls>> calls;
  clients.reserve(kClients);
  for (std::size_t i = 0; i < kClients; ++i) {
    clients.push_back(daemon.connect());
    calls.push_back(std::make_unique<Calls>(clients.back()));
    calls.back()->start({"waiter", "wait", fmt::format(R"({{"millis":{},"value":{}}})", i % 7, i)});
    clients.back().run_once(std::chrono::milliseconds(0));
  }
  std::size_t right = 0;
  for (std::size_t i = 0; i < kClients; ++i) right += outcome(calls[i]->wait_for(0)) == std::to_string(i) ? 1 : 0;
  CHECK(right == kClients);
  CHECK(worker_of(clients.front(), "waiter").calls_done == kClients);
  clients.clear();
  daemon.stop();
}

TEST_CASE("a client that leaves with open calls does not affect others and its calls are given up") {
  Daemon daemon({.modules = {kWaiter}});
  ipc::Client stays = daemon.connect();
  {
    ipc::Client leaves = daemon.connect();
    Calls calls(leaves);
    for (int i = 0; i < 50; ++i) calls.start({"waiter", "hold", "1"});
    leaves.run_once(std::chrono::milliseconds(0));
    CHECK(eventually([&] { return outcome(call(stays, {"waiter", "held"})) == "50"; }));
  }
  CHECK(workers_become(stays, [](const auto& all) {
    return std::all_of(all.begin(), all.end(), [](const auto& worker) { return worker.calls_in_flight == 0; });
  }));
  CHECK(outcome(call(stays, {"waiter", "wait", R"({"millis":1,"value":2})"})) == "2");
  daemon.stop();
}

}  // namespace
}  // namespace holdfast::test
