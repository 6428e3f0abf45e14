// holdfastd without root's rights: started by the user nobody, which owns nothing, it sandboxes workers all the same.
#include "tests/support/as_nobody.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/skips.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

DaemonOptions as_nobody(std::vector<Module> modules, std::vector<std::string> flags = {}) {
  return {.modules = std::move(modules), .flags = std::move(flags), .as_nobody = true};
}

const Module kModule{"module", R"js(
    exports.add = ({ a, b }) => a + b;
    exports.spin = function spin() { while (true) {} };
    exports.fill = () => { const all = []; while (true) all.push({ all }); };
)js"};

TEST_CASE("without root functions are called and loops stopped and memory bounded and nothing is left behind") {
  Daemon daemon(as_nobody({kModule}, {"--stretch", "200ms", "--memory", "32MB"}));
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"module", "add", R"({"a":1,"b":2})"})) == "3");
  const auto loop = error_of(call(client, {"module", "spin"}));
  CHECK(ipc::to_string(loop.code) == "cpu_exceeded");
  CHECK(contains(loop.stack, "spin (module-v1.js:3:"));
  const auto memory = error_of(call(client, {"module", "fill"}));
  CHECK((memory.code == ipc::ErrorCode::out_of_memory || memory.code == ipc::ErrorCode::cpu_exceeded));
  CHECK(outcome(call(client, {"module", "add", R"({"a":40,"b":2})"})) == "42");
  daemon.stop();
}

TEST_CASE("without root, workers are locked as they are with root") {
  Daemon daemon(as_nobody({kModule}));
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"module", "add", R"({"a":1,"b":2})"})) == "3");
  const pid_t worker = worker_of(client, "module").pid;
  CHECK(is_running(worker));
  CHECK(status_field(worker, "Seccomp") == "2");
  CHECK(status_field(worker, "NoNewPrivs") == "1");
  for (const std::string set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
    CAPTURE(set);
    CHECK(status_field(worker, set) == "0000000000000000");
  }
  CHECK(status_field(worker, "PPid") == std::to_string(daemon.zygote()));
  CHECK_FALSE(contains("\t" + status_field(worker, "Uid") + "\t", "\t0\t"));
  CHECK(limits_of(worker, "Max processes").second == "0");
  CHECK(limits_of(worker, "Max file size").second == "0");
  CHECK(limits_of(worker, "Max core file size").second == "0");
}

// For root to see.
TEST_CASE("without root, workers have one socket, an empty root and namespaces of their own" * needs_root()) {
  Daemon daemon(as_nobody({kModule}));
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"module", "add", R"({"a":1,"b":2})"})) == "3");
  const pid_t worker = worker_of(client, "module").pid;
  CHECK(status_field(daemon.broker(), "Uid") == fmt::format("{0}\t{0}\t{0}\t{0}", kNobody));
  CHECK(descriptors_of(worker).size() == 1);
  CHECK(fs::is_empty("/proc/" + std::to_string(worker) + "/root/"));
  for (const std::string kind : {"user", "pid", "mnt", "net", "ipc", "uts", "cgroup"}) {
    CAPTURE(kind);
    CHECK(namespace_of(worker, kind) != namespace_of(daemon.pid(), kind));
  }
}

TEST_CASE("a supervisor runs as nobody if the test environment says so and otherwise as the user of the tests") {
  Daemon daemon({});
  const uid_t expected = is_for_nobody() ? kNobody : ::getuid();
  CHECK(status_field(daemon.broker(), "Uid") == fmt::format("{0}\t{0}\t{0}\t{0}", expected));
}

TEST_CASE("a module's file that the supervisor may not read is load_failed with the reason") {
  Daemon daemon(as_nobody({kModule, {"closed", "exports.f = () => 1;"}}));
  fs::permissions(daemon.folder()->path() / "modules/closed-v1.js", fs::perms::none);
  ipc::Client client = daemon.connect();
  CHECK(
      contains(outcome(call(client, {"closed", "f"})), "load_failed: cannot read module closed@v1: Permission denied"));
  CHECK(outcome(call(client, {"module", "add", R"({"a":1,"b":2})"})) == "3");
}

TEST_CASE("without root, workers that are killed are replaced, and a supervisor that is killed leaves no process") {
  Daemon daemon(as_nobody({kModule}));
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"module", "add", R"({"a":1,"b":2})"})) == "3");
  ::kill(worker_of(client, "module").pid, SIGKILL);
  CHECK(outcome(call(client, {"module", "add", R"({"a":2,"b":2})"})) == "4");
  ::kill(daemon.zygote(), SIGKILL);
  CHECK(outcome(call(client, {"module", "add", R"({"a":3,"b":2})"})) == "5");
  const auto family = descendants_of(daemon.pid());
  daemon.signal(SIGKILL);
  CHECK(daemon.wait() == 128 + SIGKILL);
  for (pid_t process : family) CHECK(eventually([&] { return !is_running(process); }));
}

}  // namespace
}  // namespace holdfast::test
