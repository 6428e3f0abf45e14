// One client's calls that take long or never end may delay other clients of the same module only by a call or two.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/as_user.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

using std::chrono::milliseconds;

const Module kShared{"shared",
                     "exports.add = ({ a, b }) => a + b;"
                     "exports.spin = (ms) => { const end = Date.now() + ms; while (Date.now() < end); };"
                     "let runs = 0; exports.count = () => ++runs;"
                     "exports.never = () => new Promise(() => {});"
                     "let burned = 0; exports.burned = () => burned;"
                     "const burn = () => { ++burned; exports.spin(50); };"
                     "exports.burnWhenAborted = (_, context) => {"
                     "  context.signal.addEventListener('abort', burn); return exports.never(); };"
                     "exports.burnForEach = async function* () { for (;;) { yield 1; burn(); } };"
                     "exports.burnAndWait = () => { burn(); return exports.never(); };"
                     "exports.burnAgain = () => { setInterval(burn, 1); };"
                     "exports.burnLater = (times) => { while (times-- > 0) setTimeout(burn, 1); };"
                     "const messagesTo = (listener, count) => { const { port1, port2 } = new MessageChannel();"
                     "  port1.onmessage = listener; while (count-- > 0) port2.postMessage(0); };"
                     "exports.burnForMessages = (count) => messagesTo(burn, count);"
                     "addEventListener('unhandledrejection', (event) => {"
                     "  event.preventDefault(); if (event.reason !== burn) return; burn(); Promise.reject(burn); });"
                     "exports.burnForFailures = () => { Promise.reject(burn); };"
                     "exports.takeTurns = async () => {"
                     "  await new Promise((resolve) => setTimeout(resolve, 1));"
                     "  await new Promise((resolve) => messagesTo(resolve, 1)); return burned; };"
                     "exports.stopWhenAborted = (_, { signal }) => new Promise((resolve) => {"
                     "  signal.addEventListener('abort', resolve); });"
                     "exports.countUp = async function* () { for (let i = 1; i <= 3; ++i) yield i; };"};

constexpr milliseconds kNoHurry = std::chrono::minutes(5);

CallTo cheap() { return {.module = "shared", .function = "add", .payload = R"({"a":1,"b":2})", .timeout = kNoHurry}; }
CallTo dear() { return {.module = "shared", .function = "spin", .payload = "50", .timeout = kNoHurry}; }
CallTo burned() { return {.module = "shared", .function = "burned", .timeout = kNoHurry}; }
CallTo endless() { return {.module = "shared", .function = "never", .timeout = kNoHurry}; }

struct Strangers {
  explicit Strangers(std::optional<uid_t> bad_user = {})
      : daemon(
            {.modules = {kShared}, .flags = {"--socket-mode", "0666", "--direct-line", "--shutdown-timeout", "100ms"}}),
        good(daemon.connect()),
        bad([&] {
          REQUIRE(::chmod(daemon.folder()->path().c_str(), 0755) == 0);
          const As as(bad_user);
          return daemon.connect();
        }()),
        bad_calls(bad) {
    // Lets the supervisor learn that the module's calls are cheap.
    for (int i = 0; i < 200; ++i) REQUIRE(outcome(call(good, cheap())) == "3");
  }

  void start_bad(std::size_t count, const CallTo& to) {
    for (std::size_t i = 0; i < count; ++i) bad_calls.start(to);
    workers(bad);  // this answer shows that the supervisor has the calls
  }
  std::size_t bad_answers() {
    while (bad.run_once(milliseconds(0)) > 0) {
    }
    return bad_calls.order().size();
  }

  Daemon daemon;
  ipc::Client good;
  ipc::Client bad;
  Calls bad_calls;
};

TEST_CASE("a burst of dear calls to a module of cheap calls keeps other clients waiting only for a few of them") {
  for (const auto& bad_user : attackers()) {
    CAPTURE(bad_user.has_value());
    Strangers strangers(bad_user);
    strangers.start_bad(100, dear());
    CHECK(outcome(call(strangers.good, cheap())) == "3");
    CHECK(strangers.bad_answers() < 30);
    strangers.daemon.stop();
  }
}

