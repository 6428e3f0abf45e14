// The same without root: holdfastd started by a user who owns nothing.
#include <filesystem>
#include <signal.h>
#include <sstream>
#include <unistd.h>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

// Programs that the tests below can start: those under test, or copies, where the build folder is closed to nobody.
struct Programs {
  std::shared_ptr<TemporaryFolder> folder;  // null: no copies were needed
  std::string supervisor;
  std::string worker;
};

bool nobody_can_start(const std::string& program) {
  return run({program, "--version"}, {.as_nobody = true}).status == 0;
}

// Where the dynamic linker finds V8 for the worker.
fs::path v8_library() {
  std::istringstream lines(run({"/usr/bin/ldd", worker_program()}).output);
  for (std::string name, arrow, path, rest; lines >> name >> arrow >> path && std::getline(lines, rest);) {
    if (name.starts_with("libnode")) return path;
  }
  FAIL("the worker needs no libnode");
  return {};
}

Programs programs_to_start() {
  const bool is_root = ::geteuid() == 0;
  if (!is_root || (nobody_can_start(supervisor_program()) && nobody_can_start(worker_program()))) {
    return {nullptr, supervisor_program(), worker_program()};
  }
  auto folder = std::make_shared<TemporaryFolder>();
  fs::permissions(folder->path(), fs::perms(0755));
  for (const fs::path& file : {fs::path(supervisor_program()), fs::path(worker_program()), v8_library()}) {
    fs::copy(file, folder->path() / file.filename());
    fs::permissions(folder->path() / file.filename(), fs::perms(0755));
  }
  // The worker is started with an empty environment, so only here can it be told where its library is.
  const std::string here = folder->path();
  const auto start_worker = folder->write(
      "start-worker", fmt::format("#!/bin/sh\nLD_LIBRARY_PATH={} exec {}/holdfast-worker \"$@\"\n", here, here));
  fs::permissions(start_worker, fs::perms(0755));
  return {folder, here + "/holdfastd", start_worker};
}

// As whom the tests below run holdfastd: as nobody if that is possible, else as whoever runs them, who is not root.
DaemonOptions as_nobody(const Programs& programs, std::vector<Module> modules, std::vector<std::string> flags = {}) {
  return {.modules = std::move(modules),
          .flags = std::move(flags),
          .supervisor = programs.supervisor,
          .worker = programs.worker,
          .as_nobody = ::geteuid() == 0};
}

const Module kModule{"module", R"js(
    exports.add = ({ a, b }) => a + b;
    exports.spin = function spin() { while (true) {} };
    exports.fill = () => { const all = []; while (true) all.push({ all }); };
)js"};

TEST_CASE("without root, functions are called, loops are stopped, memory is bounded, and nothing is left") {
  const Programs programs = programs_to_start();
  Daemon daemon(as_nobody(programs, {kModule}, {"--stretch", "200ms", "--memory", "32MB"}));
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
  const Programs programs = programs_to_start();
  Daemon daemon(as_nobody(programs, {kModule}));
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
  if (::geteuid() != 0) return;  // the rest is for root to see
  CHECK(status_field(daemon.pid(), "Uid") == fmt::format("{0}\t{0}\t{0}\t{0}", kNobody));
  CHECK(descriptors_of(worker).size() == 1);
  CHECK(fs::is_empty("/proc/" + std::to_string(worker) + "/root/"));
  for (const std::string kind : {"user", "pid", "mnt", "net", "ipc", "uts", "cgroup"}) {
    CAPTURE(kind);
    CHECK(namespace_of(worker, kind) != namespace_of(daemon.pid(), kind));
  }
}

TEST_CASE("a module's file that the supervisor may not read is load_failed with the reason") {
  const Programs programs = programs_to_start();
  Daemon daemon(as_nobody(programs, {kModule, {"closed", "exports.f = () => 1;"}}));
  fs::permissions(daemon.folder()->path() / "modules/closed-v1.js", fs::perms::none);
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"closed", "f"})) == "load_failed: cannot read module closed@v1: Permission denied");
  CHECK(outcome(call(client, {"module", "add", R"({"a":1,"b":2})"})) == "3");
}

TEST_CASE("without root, workers that are killed are replaced, and a supervisor that is killed leaves no process") {
  const Programs programs = programs_to_start();
  Daemon daemon(as_nobody(programs, {kModule}));
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
