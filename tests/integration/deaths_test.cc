// Processes that die or are killed at any time: each call gets exactly one answer, and later calls are served.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

using std::chrono::milliseconds;

const std::vector<Module> kModules = {
    {"one",
     "exports.echo = (payload) => payload; exports.wait = (payload) => new Promise((resolve) => setTimeout(resolve, 1, "
     "payload));"},
    {"two",
     "exports.echo = (payload) => payload; exports.wait = (payload) => new Promise((resolve) => setTimeout(resolve, 1, "
     "payload));"},
};

// The running zygote's pid, or 0 if there is none at the moment.
pid_t zygote_or_none(const Daemon& daemon) {
  for (pid_t launcher : children_of(daemon.broker())) {
    for (pid_t zygote : children_of(launcher)) return zygote;
  }
  return 0;
}

// Keeps calls to both modules in flight, does `deed` `times` times, and checks that each call was answered: with the
// right result, or as lost with its worker. Afterwards everything must work again.
void check_under_load(Daemon& daemon, const std::function<void(ipc::Client&)>& deed, int times) {
  ipc::Client client = daemon.connect();
  ipc::Client observer = daemon.connect();
  CHECK(outcome(call(client, {"one", "echo", "1"})) == "1");
  CHECK(outcome(call(client, {"two", "echo", "1"})) == "1");
  Calls calls(client);
  constexpr std::size_t kInFlight = 64;
  constexpr std::size_t kCallsBetween = 300;
  for (int time = 0; time <= times; ++time) {
    const std::size_t until = calls.size() + kCallsBetween;
    while (calls.size() < until) {
      while (client.open_calls() < kInFlight) {
        const std::size_t i = calls.size();
        calls.start({i % 2 == 0 ? "one" : "two", i % 3 == 0 ? "wait" : "echo", std::to_string(i)});
      }
      client.run_once();
    }
    if (time < times) deed(observer);
  }
  calls.wait_for_all();
  CHECK(client.connected());
  CHECK(calls.order().size() == calls.size());
  std::size_t results = 0;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const ipc::Answer& answer = calls.answer(i);
    if (answer) {
      CHECK(answer->payload == std::to_string(i));
      ++results;
    } else {
      CAPTURE(answer.error().message);
      CHECK(ipc::to_string(answer.error().code) == "worker_crashed");
      CHECK(answer.error().retryable);
    }
  }
  CHECK(results >= calls.size() / 2);
  CHECK(outcome(call(client, {"one", "echo", "2"})) == "2");
  CHECK(outcome(call(client, {"two", "echo", "2"})) == "2");
}

TEST_CASE("workers that are killed under load cost only the calls that they had started") {
  Daemon daemon({.modules = kModules});
  check_under_load(
      daemon,
      [](ipc::Client& observer) {
        for (const auto& worker : workers(observer)) {
          if (worker.module == "one") ::kill(worker.pid, SIGKILL);
        }
      },
      8);
  daemon.stop();
}

TEST_CASE("if all workers and standbys are killed at once they are replaced") {
  Daemon daemon({.modules = kModules, .flags = {"--standby", "3"}});
  check_under_load(
      daemon,
      [](ipc::Client& observer) {
        for (const auto& worker : workers(observer)) {
          if (worker.pid != 0) ::kill(worker.pid, SIGKILL);
        }
      },
      5);
  daemon.stop();
}

TEST_CASE("a zygote that is killed under load ends with its workers and another one takes over") {
  Daemon daemon({.modules = kModules});
  std::vector<pid_t> killed;
  check_under_load(
      daemon,
      [&](ipc::Client&) {
        killed.push_back(daemon.zygote());
        ::kill(killed.back(), SIGKILL);
        REQUIRE(eventually([&] {
          const pid_t zygote = zygote_or_none(daemon);
          return zygote != 0 && zygote != killed.back();
        }));
      },
      3);
  for (pid_t zygote : killed) CHECK_FALSE(is_running(zygote));
  daemon.stop();
}

