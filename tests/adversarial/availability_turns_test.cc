// What one client can do to others of the same module by calls that take long or never end: keep them waiting for a
// call or two.
#include <sys/stat.h>

#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/as_user.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::test {
namespace {

using std::chrono::milliseconds;

const Module kShared{"shared",
                     "exports.add = ({ a, b }) => a + b;"
                     "exports.spin = (ms) => { const end = Date.now() + ms; while (Date.now() < end); };"
                     "exports.never = () => new Promise(() => {});"};

constexpr milliseconds kNoHurry = std::chrono::minutes(5);

CallTo cheap() { return {.module = "shared", .function = "add", .payload = R"({"a":1,"b":2})", .timeout = kNoHurry}; }
CallTo dear() { return {.module = "shared", .function = "spin", .payload = "50", .timeout = kNoHurry}; }
CallTo endless() { return {.module = "shared", .function = "never", .timeout = kNoHurry}; }

struct Strangers {
  explicit Strangers(std::optional<uid_t> bad_user)
      : daemon({.modules = {kShared}, .flags = {"--socket-mode", "0666"}}),
        good(daemon.connect()),
        bad([&] {
          REQUIRE(::chmod(daemon.folder()->path().c_str(), 0755) == 0);
          const As as(bad_user);
          return daemon.connect();
        }()),
        bad_calls(bad) {
    // The module's calls are known to be cheap.
    for (int i = 0; i < 200; ++i) REQUIRE(outcome(call(good, cheap())) == "3");
  }

  void start_bad(std::size_t count, const CallTo& to) {
    for (std::size_t i = 0; i < count; ++i) bad_calls.start(to);
    workers(bad);  // its answer says that the supervisor has the calls
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

TEST_CASE("a burst of dear calls to a module whose calls were cheap keeps others waiting for a few of them") {
  for (const auto& bad_user : attackers()) {
    CAPTURE(bad_user.has_value());
    Strangers strangers(bad_user);
    strangers.start_bad(100, dear());
    CHECK(outcome(call(strangers.good, cheap())) == "3");
    CHECK(strangers.bad_answers() < 30);
    strangers.daemon.stop();
  }
}

// What a dear call cost is its own client's, however many other calls were on the worker meanwhile.
TEST_CASE("calls that only wait make nobody's dear calls cheaper") {
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

TEST_CASE("calls that never end leave places for others, of the same user and of another") {
  for (const auto& bad_user : attackers()) {
    CAPTURE(bad_user.has_value());
    Strangers strangers(bad_user);
    strangers.start_bad(500, endless());
    for (int i = 0; i < 20; ++i) CHECK(outcome(call(strangers.good, cheap())) == "3");
    CHECK(strangers.bad_answers() == 0);
    strangers.daemon.stop();
  }
}

TEST_CASE("dear calls on a direct line leave half of the worker's time to the module's other calls") {
  Daemon daemon({.modules = {kShared}, .flags = {"--direct-line"}});
  ipc::Client good = daemon.connect();
  ipc::Client bad = daemon.connect();
  for (int i = 0; i < 200; ++i) REQUIRE(outcome(call(good, cheap())) == "3");
  REQUIRE(bad.open_line({"shared", "v1"}).has_value());
  Calls bad_calls(bad);
  for (int i = 0; i < 60; ++i) bad_calls.start(dear());
  bad.run_once(milliseconds(0));
  Calls good_calls(good);
  for (int i = 0; i < 200; ++i) good_calls.start(cheap());
  good_calls.wait_for_all();
  CHECK(good_calls.count("result") == 200);
  while (bad.run_once(milliseconds(0)) > 0) {
  }
  CHECK(bad_calls.order().size() < 30);
  daemon.stop();
}

}  // namespace
}  // namespace holdfast::test
