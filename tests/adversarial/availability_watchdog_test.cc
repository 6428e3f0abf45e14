// A server whose event loop does not turn is replaced, whatever blocks it.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/socket.h>

#include <optional>

#include "tests/adversarial/accept_gate.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/raw_connection.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

const Module kAdder = {"good", "exports.add = ({ a, b }) => a + b;"};

void check_adds(ipc::Client& client) {
  CHECK(outcome(call(client, {"good", "add", R"({"a":1,"b":2})", kHangGuard})) == "3");
}

// Longer than the watchdog's limit, with a wide margin for a busy host.
constexpr std::chrono::minutes kWatchGuard{1};

TEST_CASE("a server that is stuck in a system call is replaced, and holdfastd says where it was stuck") {
  AcceptGate gate;
  Daemon daemon({.modules = {kAdder}, .before_exec = gate.installer()});
  const pid_t stuck = daemon.pid();
  const pid_t broker = daemon.broker();
  {
    ipc::Client client = daemon.connect();
    check_adds(client);
  }
  gate.close();
  const RawConnection waiting(daemon.socket_path());
  REQUIRE(eventually([&] { return gate.holds_one(); }));
  gate.open();
  REQUIRE(eventually([&] { return contains(daemon.log(), "starting another server in place"); }, kWatchGuard));
  CHECK(contains(daemon.log(), "the server's event loop was stuck for 5 s: it is asleep"));
  // The kernel shows only to root where a process sleeps that is not dumpable.
  if (::geteuid() == 0 && status_field(daemon.monitor(), "Uid").starts_with("0")) {
    CHECK(contains(daemon.log(), "in the system call accept"));
  }
  std::optional<ipc::Client> client;
  REQUIRE(eventually([&] {
    auto connected = ipc::Client::connect(daemon.socket_path(), {.name = "test"});
    if (connected) client.emplace(std::move(*connected));
    return client.has_value();
  }));
  check_adds(*client);
  CHECK_FALSE(is_running(stuck));
  CHECK(eventually([&] { return !is_running(broker); }));
  daemon.stop();
}

TEST_CASE("if the server is killed holdfastd ends by the same signal") {
  Daemon daemon({.modules = {kAdder}});
  daemon.signal(SIGKILL);
  CHECK(daemon.wait() == 128 + SIGKILL);
  CHECK(contains(daemon.log(), "the server was ended by signal 9"));
}

TEST_CASE("if the monitor is killed the server ends and leaves nothing behind") {
  Daemon daemon({.modules = {kAdder}});
  REQUIRE(::kill(daemon.monitor(), SIGKILL) == 0);
  CHECK(daemon.wait() == 128 + SIGKILL);
  daemon.check_nothing_is_left();
}

}  // namespace
}  // namespace holdfast::test