TEST_CASE("a launcher that is killed under load ends with its zygote and workers and others take over") {
  Daemon daemon({.modules = kModules});
  std::vector<pid_t> killed;
  check_under_load(
      daemon,
      [&](ipc::Client&) {
        const pid_t launcher = daemon.launcher();
        for (pid_t process : descendants_of(launcher)) killed.push_back(process);
        killed.push_back(launcher);
        ::kill(launcher, SIGKILL);
        REQUIRE(eventually([&] {
          const auto launchers = children_of(daemon.broker());
          return launchers.size() == 1 && launchers.front() != launcher && zygote_or_none(daemon) != 0;
        }));
      },
      3);
  for (pid_t process : killed) CHECK(eventually([&] { return !is_running(process); }));
  daemon.stop();
}

TEST_CASE("calls that were open when the zygote died say so, and may be repeated") {
  Daemon daemon({.modules = {{"holder",
                              "let held = 0; exports.hold = () => { held++; return new Promise(() => {}); }; "
                              "exports.held = () => held;"}}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  for (int i = 0; i < 5; ++i) calls.start({"holder", "hold"});
  REQUIRE(outcome(call(client, {"holder", "held"})) == "5");
  ::kill(daemon.zygote(), SIGKILL);
  calls.wait_for_all();
  for (std::size_t i = 0; i < 5; ++i) {
    const auto error = error_of(calls.answer(i));
    CHECK(error.code == ipc::ErrorCode::worker_crashed);
    CHECK(error.detail == "zygote_died");
    CHECK(error.executed == ipc::Executed::maybe);
    CHECK(error.retryable);
  }
  CHECK(outcome(call(client, {"holder", "held"})) == "0");
}

TEST_CASE("a call that arrives while there is no zygote waits for the next one and is served") {
  Daemon daemon({.modules = kModules, .flags = {"--standby", "0"}});
  ipc::Client client = daemon.connect();
  ::kill(daemon.zygote(), SIGKILL);
  CHECK(outcome(call(client, {"one", "echo", "1"})) == "1");
  daemon.stop();
}

TEST_CASE("a zygote that hangs is replaced") {
  Daemon daemon({.modules = kModules, .flags = {"--standby", "0"}});
  ipc::Client client = daemon.connect();
  const pid_t zygote = daemon.zygote();
  ::kill(zygote, SIGSTOP);
  CHECK(outcome(call(client, {"one", "echo", "1"})) == "1");
  CHECK(eventually([&] { return !is_running(zygote); }));
  CHECK(daemon.logged("unanswered"));
  daemon.stop();
}

TEST_CASE("while the broker is stopped a new module is unavailable and it is served once the broker goes on") {
  Daemon daemon({.modules = kModules});
  ipc::Client client = daemon.connect();
  const pid_t broker = daemon.broker();
  ::kill(broker, SIGSTOP);
  REQUIRE(eventually([&] { return status_field(broker, "State").starts_with("T"); }));
  // The second call finds that the broker has not answered the first.
  for (int i = 0; i < 2; ++i) {
    const auto error = error_of(call(client, {"one", "echo", "1"}));
    CHECK(ipc::to_string(error.code) == "unavailable");
    CHECK(error.retryable);
  }
  // The supervisor does not know whether there is such a module.
  const auto stats = client.stats();
  REQUIRE(stats.has_value());
  CHECK(stats->modules.empty());
  ::kill(broker, SIGCONT);
  CHECK(eventually([&] { return outcome(call(client, {"one", "echo", "1"})) == "1"; }));
  daemon.stop();
}

TEST_CASE("a worker that is stopped, and then killed, costs only its calls") {
  Daemon daemon({.modules = kModules});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"one", "echo", "1"})) == "1");
  const pid_t stopped = worker_of(client, "one").pid;
  ::kill(stopped, SIGSTOP);
  Calls calls(client);
  for (int i = 0; i < 10; ++i) calls.start({"one", "echo", std::to_string(i)});
  CHECK(outcome(call(client, {"two", "echo", "1"})) == "1");
  ::kill(stopped, SIGKILL);
  calls.wait_for_all();
  for (std::size_t i = 0; i < 10; ++i)
    CHECK(outcome(calls.answer(i)) == std::to_string(i));  // the killed worker had started none of them
  daemon.stop();
}