TEST_CASE("calls that are taken back run once and report one attempt") {
  constexpr std::size_t kBursts = 20, kCalls = 50;
  Strangers strangers;
  Calls good_calls(strangers.good);
  for (std::size_t burst = 0; burst < kBursts; ++burst) {
    strangers.start_bad(2, dear());
    for (std::size_t i = 0; i < kCalls; ++i) {
      good_calls.start({.module = "shared", .function = "count", .timeout = kNoHurry});
    }
    strangers.good.run_once(milliseconds(0));
    if (burst % 4 == 3) good_calls.wait_for_all();
  }
  good_calls.wait_for_all();
  std::set<std::string> results;
  for (std::size_t i = 0; i < good_calls.size(); ++i) {
    results.insert(outcome(good_calls.answer(i)));
    CHECK(good_calls.answer(i).usage.attempts == 1);
  }
  CHECK(results.size() == kBursts * kCalls);
  CHECK(results.contains(std::to_string(kBursts * kCalls)));
  strangers.daemon.stop();
}

// The cost of an expensive call counts for its own client, however many other calls were on the worker in that time.
TEST_CASE("calls that only wait make nobody pay less for dear calls") {
  for (const auto& bad_user : attackers()) {
    CAPTURE(bad_user.has_value());
    Strangers strangers(bad_user);
    strangers.start_bad(80, endless());
    strangers.start_bad(60, dear());
    Calls good_calls(strangers.good);
    for (int i = 0; i < 200; ++i) good_calls.start(cheap());
    good_calls.wait_for_all();
    CHECK(good_calls.count("result") == 200);
    CHECK(strangers.bad_answers() < 30);
    strangers.daemon.stop();
  }
}

TEST_CASE("calls that never end leave places for others of the same user and of another user") {
  for (const auto& bad_user : attackers()) {
    CAPTURE(bad_user.has_value());
    Strangers strangers(bad_user);
    strangers.start_bad(500, endless());
    for (int i = 0; i < 20; ++i) CHECK(outcome(call(strangers.good, cheap())) == "3");
    CHECK(strangers.bad_answers() == 0);
    strangers.daemon.stop();
  }
}

TEST_CASE("dear calls that never end have no more turns than other calls") {
  for (const auto& bad_user : attackers()) {
    CAPTURE(bad_user.has_value());
    Strangers strangers(bad_user);
    strangers.start_bad(90, {.module = "shared", .function = "burnAndWait", .timeout = kNoHurry});
    for (int i = 0; i < 3; ++i) {
      CHECK(outcome(call(strangers.good, {"shared", "spin", "3", kNoHurry})) == "null");
    }
    CHECK(std::stoi(outcome(call(strangers.good, burned()))) < 30);
    strangers.daemon.stop();
  }
}

TEST_CASE("many timers that are due at once leave others their turns") {
  Strangers strangers;
  REQUIRE(outcome(call(strangers.bad, {"shared", "burnLater", "100", kNoHurry})) == "null");
  CHECK(outcome(call(strangers.good, cheap())) == "3");
  CHECK(std::stoi(outcome(call(strangers.good, burned()))) < 60);
  strangers.daemon.stop();
}

TEST_CASE("thousands of timers of a client that are due at once leave other clients their turns") {
  Strangers strangers;
  for (int i = 0; i < 8; ++i) {
    REQUIRE(outcome(call(strangers.bad, {"shared", "burnLater", "25000", kNoHurry})) == "null");
  }
  CHECK(std::stoi(outcome(call(strangers.good, {"shared", "takeTurns", "null", kNoHurry}))) < 30);
  strangers.daemon.stop();
}

