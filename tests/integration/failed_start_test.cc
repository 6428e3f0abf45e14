// Failed starts as a user sees them: one message, which says what failed and what to do.
#include <doctest/doctest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/support/calls.h"
#include "tests/support/processes.h"
#include "tests/support/program.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

Finished start_with_worker(const TemporaryFolder& folder, const std::string& worker,
                           const std::vector<std::string>& flags = {}) {
  std::vector<std::string> command = {
      supervisor_program(), "--modules", folder.path(), "--socket", folder.path() / "s.sock",
      "--log-level",        "error",     "--worker",    worker};
  command.insert(command.end(), flags.begin(), flags.end());
  return run(command);
}

fs::path program(const TemporaryFolder& folder, const std::string& text) {
  const fs::path path = folder.write("worker", text);
  fs::permissions(path, fs::perms(0755));
  return path;
}

TEST_CASE("a worker program that ends at once is named with its exit status, and so is what it should be") {
  const TemporaryFolder folder;
  for (const char* isolation : {"fork", "exec"}) {
    const Finished done = start_with_worker(folder, "/bin/true", {"--isolation", isolation});
    CHECK(done.status == 1);
    CHECK(
        contains(done.errors, "critical cannot start workers: /bin/true ended with exit status 0; --worker must name"));
    CHECK(occurrences(done.errors, "\n") == 1);
  }
}

TEST_CASE("what a worker program says before it ends is in the message") {
  const TemporaryFolder folder;
  const fs::path worker = program(folder, "#!/bin/sh\necho cannot find myself >&2\nexit 7\n");
  const Finished done = start_with_worker(folder, worker);
  CHECK(contains(done.errors, worker.string() + " ended with exit status 7: cannot find myself; "));
  CHECK(occurrences(done.errors, "\n") == 1);
}

TEST_CASE("a library that a worker program misses is named") {
  std::ifstream file(worker_program(), std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  const std::size_t name = text.find("libnode.so.");
  REQUIRE(name != text.npos);
  text.replace(name, 11, "libnodx.so.");
  const TemporaryFolder folder;
  const fs::path worker = program(folder, text);
  const Finished done = start_with_worker(folder, worker);
  CHECK(contains(done.errors, worker.string() + " ended with exit status 127: "));
  CHECK(contains(done.errors, "libnodx.so."));
  CHECK(contains(done.errors, "install the missing library"));
  CHECK(occurrences(done.errors, "\n") == 1);
}

TEST_CASE("a worker program that a signal kills is named with the signal") {
  const TemporaryFolder folder;
  const Finished done = start_with_worker(folder, program(folder, "#!/bin/sh\nkill -KILL $$\n"));
  CHECK(contains(done.errors, "was killed by SIGKILL"));
}

TEST_CASE("a worker program that cannot be executed is named with the reason") {
  const TemporaryFolder folder;
  CHECK(
      contains(start_with_worker(folder, folder.path() / "missing").errors,
               "cannot start " + (folder.path() / "missing").string() + ": No such file or directory; --worker must"));
  const fs::path plain = folder.write("plain", "#!/bin/sh\n");
  CHECK(contains(start_with_worker(folder, plain).errors, "cannot start " + plain.string() + ": Permission denied; "));
  CHECK(contains(start_with_worker(folder, folder.path()).errors, "Permission denied; "));
  CHECK(contains(start_with_worker(folder, program(folder, "text")).errors, "Exec format error; "));
  CHECK(contains(start_with_worker(folder, program(folder, "#!/no/such/interpreter\n")).errors,
                 "No such file or directory; the interpreter or dynamic linker that the program names is missing"));
}

TEST_CASE("what a worker program says on standard error without ending is passed on") {
  const TemporaryFolder folder;
  const fs::path worker = program(folder, "#!/bin/sh\necho by the way >&2\nexec " + worker_program() + " \"$@\"\n");
  Program daemon(
      {supervisor_program(), "--modules", folder.path(), "--socket", folder.path() / "s.sock", "--worker", worker});
  CHECK(eventually([&] { return contains(daemon.errors(), "by the way") && contains(daemon.errors(), "listens on"); }));
  daemon.signal(SIGTERM);
  CHECK(daemon.wait() == 0);
}

// Options of `holdfast run` whose holdfastd starts the worker program `worker`.
ProgramOptions with_worker(const TemporaryFolder& folder, const std::string& worker) {
  const fs::path path =
      folder.write("holdfastd", "#!/bin/sh\nexec " + supervisor_program() + " --worker " + worker + " \"$@\"\n");
  fs::permissions(path, fs::perms(0755));
  return {.environment = {"HOLDFAST_SUPERVISOR=" + path.string()}};
}

TEST_CASE("holdfast run says once why there are no workers and doctor says it as its verdict") {
  const TemporaryFolder folder;
  const ProgramOptions options = with_worker(folder, "/bin/true");
  const std::string calculator = examples_folder() / "calculator.js";
  const std::string reason = "cannot start workers: /bin/true ended with exit status 0";
  const Finished text = run({command_program(), "run", calculator, "add"}, options);
  CHECK(text.status == 3);
  CHECK(text.errors.starts_with("error: unavailable: " + reason));
  CHECK(occurrences(text.errors, "\n") == 1);
  const Finished as_json = run({command_program(), "run", calculator, "add", "--json"}, options);
  CHECK(as_json.status == 3);
  CHECK(as_json.errors == "");
  const std::string message = nlohmann::json::parse(as_json.output).at("error").at("message");
  CHECK(message.starts_with(reason));
  const Finished doctor = run({command_program(), "doctor"}, options);
  CHECK(doctor.status == 3);
  CHECK(contains(doctor.output, "verdict: no worker can be examined here: " + reason));
}

TEST_CASE("a flag of holdfast run that holdfastd refuses is a usage error of holdfast run") {
  const std::string calculator = examples_folder() / "calculator.js";
  const auto refused = [&](const char* flag, const char* value) {
    const Finished done = run({command_program(), "run", calculator, "add", R"({"a":1,"b":2})", flag, value});
    CHECK(done.status == 2);
    CHECK(done.output == "");
    return done.errors;
  };
  CHECK(refused("--memory", "1MB") == "error: --memory: \"1MB\" is too little; at least 16MB are needed\n");
  CHECK(refused("--stretch", "1ns") == "error: --stretch: \"1ns\" is too short; at least 1ms is needed\n");
}

TEST_CASE("the error about a default socket without its directory says how to name another socket") {
  const TemporaryFolder folder;
  const Finished done = run({supervisor_program(), "--modules", folder.path(), "--worker", worker_program()},
                            {.environment = {"HOLDFAST_SOCKET=" + (folder.path() / "no/such/s.sock").string()}});
  CHECK(done.status == 1);
  CHECK(contains(done.errors, "--socket PATH, or HOLDFAST_SOCKET"));
}

TEST_CASE("the error about a holdfastd that cannot be run quotes the dynamic linker") {
  const TemporaryFolder folder;
  const fs::path path = folder.write("holdfastd", "#!/bin/sh\necho holdfastd: no library >&2\nexit 127\n");
  fs::permissions(path, fs::perms(0755));
  const Finished done = run({command_program(), "run", examples_folder() / "calculator.js", "add"},
                            {.environment = {"HOLDFAST_SUPERVISOR=" + path.string()}});
  CHECK(done.status == 3);
  CHECK(done.errors == "error: unavailable: holdfastd: no library\n");
}

}  // namespace
}  // namespace holdfast::test
