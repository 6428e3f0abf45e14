// A module that fails repeatedly through no call's fault is held off for a while: its callers get an error at once, and
// other modules are not affected. A client whose calls kill workers is paused, and affects no other client.
#include <doctest/doctest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>

#include "tests/integration/modules.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

const Module kGood{"patient", "exports.ping = () => 'pong';"};

// Repeats the call until it fails with a retry_after of at least this, which shows that it cost no worker. Each failure
// doubles retry_after. Fails the test if that does not happen.
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

const Module kLooping{"patient", "exports.echo = (value) => value; exports.spin = () => { while (true) {} };"};

// Makes calls that kill their workers until one is refused, and returns its error.
ipc::Error paused(ipc::Client& client) {
  ipc::Answer answer;
  REQUIRE(eventually([&] {
    answer = call(client, {.module = "patient", .function = "spin", .timeout = milliseconds(200)});
    return !answer && ipc::to_string(answer.error().code) == "overloaded";
  }));
  return answer.error();
}

TEST_CASE("a client whose calls kill their workers is refused with the reason; its module is not held off") {
  Daemon daemon({.modules = {kLooping, kEcho}, .flags = {"--stretch", "20ms"}, .holds_off = true});
  ipc::Client guilty = daemon.connect();
  ipc::Client other = daemon.connect();
  for (int i = 0; i < 3; ++i) CHECK(code_of(call(guilty, {"patient", "spin"})) == "cpu_exceeded");
  const auto error = paused(guilty);
  CHECK(error.detail == "client_paused");
  CHECK(error.executed == ipc::Executed::no);
  CHECK(error.retryable);
  CHECK(error.retry_after > milliseconds(0));
  CHECK(contains(error.message, "calls of this client to patient@v1 killed"));
  CHECK(contains(error.message, "workers lately"));
  CHECK(stats_of(other, "patient").held_off.count() == 0);
  CHECK(stats_of(other, "patient").held_off_reason.empty());
  // Served: another connection of the same user, and the guilty client's calls to another module.
  CHECK(outcome(call(other, {"patient", "echo", "7"})) == "7");
  CHECK(outcome(call(guilty, {"echo", "echo", "7"})) == "7");
  daemon.stop();
}

TEST_CASE("a client that is paused is served when its pause is over, in its order") {
  Daemon daemon({.modules = {kLooping}, .flags = {"--stretch", "20ms"}, .holds_off = true});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  for (int i = 0; i < 6; ++i) calls.start({"patient", "spin"});
  const auto behind = calls.start({"patient", "echo", "7"});
  calls.wait_for_all();
  CHECK(outcome(calls.answer(behind)) == "7");
  CHECK(calls.count("cpu_exceeded") == 6);
  daemon.stop();
}

const Module kSometimes{"patient", "exports.spin = (loop) => { while (loop) {} return 7; }; exports.echo = (x) => x;"};

TEST_CASE("after enough answers a client that killed workers shares a worker with others again") {
  Daemon daemon({.modules = {kSometimes}, .flags = {"--stretch", "20ms"}, .holds_off = true});
  ipc::Client client = daemon.connect();
  ipc::Client other = daemon.connect();
  CHECK(code_of(call(client, {"patient", "spin", "true"})) == "cpu_exceeded");
  CHECK(outcome(call(client, {"patient", "spin", "false"})) == "7");
  CHECK(outcome(call(other, {"patient", "spin", "false"})) == "7");
  CHECK(stats_of(other, "patient").instances == 2);
  // Answers alone are not enough: nine times the cost of the kill has to pass. After that both clients share a worker,
  // which then does more than one call.
  CHECK(eventually([&] {
    for (int i = 0; i < 120; ++i) REQUIRE(outcome(call(client, {"patient", "spin", "false"})) == "7");
    const auto all = workers(other);
    return std::ranges::all_of(all, [](const auto& one) { return one.module != "patient" || one.calls_done > 1; });
  }));
  daemon.stop();
}

TEST_CASE("a client whose calls of one function killed a worker shares a worker with others for its other functions") {
  Daemon daemon({.modules = {kSometimes}, .flags = {"--stretch", "20ms"}, .holds_off = true});
  ipc::Client client = daemon.connect();
  ipc::Client other = daemon.connect();
  CHECK(code_of(call(client, {"patient", "spin", "true"})) == "cpu_exceeded");
  CHECK(outcome(call(client, {"patient", "echo", "7"})) == "7");
  CHECK(outcome(call(other, {"patient", "echo", "7"})) == "7");
  CHECK(stats_of(other, "patient").instances == 1);
  daemon.stop();
}