TEST_CASE("timers and messages and streams and cancelled calls of a client do not wait for all of another client") {
  for (const std::string what : {"burnLater", "burnForMessages", "burnForFailures"}) {
    CAPTURE(what);
    Strangers strangers;
    Calls cancelled(strangers.good);
    const std::size_t place = cancelled.start({.module = "shared", .function = "stopWhenAborted", .timeout = kNoHurry});
    std::size_t chunks = 0;
    bool has_ended = false;
    const CallTo counts{.module = "shared", .function = "countUp", .timeout = kNoHurry};
    ipc::CallRequest request = counts.request();
    request.stream_window_bytes = 1;  // each value has to be granted
    REQUIRE(outcome(call(strangers.good, cheap())) == "3");
    REQUIRE(outcome(call(strangers.bad, {"shared", what, "100", kNoHurry})) == "null");

    CHECK(std::stoi(outcome(call(strangers.good, {"shared", "takeTurns", "null", kNoHurry}))) < 30);
    strangers.good.start(request, [&](const ipc::Answer&) { has_ended = true; },
                         {.on_chunk = [&](const ipc::Result&) { ++chunks; }});
    while (!has_ended) strangers.good.run_once();
    CHECK(chunks == 3);
    cancelled.cancel(place);
    cancelled.wait_for_all();
    CHECK(cancelled.count("cancelled") == 1);
    CHECK(std::stoi(outcome(call(strangers.good, burned()))) < 60);
    strangers.daemon.stop();
  }
}

// Starts the function, whose work goes on for ever in steps of 50 ms, and checks that other clients' calls are answered
// after a few steps.
void check_good_calls_beside(const std::string& function, std::optional<uid_t> bad_user = {}) {
  CAPTURE(function);
  CAPTURE(bad_user.has_value());
  Strangers strangers(bad_user);
  CHECK(outcome(call(strangers.bad, {"shared", function, "null", kNoHurry})) == "null");
  Calls good_calls(strangers.good);
  for (int i = 0; i < 200; ++i) good_calls.start(cheap());
  good_calls.wait_for_all();
  CHECK(good_calls.count("result") == 200);
  CHECK(std::stoi(outcome(call(strangers.good, burned()))) < 60);
  strangers.daemon.stop();
}

TEST_CASE("a timer that is slow each time leaves half of the time to calls as long as they come") {
  check_good_calls_beside("burnAgain");
}

TEST_CASE("failure listeners that fail for ever leave turns to other clients") {
  for (const auto& bad_user : attackers()) check_good_calls_beside("burnForFailures", bad_user);
}

TEST_CASE(
    "an endless sequence of calls with slow ones among them leaves turns to timers and messages of other clients") {
  constexpr std::size_t kOpen = 300, kMost = 10'000;
  Strangers strangers;
  Calls good_calls(strangers.good);
  std::size_t started = 0;
  const auto go_on = [&] {  // keeps the number of open calls
    const std::size_t answered = strangers.bad_answers();
    for (; started < answered + kOpen; ++started) {
      strangers.bad_calls.start({"shared", "spin", started % 30 == 0 ? "2" : "0", kNoHurry});
    }
    strangers.bad.run_once(milliseconds(1));
    return answered;
  };
  while (go_on() < 2 * kOpen) {
  }
  const std::size_t before = strangers.bad_answers();
  for (int i = 0; i < 5; ++i) {
    const std::size_t place = good_calls.start({"shared", "takeTurns", "null", kNoHurry});
    while (!good_calls.is_answered(place) && go_on() < kMost) strangers.good.run_once(milliseconds(0));
  }
  CHECK(strangers.bad_answers() - before < 2500);
  strangers.daemon.stop();
}

TEST_CASE("a timer that is slow each time leaves half of the time to calls on a direct line") {
  Strangers strangers;
  REQUIRE(strangers.good.open_line({"shared", "v1"}).has_value());
  CHECK(outcome(call(strangers.bad, {"shared", "burnAgain", "null", kNoHurry})) == "null");
  Calls good_calls(strangers.good);
  for (int i = 0; i < 100; ++i) good_calls.start({"shared", "spin", "2", kNoHurry});
  good_calls.wait_for_all();
  CHECK(good_calls.count("result") == 100);
  REQUIRE(strangers.good.has_line({"shared", "v1"}));
  CHECK(std::stoi(outcome(call(strangers.good, burned()))) < 50);
  strangers.daemon.stop();
}

