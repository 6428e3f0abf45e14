// Calls that end at a limit: time, queues, and cancellation by the caller. For memory see memory_test.cc.
#include <doctest/doctest.h>

#include "tests/integration/modules.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

using ipc::Executed;
using std::chrono::milliseconds;

// --- deadline_exceeded ---------------------------------------------------------------------------------------------

TEST_CASE("a call whose time is over while it waits for a worker is deadline_exceeded and was not executed") {
  Daemon daemon({.modules = {kHolder, kEcho}, .flags = {"--max-workers", "1"}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  calls.start({"holder", "hold"});
  REQUIRE(outcome(call(client, {"holder", "held"})) == "1");
  const auto error = error_of(call(client, {.module = "echo", .function = "echo", .timeout = milliseconds(50)}));
  CHECK(error.code == ipc::ErrorCode::deadline_exceeded);
  CHECK(error.executed == Executed::no);
  CHECK_FALSE(calls.is_answered(0));
}

TEST_CASE("a call whose promise never settles is deadline_exceeded, and its process goes on") {
  Daemon daemon({.modules = {kHolder}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"holder", "held"})) == "0");
  const auto before = worker_of(client, "holder").pid;
  const auto error = error_of(call(client, {.module = "holder", .function = "hold", .timeout = milliseconds(50)}));
  CHECK(error.code == ipc::ErrorCode::deadline_exceeded);
  CHECK(error.executed == Executed::maybe);
  CHECK(outcome(call(client, {"holder", "held"})) == "1");
  CHECK(worker_of(client, "holder").pid == before);
}

TEST_CASE("--timeout is the time of calls that set none") {
  Daemon daemon({.modules = {kHolder}, .flags = {"--timeout", "50ms"}});
  ipc::Client client = daemon.connect();
  CHECK(code_of(call(client, {"holder", "hold"})) == "deadline_exceeded");
}

TEST_CASE(
    "a call that is on the CPU at its deadline is deadline_exceeded with its stack, and the process is replaced") {
  Daemon daemon(
      {.modules =
           {{"spinner",
             "\nfunction spin() { while (true) {} }\nexports.spin = () => spin();\nexports.ping = () => 'pong';"}},
       .flags = {"--stretch", "1m"}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"spinner", "ping"})) == "\"pong\"");
  const auto before = worker_of(client, "spinner").pid;
  const auto error = error_of(call(client, {.module = "spinner", .function = "spin", .timeout = milliseconds(100)}));
  CHECK(error.code == ipc::ErrorCode::deadline_exceeded);
  CHECK(error.executed == Executed::maybe);
  CHECK(contains(error.stack, "spin (spinner-v1.js:2:"));
  CHECK(outcome(call(client, {"spinner", "ping"})) == "\"pong\"");
  CHECK(worker_of(client, "spinner").pid != before);
  CHECK(eventually([&] { return !is_running(before); }));
}

// --- overloaded ----------------------------------------------------------------------------------------------------

