// Settings that change while a supervisor serves: the effect of SIGHUP on modules, workers and calls.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>

#include "tests/integration/modules.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/program.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

const Module kModule{"changing", R"js(
    let resolve;
    exports.ping = () => 'pong';
    exports.wait = () => new Promise((done) => { resolve = done; console.log('waiting'); });
    exports.release = () => { resolve('waited'); return 'released'; };
    exports.hold = () => new Promise(() => {});
    exports.spin = (ms) => { const end = Date.now() + ms; while (Date.now() < end) {} return ms; };
    exports.late = (ms) => new Promise((done) => setTimeout(() => done('late'), ms));
    exports.fill = (megabytes) => {
      const all = [];
      for (let i = 0; i < megabytes; i++) all.push(new Array((1 << 20) / 8).fill(1.5));
      return all.length;
    };
)js"};

struct Reloaded {
  explicit Reloaded(const std::string& settings, std::vector<std::string> flags = {})
      : file(folder.write("settings.toml", settings)), daemon(options(std::move(flags))) {}

  DaemonOptions options(std::vector<std::string> flags) const {
    flags.insert(flags.end(), {"--config", file});
    return {.modules = {kModule, kEcho}, .flags = std::move(flags)};
  }
  // Writes the settings, sends SIGHUP, and waits for the log's next line about it.
  void reload(const std::string& settings, const std::string& expected = "settings reloaded from") {
    const std::size_t before = occurrences(daemon.log(), expected);
    fs::rename(folder.write("next.toml", settings), file);
    daemon.signal(SIGHUP);
    REQUIRE(eventually([&] { return occurrences(daemon.log(), expected) > before; }));
  }
  ipc::Answer ask(const std::string& function, const std::string& payload = "null") {
    return call(client, {"changing", function, payload});
  }

  TemporaryFolder folder;
  fs::path file;
  Daemon daemon;
  ipc::Client client = daemon.connect();
};

TEST_CASE("changed memory and stretch hold from the next call on, and a call in flight ends well under the old ones") {
  Reloaded given("[module.changing]\nmemory = \"128MB\"\nstretch = \"1m\"\n");
  REQUIRE(outcome(given.ask("ping")) == "\"pong\"");
  const pid_t before = worker_of(given.client, "changing").pid;
  Calls calls(given.client);
  const auto open = calls.start({"changing", "late", "1500"});
  REQUIRE(outcome(given.ask("ping")) == "\"pong\"");
  // The stretch is longer too, as filling the memory takes time.
  given.reload("[module.changing]\nmemory = \"32MB\"\nstretch = \"1m\"\n");
  CHECK(contains(outcome(given.ask("fill", "60")), "32MB"));
  given.reload("[module.changing]\nmemory = \"32MB\"\nstretch = \"200ms\"\n");
  CHECK(contains(outcome(given.ask("spin", "20000")), "200ms"));
  CHECK(outcome(given.ask("ping")) == "\"pong\"");
  CHECK(outcome(calls.wait_for(open)) == "\"late\"");
  CHECK(eventually([&] { return !is_running(before); }));
  given.reload("[module.changing]\nmemory = \"128MB\"\nstretch = \"1m\"\n");
  CHECK(outcome(given.ask("fill", "60")) == "60");
  CHECK(outcome(given.ask("spin", "400")) == "400");
  given.daemon.stop();
}

TEST_CASE("settings that are no limit of a process change without replacing it") {
  Reloaded given("");
  REQUIRE(outcome(given.ask("ping")) == "\"pong\"");
  const pid_t before = worker_of(given.client, "changing").pid;
  Calls calls(given.client);
  const auto open = calls.start({"changing", "wait"});
  given.client.run_once(milliseconds(0));
  REQUIRE(given.daemon.logged("waiting"));
  given.reload(
      "[module.changing]\ntimeout = \"50ms\"\nqueue_limit = 1\nmax_retries = 0\nweight = 5\nconcurrency = 2\n");
  CHECK(code_of(given.ask("hold")) == "deadline_exceeded");
  CHECK(worker_of(given.client, "changing").pid == before);
  CHECK(outcome(given.ask("release")) == "\"released\"");
  CHECK(outcome(calls.wait_for(open)) == "\"waited\"");
  CHECK(worker_of(given.client, "changing").pid == before);
  given.daemon.stop();
}