TEST_CASE("a kill by a cancelled call of a direct line counts for its client and does not hold off the module") {
  // V8 cannot interrupt this function, so it leaves no fatal report.
  Daemon daemon({.modules = {{"patient",
                              "exports.echo = (value) => value;"
                              "const work = async () => {"
                              "  const key = await crypto.subtle.importKey('raw', new Uint8Array(16), 'PBKDF2', false,"
                              "                                            ['deriveBits']);"
                              "  return crypto.subtle.deriveBits({ name: 'PBKDF2', hash: 'SHA-256',"
                              "    salt: new Uint8Array(16), iterations: 2e9 }, key, 256); };"
                              "exports.hang = (_, { signal }) => { console.log('begun');"
                              "  signal.addEventListener('abort', work); return new Promise(() => {}); };"}},
                 .flags = {"--stretch", "100ms", "--direct-line"},
                 .holds_off = true});
  ipc::Client other = daemon.connect();
  for (std::size_t kills = 1; kills <= 6; ++kills) {
    {
      ipc::Client client = daemon.connect();
      if (!client.open_line({"patient", "v1"}).has_value()) break;
      Calls calls(client);
      calls.start({"patient", "hang"});
      REQUIRE(eventually([&] {
        client.run_once(milliseconds(0));
        return occurrences(daemon.log(), "begun") == kills;
      }));
    }
    REQUIRE(eventually([&] { return occurrences(daemon.log(), "patient@v1: worker ended") == kills; }));
  }
  CHECK(occurrences(daemon.log(), "patient@v1: worker ended") > 2);
  CHECK(outcome(call(other, {"patient", "echo", "7"})) == "7");
  daemon.stop();
}

TEST_CASE("a module that dies between its calls without having answered any is held off, with the reason") {
  // The top level leaves a timer behind that ends the worker.
  Daemon daemon({.modules = {{"patient",
                              "setTimeout(() => { while (true) {} }, 0);"
                              "exports.wait = () => new Promise(() => {});"},
                             kEcho},
                 .flags = {"--stretch", "20ms"},
                 .holds_off = true});
  ipc::Client client = daemon.connect();
  const auto error = held_off(client, {"patient", "wait"}, milliseconds(500));
  CHECK(ipc::to_string(error.code) == "unavailable");
  CHECK(error.detail == "held_off");
  CHECK(error.executed == ipc::Executed::no);
  CHECK(error.retryable);
  CHECK(contains(error.message, "ran for more than 20ms"));
  CHECK(contains(error.message, "tried again in"));
  check_answered_without_worker(client, {"patient", "wait"});
  const auto stats = stats_of(client, "patient");
  CHECK(stats.held_off > milliseconds(0));
  CHECK(contains(stats.held_off_reason, "ran for more than 20ms"));
  CHECK(outcome(call(client, {"echo", "echo", "7"})) == "7");
  CHECK(stats_of(client, "echo").held_off.count() == 0);
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

// Checks that a module that cannot be loaded is held off, and that its next call is served once its file is repaired.
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

TEST_CASE("a module that cannot be loaded is load_failed at once after some failures until its file is repaired") {
  check_mended("\nthrow new Error('no database');", "no database", "patient-v1.js:2");
  check_mended("exports.ping = () => {;", "SyntaxError", "patient-v1.js");
}

TEST_CASE("a module whose top level never ends is load_failed at once after some failures until its file is repaired") {
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

TEST_CASE("a restored file is found at once however often its module was called in the meantime") {
  Daemon daemon({.modules = {kGood}, .holds_off = true});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"patient", "ping"})) == "\"pong\"");
  const fs::path file = daemon.folder()->path() / "modules/patient-v1.js";
  fs::rename(file, file.string() + ".away");
  REQUIRE(daemon.logged("patient@v1: its file cannot be read any more"));
  const auto error = held_off(client, {"patient", "ping"}, milliseconds(2000));
  CHECK(ipc::to_string(error.code) == "not_found");
  fs::rename(file.string() + ".away", file);
  // The supervisor would retry by itself only later, as each failure lengthens the wait.
  CHECK(eventually([&] { return stats_of(client, "patient").held_off.count() == 0; }, error.retry_after / 2));
  CHECK(outcome(call(client, {"patient", "ping"})) == "\"pong\"");
  daemon.stop();
}

TEST_CASE("calls that wait when their module is held off are served when it is tried again") {
  Daemon daemon({.modules = {kEcho}, .flags = {"--stretch", "20ms", "--max-retries", "10"}, .holds_off = true});
  ipc::Client client = daemon.connect();
  // Until this time the module's workers die of what their top level leaves behind.
  const auto well_at = std::chrono::system_clock::now() + milliseconds(1000);
  const auto millis = std::chrono::duration_cast<milliseconds>(well_at.time_since_epoch()).count();
  daemon.add_module({"patient", "const well = Date.now() > " + std::to_string(millis) +
                                    "; if (!well) setTimeout(() => { while (true) {} }, 0);"
                                    "exports.ping = () => well ? 'pong' : new Promise(() => {});"});
  CHECK(outcome(call(client, {.module = "patient", .function = "ping", .idempotent = true})) == "\"pong\"");
  CHECK(stats_of(client, "patient").held_off.count() == 0);
  daemon.stop();
}

}  // namespace
}  // namespace holdfast::test
