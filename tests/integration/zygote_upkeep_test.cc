// The cost of keeping zygotes, and signals that must not end them.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/types.h>

#include <chrono>
#include <thread>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

using std::chrono::seconds;

std::size_t occurrences(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++count;
  return count;
}

TEST_CASE("while nothing is called, no zygote is replaced for the standbys that it has forked") {
  Daemon daemon({.flags = {"--zygote-forks", "1", "--standby", "1", "--log-level", "debug"}});
  // Nothing should happen, so there is no event to wait for.
  std::this_thread::sleep_for(seconds(2));
  CHECK(occurrences(daemon.log(), "zygote: replaced by another") <= 1);
  daemon.stop();
}

TEST_CASE("a SIGTERM to all processes of the service leaves open calls their time") {
  Daemon daemon({.modules = {{"slow",
                              "exports.wait = () => new Promise((resolve) => setTimeout(() => resolve(1), 1000)); "
                              "exports.ping = () => 1;"}}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"slow", "ping"})) == "1");
  Calls calls(client);
  const auto open = calls.start({"slow", "wait"});
  // This call reaches the worker after that one, which shows that that one was started.
  CHECK(outcome(call(client, {"slow", "ping"})) == "1");
  const pid_t broker = daemon.broker(), launcher = daemon.launcher();
  // Service managers signal all processes (systemd.kill(5), KillMode=control-group).
  for (pid_t process : {daemon.monitor(), daemon.pid(), broker, launcher}) ::kill(process, SIGTERM);
  CHECK(outcome(calls.wait_for(open)) == "1");
  CHECK(daemon.wait() == 0);
}

}  // namespace
}  // namespace holdfast::test