TEST_CASE("calls beyond --queue-limit are overloaded, and are told when to try again") {
  Daemon daemon({.modules = {kHolder, kEcho}, .flags = {"--max-workers", "1", "--queue-limit", "3"}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  calls.start({"holder", "hold"});
  REQUIRE(outcome(call(client, {"holder", "held"})) == "1");
  for (int i = 0; i < 5; ++i) calls.start({.module = "echo", .function = "echo", .timeout = milliseconds(2000)});
  for (std::size_t place : {4, 5}) {
    const auto error = error_of(calls.wait_for(place));
    CHECK(error.code == ipc::ErrorCode::overloaded);
    CHECK(error.executed == Executed::no);
    CHECK(error.retryable);
    CHECK(error.retry_after > milliseconds(0));
  }
  CHECK_FALSE(calls.is_answered(1));
  calls.cancel(0);
  for (std::size_t place : {1, 2, 3}) CHECK(code_of(calls.wait_for(place)) == "result");
}

TEST_CASE("calls of one client beyond --client-queue-limit are overloaded, and those of another wait") {
  Daemon daemon({.modules = {kHolder, kEcho}, .flags = {"--max-workers", "1", "--client-queue-limit", "3"}});
  ipc::Client client = daemon.connect();
  ipc::Client other = daemon.connect();
  Calls calls(client);
  Calls others(other);
  calls.start({"holder", "hold"});
  REQUIRE(outcome(call(client, {"holder", "held"})) == "1");
  for (int i = 0; i < 5; ++i) calls.start({"echo", "echo"});
  for (const std::size_t place : {4, 5}) {
    const auto error = error_of(calls.wait_for(place));
    CHECK(ipc::to_string(error.code) == "overloaded");
    CHECK(contains(error.message, "this client"));
    CHECK(error.executed == Executed::no);
    CHECK(error.retryable);
    CHECK(error.retry_after > milliseconds(0));
  }
  for (int i = 0; i < 3; ++i) others.start({"echo", "echo"});
  other.run_once(milliseconds(0));
  REQUIRE(eventually([&] { return stats_of(client, "echo").queued == 6; }));
  calls.cancel(0);
  for (const std::size_t place : {1, 2, 3}) CHECK(code_of(calls.wait_for(place)) == "result");
  others.wait_for_all();
  CHECK(others.count("result") == 3);
}

TEST_CASE("calls beyond --total-queue-limit are overloaded for any client and any module") {
  Daemon daemon({.modules = {kHolder, kEcho, {"third", "exports.ping = () => 'pong';"}},
                 .flags = {"--max-workers", "1", "--total-queue-limit", "3"}});
  ipc::Client client = daemon.connect();
  ipc::Client other = daemon.connect();
  Calls calls(client);
  calls.start({"holder", "hold"});
  REQUIRE(outcome(call(client, {"holder", "held"})) == "1");
  for (int i = 0; i < 3; ++i) calls.start({"echo", "echo"});
  REQUIRE(eventually([&] {
    client.run_once(milliseconds(0));
    return client.stats()->totals.queued == 3;
  }));
  const auto error = error_of(call(client, {"third", "ping"}));
  CHECK(ipc::to_string(error.code) == "overloaded");
  CHECK(error.executed == Executed::no);
  CHECK(error.retry_after > milliseconds(0));
  // The client with the most waiting calls gives up its last one for a client that has none.
  Calls of_other(other);
  of_other.start({"third", "ping"});
  other.run_once(milliseconds(0));
  CHECK(code_of(calls.wait_for(3)) == "overloaded");
  // A call that need not queue is served.
  CHECK(outcome(call(other, {"holder", "held"})).substr(0, 10) != "overloaded");
  calls.cancel(0);
  for (const std::size_t place : {1, 2}) CHECK(code_of(calls.wait_for(place)) == "result");
  CHECK(outcome(of_other.wait_for(0)) == "\"pong\"");
  CHECK(outcome(call(other, {"third", "ping"})) == "\"pong\"");
}

// --- cancelled -----------------------------------------------------------------------------------------------------

TEST_CASE("a call that is cancelled in the queue was not executed") {
  Daemon daemon({.modules = {kHolder, kEcho}, .flags = {"--max-workers", "1"}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  calls.start({"holder", "hold"});
  REQUIRE(outcome(call(client, {"holder", "held"})) == "1");
  const auto queued = calls.start({"echo", "echo"});
  calls.cancel(queued);
  const auto error = error_of(calls.wait_for(queued));
  CHECK(error.code == ipc::ErrorCode::cancelled);
  CHECK(error.executed == Executed::no);
}

TEST_CASE("a call that is cancelled while it waits for its promise may have been executed, and its process goes on") {
  Daemon daemon({.modules = {kHolder}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  calls.start({"holder", "hold"});
  REQUIRE(outcome(call(client, {"holder", "held"})) == "1");
  const auto before = worker_of(client, "holder").pid;
  calls.cancel(0);
  const auto error = error_of(calls.wait_for(0));
  CHECK(error.code == ipc::ErrorCode::cancelled);
  CHECK(error.executed == Executed::maybe);
  CHECK(outcome(call(client, {"holder", "held"})) == "1");
  CHECK(worker_of(client, "holder").pid == before);
  CHECK(worker_of(client, "holder").calls_in_flight == 0);
}

TEST_CASE("a call that is cancelled while it is on the CPU is answered at once, and its process is stopped") {
  Daemon daemon({.modules = {{"spinner", R"js(
      exports.spin = () => { console.log('begun'); return new Promise(() => setTimeout(() => { while (true) {} }, 0)); };
      exports.ping = () => 'pong';
  )js"}},
                 .flags = {"--stretch", "2s"}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"spinner", "ping"})) == "\"pong\"");
  const auto before = worker_of(client, "spinner").pid;
  Calls calls(client);
  calls.start({"spinner", "spin"});
  client.run_once(milliseconds(0));
  // A call that is cancelled before it has begun would not be executed.
  REQUIRE(daemon.logged("begun"));
  calls.cancel(0);
  CHECK(code_of(calls.wait_for(0)) == "cancelled");
  CHECK(eventually([&] { return !is_running(before); }));
  CHECK(outcome(call(client, {"spinner", "ping"})) == "\"pong\"");
}

TEST_CASE(
    "a cancelled call that stays on the CPU is stopped after the grace, whatever its stretch budget, and blocks "
    "nobody") {
  for (const std::string function : {"spin", "spinLater"}) {
    CAPTURE(function);
    Daemon daemon({.modules = {{"spinner", R"js(
        const spin = () => { while (true) {} };
        exports.spin = () => spin();
        exports.spinLater = () => new Promise(() => setTimeout(spin, 1));
        exports.ping = () => 'pong';
    )js"}},
                   .flags = {"--stretch", "1m"}});
    ipc::Client client = daemon.connect();
    CHECK(outcome(call(client, {"spinner", "ping"})) == "\"pong\"");
    const auto worker = worker_of(client, "spinner");
    Calls calls(client);
    calls.start({"spinner", function});
    // Wait until the call spins; until then it could still be given up.
    REQUIRE(eventually([&] { return worker_of(client, "spinner").cpu > worker.cpu + milliseconds(50); }));
    const auto behind = calls.start({"spinner", "ping"});
    calls.cancel(0);
    CHECK(code_of(calls.wait_for(0)) == "cancelled");
    // This is long before the budget is used up.
    CHECK(eventually([&] { return !is_running(worker.pid); }));
    CHECK(outcome(calls.wait_for(behind)) == "\"pong\"");
    CHECK(daemon.logged("did not give up a call"));
    daemon.stop();
  }
}

TEST_CASE("a call that answers after it was cancelled is not answered twice") {
  Daemon daemon({.modules = {{"late", R"js(
      let resolvers = [];
      exports.hold = (value) => new Promise((resolve) => resolvers.push(() => resolve(value)));
      exports.held = () => resolvers.length;
      exports.release = () => { for (const resolve of resolvers) resolve(); return resolvers.length; };
  )js"}}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  for (int i = 0; i < 20; ++i) calls.start({"late", "hold", "1"});
  REQUIRE(outcome(call(client, {"late", "held"})) == "20");
  for (std::size_t i = 0; i < 20; i += 2) calls.cancel(i);
  for (std::size_t i = 0; i < 20; i += 2) CHECK(code_of(calls.wait_for(i)) == "cancelled");
  CHECK(outcome(call(client, {"late", "release"})) == "20");
  calls.wait_for_all();
  CHECK(calls.count("result") == 10);
  CHECK(calls.order().size() == 20);
  CHECK(outcome(call(client, {"late", "release"})) == "20");  // a second answer would have ended the session
}

}  // namespace
}  // namespace holdfast::test