TEST_CASE("calls on a worker that is stopped by a signal end at their deadline and later calls get a fresh worker") {
  Daemon daemon({.modules = kModules});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"one", "echo", "1"})) == "1");
  const pid_t stopped = worker_of(client, "one").pid;
  ::kill(stopped, SIGSTOP);
  CHECK(code_of(call(client, {.module = "one", .function = "echo", .timeout = milliseconds(100)})) ==
        "deadline_exceeded");
  // If the worker was stopped while its page says that it runs, it is taken to be stuck only after a minute.
  CHECK(outcome(call(client, {"one", "echo", "2", std::chrono::minutes(5)})) == "2");
  CHECK(worker_of(client, "one").pid != stopped);
  CHECK(eventually([&] { return !is_running(stopped); }));
  daemon.stop();
}

TEST_CASE("a supervisor that is killed ends with all its processes and the next one serves the same socket at once") {
  auto folder = std::make_shared<TemporaryFolder>();
  std::vector<pid_t> family;
  {
    Daemon daemon({.modules = kModules, .flags = {"--standby", "2"}, .folder = folder});
    ipc::Client client = daemon.connect();
    CHECK(outcome(call(client, {"one", "echo", "1"})) == "1");
    CHECK(outcome(call(client, {"two", "echo", "1"})) == "1");
    Calls calls(client);
    for (int i = 0; i < 50; ++i) calls.start({"one", "wait", "1"});
    client.run_once(milliseconds(0));
    family = descendants_of(daemon.pid());
    CHECK(family.size() >= 4);
    daemon.signal(SIGKILL);
    calls.wait_for_all();
    CHECK(calls.count("result") + calls.count("unavailable") == 50);
    CHECK(code_of(call(client, {"one", "echo"})) == "unavailable");
    CHECK(daemon.wait() == 128 + SIGKILL);
  }
  for (pid_t process : family) CHECK(eventually([&] { return !is_running(process); }));
  REQUIRE(std::filesystem::exists(folder->path() / "holdfast.sock"));
  Daemon next({.folder = folder});
  ipc::Client client = next.connect();
  CHECK(outcome(call(client, {"one", "echo", "2"})) == "2");
  CHECK(next.logged("taking it over"));
  next.stop();
}

TEST_CASE("calls are served while each of many modules loses its worker over and over") {
  std::vector<Module> modules;
  for (int i = 0; i < 8; ++i) modules.push_back({fmt::format("m{}", i), "exports.echo = (payload) => payload;"});
  Daemon daemon({.modules = modules, .flags = {"--standby", "2", "--max-workers", "4"}});
  ipc::Client client = daemon.connect();
  ipc::Client observer = daemon.connect();
  Calls calls(client);
  for (std::size_t round = 0; round < 10; ++round) {
    for (std::size_t i = 0; i < 40; ++i) calls.start({fmt::format("m{}", i % 8), "echo", std::to_string(i)});
    client.run_once(milliseconds(0));
    for (const auto& worker : workers(observer)) {
      if (worker.pid % 2 == static_cast<int>(round % 2) && worker.pid != 0) ::kill(worker.pid, SIGKILL);
    }
  }
  calls.wait_for_all();
  CHECK(calls.order().size() == 400);
  CHECK(calls.count("result") + calls.count("worker_crashed") == 400);
  daemon.stop();
}

}  // namespace
}  // namespace holdfast::test