TEST_CASE("many calls that clean up when they are cancelled at once leave others their turns") {
  Strangers strangers;
  strangers.start_bad(90, {.module = "shared", .function = "burnWhenAborted", .timeout = kNoHurry});
  for (int i = 0; i < 3; ++i) CHECK(outcome(call(strangers.good, cheap())) == "3");
  for (std::size_t place = 0; place < 90; ++place) strangers.bad_calls.cancel(place);
  strangers.bad.run_once(milliseconds(0));
  workers(strangers.bad);
  CHECK(outcome(call(strangers.good, cheap())) == "3");
  CHECK(std::stoi(outcome(call(strangers.good, burned()))) < 60);
  strangers.bad_calls.wait_for_all();
  CHECK(strangers.bad_calls.count("cancelled") == 90);
  CHECK(eventually([&] { return outcome(call(strangers.good, burned())) == "90"; }));
  strangers.daemon.stop();
}

TEST_CASE("many streams that are granted at once leave others their turns") {
  Strangers strangers;
  constexpr std::size_t kStreams = 90;
  std::size_t chunks = 0;
  const CallTo burns{.module = "shared", .function = "burnForEach", .timeout = kNoHurry};
  ipc::CallRequest request = burns.request();
  request.stream_window_bytes = 1;  // each value has to be granted
  for (std::size_t i = 0; i < kStreams; ++i) {
    strangers.bad.start(request, [](const ipc::Answer&) {}, {.on_chunk = [&](const ipc::Result&) { ++chunks; }});
  }
  strangers.bad.run_once(milliseconds(0));
  for (int i = 0; i < 3; ++i) CHECK(outcome(call(strangers.good, cheap())) == "3");
  while (chunks < kStreams) strangers.bad.run_once();
  workers(strangers.bad);  // this answer shows that the supervisor has the grants
  CHECK(outcome(call(strangers.good, cheap())) == "3");
  CHECK(std::stoi(outcome(call(strangers.good, burned()))) < 60);
  strangers.daemon.stop();
}

TEST_CASE("a burst of dear calls is taken back though its client has asked for a direct line after it") {
  Strangers strangers;
  for (int i = 0; i < 60; ++i) strangers.bad_calls.start(dear());
  REQUIRE(strangers.bad.open_line({"shared", "v1"}).has_value());
  CHECK(outcome(call(strangers.good, cheap())) == "3");
  CHECK(strangers.bad_answers() < 30);
  strangers.daemon.stop();
}

// Returns how many of one client's expensive calls on a direct line are answered before `relayed` relayed calls of
// another client are.
std::size_t line_calls_beside(Strangers& strangers, std::size_t relayed) {
  REQUIRE(strangers.bad.open_line({"shared", "v1"}).has_value());
  for (int i = 0; i < 60; ++i) strangers.bad_calls.start(dear());
  strangers.bad.run_once(milliseconds(0));
  Calls good_calls(strangers.good);
  for (std::size_t i = 0; i < relayed; ++i) good_calls.start(cheap());
  good_calls.wait_for_all();
  CHECK(good_calls.count("result") == relayed);
  return strangers.bad_answers();
}

TEST_CASE("dear calls on a direct line leave half of the worker time to the other calls of the module") {
  Strangers strangers;
  CHECK(line_calls_beside(strangers, 200) < 30);
  strangers.daemon.stop();
}

TEST_CASE("dear calls on a direct line leave half of the worker where the supervisor sends one call at a time") {
  Strangers strangers;
  // The module's calls are expensive, so a worker has one of them at a time.
  for (int i = 0; i < 40; ++i) REQUIRE(outcome(call(strangers.bad, {"shared", "spin", "20", kNoHurry})) == "null");
  CHECK(line_calls_beside(strangers, 20) < 18);
  strangers.daemon.stop();
}

TEST_CASE("cheap calls that are relayed one by one leave half of the worker time to dear calls on a direct line") {
  Strangers strangers;
  REQUIRE(strangers.good.open_line({"shared", "v1"}).has_value());
  Calls good_calls(strangers.good);
  for (int i = 0; i < 200; ++i) good_calls.start(dear());
  strangers.good.run_once(milliseconds(0));
  for (int i = 0; i < 200; ++i) {
    CHECK(outcome(call(strangers.bad, cheap())) == "3");
    std::this_thread::sleep_for(milliseconds(5));
  }
  while (strangers.good.run_once(milliseconds(0)) > 0) {
  }
  CHECK(good_calls.order().size() > 5);
  strangers.daemon.stop();
}

}  // namespace
}  // namespace holdfast::test
