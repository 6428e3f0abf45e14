// A module that fails again and again is left alone for a while: its callers are told so at once, and nobody else
// notices.
#include <filesystem>
#include <signal.h>

#include <doctest/doctest.h>

#include "tests/integration/modules.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

const Module kGood{"patient", "exports.ping = () => 'pong';"};

// Calls until the answer is one that did not cost a worker, and is not to be tried again before this time; each failure
// doubles that. Fails the test if there is none.
ipc::Error held_off(ipc::Client& client, const CallTo& to, milliseconds at_least = milliseconds(1)) {
  ipc::Answer answer;
  REQUIRE(eventually([&] {
    answer = call(client, to);
    return !answer && answer.error().retry_after >= at_least;
  }));
  return answer.error();
}

void check_answered_without_worker(ipc::Client& client, const CallTo& to) {
  const auto before = stats_of(client, to.module);
  const ipc::Answer answer = call(client, to);
  CHECK(error_of(answer).retry_after > milliseconds(0));
  CHECK(error_of(answer).executed == ipc::Executed::no);
  CHECK(answer.usage == ipc::Usage{});
  const auto after = stats_of(client, to.module);
  CHECK(after.cold_starts == before.cold_starts);
  CHECK(after.refused == before.refused + 1);
}

TEST_CASE("a module whose every call loops is held off: unavailable at once, with the reason, and others are served") {
  Daemon daemon(
      {.modules = {{"patient", "exports.ping = () => 'pong'; exports.spin = () => { while (true) {} };"}, kEcho},
       .flags = {"--stretch", "20ms"},
       .holds_off = true});
  ipc::Client client = daemon.connect();
  for (int i = 0; i < 3; ++i) CHECK(code_of(call(client, {"patient", "spin"})) == "cpu_exceeded");
  const auto error = held_off(client, {"patient", "spin"}, milliseconds(500));
  CHECK(ipc::to_string(error.code) == "unavailable");
  CHECK(error.detail == "held_off");
  CHECK(error.executed == ipc::Executed::no);
  CHECK(error.retryable);
  CHECK(contains(error.message, "ran for more than 20ms"));
  CHECK(contains(error.message, "tried again in"));
  check_answered_without_worker(client, {"patient", "ping"});
  const auto stats = stats_of(client, "patient");
  CHECK(stats.held_off > milliseconds(0));
  CHECK(contains(stats.held_off_reason, "ran for more than 20ms"));

  CHECK(outcome(call(client, {"echo", "echo", "7"})) == "7");
  CHECK(stats_of(client, "echo").held_off.count() == 0);
  // By itself, when its time has come.
  CHECK(eventually([&] { return outcome(call(client, {"patient", "ping"})) == "\"pong\""; }));
  CHECK(stats_of(client, "patient").held_off.count() == 0);
  CHECK(outcome(call(client, {"patient", "ping"})) == "\"pong\"");
  daemon.stop();
}

TEST_CASE("a module that has been well again is given the benefit of the doubt") {
  Daemon daemon({.modules = {{"patient", "exports.ping = () => 'pong'; exports.spin = () => { while (true) {} };"}},
                 .flags = {"--stretch", "20ms"},
                 .holds_off = true});
  ipc::Client client = daemon.connect();
  held_off(client, {"patient", "spin"});
  REQUIRE(eventually([&] { return outcome(call(client, {"patient", "ping"})) == "\"pong\""; }));
  for (int i = 0; i < 120; ++i) REQUIRE(outcome(call(client, {"patient", "ping"})) == "\"pong\"");
  CHECK(code_of(call(client, {"patient", "spin"})) == "cpu_exceeded");
  CHECK(outcome(call(client, {"patient", "ping"})) == "\"pong\"");
  daemon.stop();
}

TEST_CASE("a module whose workers are killed from outside is not held off") {
  Daemon daemon({.modules = {kGood}, .holds_off = true});
  ipc::Client client = daemon.connect();
  for (int i = 0; i < 10; ++i) {
    REQUIRE(outcome(call(client, {"patient", "ping"})) == "\"pong\"");
    ::kill(worker_of(client, "patient").pid, SIGKILL);
  }
  CHECK(outcome(call(client, {"patient", "ping"})) == "\"pong\"");
  daemon.stop();
}

