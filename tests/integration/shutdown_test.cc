// The start and the end of holdfastd: signals, the socket, and what is left afterwards.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

const Module kHolder{"holder", R"js(
    let resolvers = [];
    exports.hold = (value) => new Promise((resolve) => resolvers.push(() => resolve(value)));
    exports.held = () => resolvers.length;
    exports.wait = (millis) => new Promise((resolve) => setTimeout(resolve, millis, 'waited'));
    exports.large = async ({ millis, size }) => {
      await new Promise((resolve) => setTimeout(resolve, millis));
      return 'x'.repeat(size);
    };
)js"};

std::vector<std::string> command_for(const Daemon& daemon) {
  return {supervisor_program(), "--socket",      daemon.socket_path(), "--modules", daemon.folder()->path() / "modules",
          "--worker",           worker_program()};
}

TEST_CASE("SIGTERM lets open calls finish, answers new ones unavailable, and leaves nothing") {
  Daemon daemon({.modules = {kHolder}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  for (int i = 0; i < 20; ++i) calls.start({"holder", "wait", "1000"});
  REQUIRE(outcome(call(client, {"holder", "held"})) == "0");
  daemon.signal(SIGTERM);
  REQUIRE(daemon.logged("shutting down; open calls: 20"));
  const auto late = error_of(call(client, {"holder", "held"}));
  CHECK(late.code == ipc::ErrorCode::unavailable);
  CHECK(late.executed == ipc::Executed::no);
  CHECK(late.retryable);
  CHECK(contains(late.message, "shutting down"));
  CHECK_FALSE(ipc::Client::connect(daemon.socket_path()).has_value());
  calls.wait_for_all();
  for (std::size_t i = 0; i < 20; ++i) CHECK(outcome(calls.answer(i)) == "\"waited\"");
  CHECK(daemon.wait() == 0);
  daemon.check_nothing_is_left();
}

TEST_CASE("SIGINT ends the supervisor as SIGTERM does") {
  Daemon daemon({.modules = {kHolder}});
  daemon.signal(SIGINT);
  CHECK(daemon.wait() == 0);
  daemon.check_nothing_is_left();
}

TEST_CASE("a large result that is ready while the supervisor shuts down arrives whole") {
  Daemon daemon({.modules = {kHolder}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  calls.start({"holder", "large", R"({"millis":200,"size":8000000})"});
  REQUIRE(outcome(call(client, {"holder", "held"})) == "0");
  daemon.signal(SIGTERM);
  REQUIRE(daemon.logged("shutting down"));
  const auto& answer = calls.wait_for(0);
  REQUIRE(code_of(answer) == "result");
  CHECK(answer->payload.size() == 8000002);
  CHECK(daemon.wait() == 0);
}

TEST_CASE("a client that does not read its answers does not keep the supervisor from ending") {
  Daemon daemon({.modules = {kHolder}, .flags = {"--shutdown-timeout", "300ms"}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  calls.start({"holder", "large", R"({"millis":50,"size":8000000})"});
  REQUIRE(outcome(call(client, {"holder", "held"})) == "0");
  daemon.signal(SIGTERM);
  CHECK(daemon.wait() == 0);
  daemon.check_nothing_is_left();
}

TEST_CASE("calls that are open beyond --shutdown-timeout are answered unavailable") {
  Daemon daemon({.modules = {kHolder}, .flags = {"--shutdown-timeout", "100ms"}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  for (int i = 0; i < 10; ++i) calls.start({"holder", "hold"});
  REQUIRE(outcome(call(client, {"holder", "held"})) == "10");
  daemon.signal(SIGTERM);
  calls.wait_for_all();
  for (std::size_t i = 0; i < 10; ++i) {
    const auto error = error_of(calls.answer(i));
    CHECK(error.code == ipc::ErrorCode::unavailable);
    CHECK(error.executed == ipc::Executed::maybe);
    CHECK(contains(error.message, "shutting down"));
  }
  CHECK(daemon.wait() == 0);
  daemon.check_nothing_is_left();
}

TEST_CASE("a second SIGTERM ends the supervisor at once, and its calls are answered unavailable") {
  Daemon daemon({.modules = {kHolder}, .flags = {"--shutdown-timeout", "10m"}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  calls.start({"holder", "hold"});
  REQUIRE(outcome(call(client, {"holder", "held"})) == "1");
  daemon.signal(SIGTERM);
  REQUIRE(daemon.logged("shutting down"));
  CHECK_FALSE(calls.is_answered(0));
  daemon.signal(SIGTERM);
  CHECK(code_of(calls.wait_for(0)) == "unavailable");
  CHECK(daemon.wait() == 0);
  daemon.check_nothing_is_left();
}

TEST_CASE("a call that loops does not keep the supervisor from ending") {
  Daemon daemon(
      {.modules = {{"spinner", "exports.spin = () => { while (true) {} };"}}, .flags = {"--stretch", "200ms"}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  calls.start({"spinner", "spin"});
  REQUIRE(workers_become(client, [](const auto& all) {
    return std::any_of(all.begin(), all.end(), [](const auto& worker) { return worker.calls_in_flight == 1; });
  }));
  daemon.signal(SIGTERM);
  CHECK(code_of(calls.wait_for(0)) == "cpu_exceeded");
  CHECK(daemon.wait() == 0);
  daemon.check_nothing_is_left();
}

TEST_CASE("a second supervisor on the same socket is refused with exit status 1, and the first is not disturbed") {
  Daemon daemon({.modules = {kHolder}});
  const Finished second = run(command_for(daemon));
  CHECK(second.status == 1);
  CHECK(contains(second.errors, "another supervisor serves"));
  CHECK(contains(second.errors, daemon.socket_path()));
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"holder", "held"})) == "0");
  daemon.stop();
}

TEST_CASE("a path that is not a socket is refused and left as it is") {
  const TemporaryFolder folder;
  const fs::path path = folder.write("precious", "do not lose this");
  const Finished done =
      run({supervisor_program(), "--socket", path, "--modules", folder.path(), "--worker", worker_program()});
  CHECK(done.status == 1);
  CHECK(contains(done.errors, "is not a socket"));
  CHECK(read_file(path) == "do not lose this");
  CHECK_FALSE(fs::exists(path.string() + ".lock"));
}

TEST_CASE("a socket path that is too long or in a place that is not there is refused with the reason") {
  const TemporaryFolder folder;
  const std::string longest = folder.path() / std::string(120, 's');
  const auto start = [&](const std::string& socket) {
    return run({supervisor_program(), "--socket", socket, "--modules", folder.path(), "--worker", worker_program()});
  };
  CHECK(start(longest).status == 1);
  CHECK(contains(start(longest).errors, "at most 107"));
  CHECK(start(folder.path() / "no/such/place.sock").status == 1);
}

TEST_CASE("the socket is for its owner alone, unless --socket-mode says otherwise") {
  const auto mode_of = [](const Daemon& daemon) {
    struct stat status;
    REQUIRE(::stat(daemon.socket_path().c_str(), &status) == 0);
    return status.st_mode & 07777;
  };
  {
    Daemon daemon({});
    CHECK(mode_of(daemon) == 0600);
  }
  Daemon open({.flags = {"--socket-mode", "0666"}});
  CHECK(mode_of(open) == 0666);
}

TEST_CASE("holdfastd does not remove a file that another program put in the place of its socket") {
  Daemon daemon({});
  fs::remove(daemon.socket_path());
  daemon.folder()->write("holdfast.sock", "somebody else's");
  daemon.signal(SIGTERM);
  CHECK(daemon.wait() == 0);
  CHECK(read_file(daemon.socket_path()) == "somebody else's");
}

TEST_CASE("a client beyond --max-clients is turned away with the reason, until another is idle or has left") {
  Daemon daemon({.modules = {kHolder}, .flags = {"--max-clients", "2"}});
  std::optional<ipc::Client> first = daemon.connect();
  ipc::Client second = daemon.connect();
  Calls of_first(*first), of_second(second);
  of_first.start({"holder", "hold"});
  of_second.start({"holder", "hold"});
  first->run_once(std::chrono::milliseconds(0));
  REQUIRE(outcome(call(second, {"holder", "held"})) == "2");
  const auto third = ipc::Client::connect(daemon.socket_path());
  REQUIRE_FALSE(third.has_value());
  CHECK(contains(third.error().message, "too many connections: 2 in all"));
  CHECK(outcome(call(second, {"holder", "held"})) == "2");
  first.reset();
  CHECK(eventually([&] { return ipc::Client::connect(daemon.socket_path()).has_value(); }));
  daemon.stop();
}

TEST_CASE("--module serves a single file under a name of its own, before the directory's") {
  auto folder = std::make_shared<TemporaryFolder>();
  const fs::path file = folder->write("anything.js", "exports.who = () => 'file';");
  Daemon daemon({.modules = {{"named", "exports.who = () => 'directory';"}},
                 .flags = {"--module", "named@v1=" + file.string(), "--module", "other@2=" + file.string()},
                 .folder = folder});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"named", "who"})) == "\"file\"");
  CHECK(outcome(call(client, {.module = "other", .function = "who", .version = "2"})) == "\"file\"");
  CHECK(code_of(call(client, {"other", "who"})) == "not_found");
}

TEST_CASE("no worker outlives its supervisor, whatever it is doing") {
  Daemon daemon({.modules = {{"spinner", "exports.spin = () => { while (true) {} };"}, kHolder},
                 .flags = {"--stretch", "1m", "--standby", "3", "--shutdown-timeout", "100ms"}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  calls.start({"spinner", "spin"});
  calls.start({"holder", "hold"});
  REQUIRE(outcome(call(client, {"holder", "held"})) == "1");
  CHECK(daemon.workers().size() >= 3);
  daemon.signal(SIGTERM);
  CHECK(daemon.wait() == 0);
  daemon.check_nothing_is_left();
}

}  // namespace
}  // namespace holdfast::test
