// The effect of signals that a service manager, a terminal or a script may send to holdfastd and to each of its
// processes.
#include <doctest/doctest.h>
#include <signal.h>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

const Module kWaiter = {.name = "waiter", .code = R"js(
    let go;
    exports.wait = () => new Promise((resolve) => { go = resolve; console.log('waiting'); });
    exports.go = () => { go('done'); };
)js"};

TEST_CASE("signals that a service manager sends to all processes end only what holdfastd decides") {
  for (const char* isolation : {"fork", "exec"}) {
    Daemon daemon({.modules = {kWaiter}, .flags = {"--isolation", isolation}});
    ipc::Client client = daemon.connect();
    Calls calls(client);
    const std::size_t waiting = calls.start({.module = "waiter", .function = "wait"});
    client.run_once(std::chrono::milliseconds(0));
    REQUIRE(daemon.logged("waiting"));
    for (const int signal : {SIGUSR1, SIGUSR2, SIGHUP, SIGINT, SIGQUIT, SIGTERM}) {
      CAPTURE(signal);
      for (const pid_t process : descendants_of(daemon.pid())) ::kill(process, signal);
    }
    for (const int signal : {SIGUSR1, SIGUSR2, SIGHUP, SIGPIPE, SIGXFSZ, SIGTTOU, SIGWINCH, SIGCHLD, SIGURG, SIGCONT}) {
      for (const pid_t process : {daemon.monitor(), daemon.pid()}) ::kill(process, signal);
    }
    CHECK(daemon.logged("SIGUSR1 ignored: reserved"));
    CHECK(daemon.logged("SIGUSR2 ignored: reserved"));
    calls.wait_for(calls.start({.module = "waiter", .function = "go"}));
    CHECK(outcome(calls.wait_for(waiting)) == "\"done\"");
    daemon.stop();
  }
}

TEST_CASE("SIGQUIT ends holdfastd without waiting for open calls, and leaves nothing behind") {
  Daemon daemon({.modules = {kWaiter}, .flags = {"--shutdown-timeout", "1h"}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  const std::size_t waiting = calls.start({.module = "waiter", .function = "wait"});
  client.run_once(std::chrono::milliseconds(0));
  REQUIRE(daemon.logged("waiting"));
  daemon.signal(SIGQUIT);
  CHECK(code_of(calls.wait_for(waiting)) == "unavailable");
  CHECK(daemon.wait() == 0);
  daemon.check_nothing_is_left();
}

}  // namespace
}  // namespace holdfast::test