// A module that cannot be loaded is held off; when its file is mended, its next call is served.
void check_mended(const std::string& broken, const std::string& reason, const std::string& detail_or_stack) {
  CAPTURE(broken);
  Daemon daemon({.modules = {{"patient", broken}, kEcho}, .holds_off = true});
  ipc::Client client = daemon.connect();
  const auto first = error_of(call(client, {"patient", "ping"}));
  CHECK(ipc::to_string(first.code) == "load_failed");
  CHECK(first.retry_after == milliseconds(0));
  const auto error = held_off(client, {"patient", "ping"}, milliseconds(1000));
  CHECK(ipc::to_string(error.code) == "load_failed");
  CHECK(error.executed == ipc::Executed::no);
  CHECK(error.retryable);
  CHECK(contains(error.message, reason));
  CHECK(contains(error.message, "tried again in"));
  CHECK(contains(error.stack + error.detail, detail_or_stack));
  check_answered_without_worker(client, {"patient", "ping"});
  CHECK(outcome(call(client, {"echo", "echo", "7"})) == "7");

  daemon.add_module(kGood);
  REQUIRE(daemon.logged("patient@v1: its content has changed"));
  CHECK(outcome(call(client, {"patient", "ping"})) == "\"pong\"");
  CHECK(stats_of(client, "patient").held_off.count() == 0);
  daemon.stop();
}

TEST_CASE("a module that cannot be loaded is load_failed at once after some failures, until its file is mended") {
  check_mended("\nthrow new Error('no database');", "no database", "patient-v1.js:2");
  check_mended("exports.ping = () => {;", "SyntaxError", "patient-v1.js");
}

TEST_CASE("a module whose top level never ends is load_failed at once after some failures, until its file is mended") {
  Daemon daemon({.modules = {{"patient", "while (true) {}"}}, .flags = {"--stretch", "20ms"}, .holds_off = true});
  ipc::Client client = daemon.connect();
  const auto error = held_off(client, {"patient", "ping"}, milliseconds(1000));
  CHECK(ipc::to_string(error.code) == "load_failed");
  CHECK(contains(error.message, "top level"));
  CHECK(error.detail == "cpu_exceeded");
  daemon.add_module(kGood);
  REQUIRE(daemon.logged("patient@v1: its content has changed"));
  CHECK(outcome(call(client, {"patient", "ping"})) == "\"pong\"");
  daemon.stop();
}

TEST_CASE("a file that is put back is found at once, however often its module was asked for meanwhile") {
  Daemon daemon({.modules = {kGood}, .holds_off = true});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"patient", "ping"})) == "\"pong\"");
  const fs::path file = daemon.folder()->path() / "modules/patient-v1.js";
  fs::rename(file, file.string() + ".away");
  REQUIRE(daemon.logged("patient@v1: its file cannot be read any more"));
  const auto error = held_off(client, {"patient", "ping"}, milliseconds(2000));
  CHECK(ipc::to_string(error.code) == "not_found");
  fs::rename(file.string() + ".away", file);
  // Sooner than it would be tried again by itself: that takes longer each time.
  CHECK(eventually([&] { return stats_of(client, "patient").held_off.count() == 0; }, error.retry_after / 2));
  CHECK(outcome(call(client, {"patient", "ping"})) == "\"pong\"");
  daemon.stop();
}

TEST_CASE("calls that wait when their module is held off are served when it is tried again") {
  Daemon daemon({.modules = {{"patient", "exports.echo = (value) => value; exports.spin = () => { while (true) {} };"}},
                 .flags = {"--stretch", "20ms"},
                 .holds_off = true});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  for (int i = 0; i < 6; ++i) calls.start({"patient", "spin"});
  const auto behind = calls.start({"patient", "echo", "7"});
  calls.wait_for_all();
  CHECK(outcome(calls.answer(behind)) == "7");
  CHECK(calls.count("cpu_exceeded") == 6);
  daemon.stop();
}

}  // namespace
}  // namespace holdfast::test