TEST_CASE("settings that change nothing for a module leave its process alone") {
  Reloaded given("[module.changing]\nmemory = \"64MB\"\n");
  REQUIRE(outcome(given.ask("ping")) == "\"pong\"");
  const pid_t before = worker_of(given.client, "changing").pid;
  given.reload("[module.changing]\nmemory = \"64MB\"\n[module.echo]\nmemory = \"64MB\"\n");
  CHECK(outcome(given.ask("ping")) == "\"pong\"");
  CHECK(worker_of(given.client, "changing").pid == before);
  given.daemon.stop();
}

TEST_CASE("a shorter idle_timeout holds for processes that are idle already") {
  Reloaded given("[module.changing]\nidle_timeout = \"1h\"\n");
  REQUIRE(outcome(given.ask("ping")) == "\"pong\"");
  given.reload("[module.changing]\nidle_timeout = \"10ms\"\n");
  CHECK(workers_become(given.client, [](const auto& all) {
    return std::none_of(all.begin(), all.end(), [](const auto& worker) { return worker.module == "changing"; });
  }));
  given.daemon.stop();
}

TEST_CASE("a new min_warm starts a process and a removed one lets it go") {
  Reloaded given("");
  const auto warm = [](std::size_t count) {
    return [count](const std::vector<ipc::WorkerInfo>& all) {
      return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), [](const auto& worker) {
               return worker.module == "changing" && worker.state == ipc::WorkerState::idle;
             })) == count;
    };
  };
  given.reload("[module.\"changing@v1\"]\nmin_warm = 2\nmax_instances = 2\nidle_timeout = \"10ms\"\n");
  CHECK(workers_become(given.client, warm(2)));
  given.reload("[module.\"changing@v1\"]\nmin_warm = 1\nmax_instances = 1\nidle_timeout = \"10ms\"\n");
  CHECK(workers_become(given.client, warm(1)));
  given.reload("[module.\"changing@v1\"]\nidle_timeout = \"10ms\"\n");
  CHECK(workers_become(given.client, warm(0)));
  CHECK(outcome(given.ask("ping")) == "\"pong\"");
  given.daemon.stop();
}

TEST_CASE("more memory than holdfastd was started for is refused in the log, and nothing of that file takes effect") {
  Reloaded given("[module.changing]\nmemory = \"32MB\"\n", {"--memory", "64MB", "--stretch", "1m"});
  REQUIRE(outcome(given.ask("ping")) == "\"pong\"");
  const pid_t before = worker_of(given.client, "changing").pid;
  given.reload("[module.changing]\nmemory = \"48MB\"\ntimeout = \"50ms\"\n[module.echo]\nmemory = \"65MB\"\n",
               "workers were started for at most 64MB; restart to change that; the settings are unchanged");
  CHECK_FALSE(contains(given.daemon.log(), "settings reloaded"));
  CHECK(outcome(given.ask("late", "200")) == "\"late\"");
  CHECK(worker_of(given.client, "changing").pid == before);
  const std::string filled = outcome(given.ask("fill", "60"));
  CAPTURE(filled);
  CHECK(contains(filled, "32MB"));
  // Settings within that limit are accepted.
  given.reload("[module.changing]\nmemory = \"64MB\"\n[module.echo]\nmemory = \"64MB\"\n");
  CHECK(outcome(given.ask("fill", "40")) == "40");
  given.daemon.stop();
}

TEST_CASE("a flood of reloads under load drops no call") {
  Reloaded given("");
  Calls calls(given.client);
  constexpr std::size_t kRounds = 10;
  constexpr std::size_t kCalls = 30;
  for (std::size_t round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < kCalls; ++i) calls.start({"changing", "late", "5"});
    given.client.run_once(milliseconds(0));
    given.reload(fmt::format("[module.changing]\nmemory = \"{}MB\"\nmax_instances = {}\n", 32 + round, 1 + round % 3));
  }
  calls.wait_for_all();
  CHECK(calls.count("result") == kRounds * kCalls);
  given.daemon.stop();
}

}  // namespace
}  // namespace holdfast::test
