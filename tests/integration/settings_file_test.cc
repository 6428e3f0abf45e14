// The settings file, and its reload by SIGHUP.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>

#include "tests/integration/modules.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/program.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

const std::string kGood = "[module.echo]\nqueue_limit = 7\n";
const std::string kBad = "[module.echo]\nqueue_limit = 7\nmemory = \"12 parsecs\"\n";

// A daemon with a settings file.
struct Configured {
  explicit Configured(const std::string& text = kGood) : file(folder.write("settings.toml", text)) {}

  void replace(const std::string& text) const { fs::rename(folder.write("next.toml", text), file); }
  void reload() const { daemon.signal(SIGHUP); }

  TemporaryFolder folder;
  fs::path file;
  Daemon daemon{{.modules = {kEcho, kHolder}, .flags = {"--config", file}}};
};

Finished start_with(const TemporaryFolder& folder, const fs::path& file) {
  return run({supervisor_program(), "--modules", "/", "--socket", folder.path() / "s.sock", "--max-workers", "3",
              "--config", file});
}

TEST_CASE("invalid settings keep the supervisor from starting with a usage error that names file and line and key") {
  const TemporaryFolder folder;
  const fs::path file = folder.write("settings.toml", kBad + "colour = 1\n");
  const Finished done = start_with(folder, file);
  CHECK(done.status == 2);
  CHECK(contains(done.errors, file.string() + ":3: module.echo.memory: \"12 parsecs\" "));
  CHECK(contains(done.errors, file.string() + ":4: module.echo.colour: unknown key; expected one of max_instances"));
  CHECK_FALSE(fs::exists(folder.path() / "s.sock"));
  CHECK_FALSE(fs::exists(folder.path() / "s.sock.lock"));
}

TEST_CASE("settings that keep more workers warm than allowed keep the supervisor from starting") {
  const TemporaryFolder folder;
  const Finished done =
      start_with(folder, folder.write("settings.toml", "[module.\"a@1\"]\nmax_instances = 3\nmin_warm = 3\n"));
  CHECK(done.status == 2);
  CHECK(contains(done.errors, "settings.toml: min_warm: "));
  CHECK(contains(done.errors, "--max-workers, 3"));
}

TEST_CASE("a settings file that cannot be read keeps the supervisor from starting") {
  const TemporaryFolder folder;
  CHECK(start_with(folder, folder.path() / "missing.toml").status == 2);
  const fs::path pipe = folder.path() / "pipe.toml";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  const Finished done = start_with(folder, pipe);
  CHECK(done.status == 2);
  CHECK(contains(done.errors, "pipe.toml: it is not a regular file"));
}

TEST_CASE("SIGHUP reloads the settings file that is at its path now") {
  Configured given;
  given.replace("[module.echo]\nqueue_limit = 8\n[module.\"echo@v1\"]\nweight = 2\n");
  given.reload();
  CHECK(given.daemon.logged("settings reloaded from " + given.file.string() +
                            "; modules or versions with settings of their own: 2"));
  // The file is read again each time, also when it was written in place.
  given.folder.write("settings.toml", "");
  given.reload();
  CHECK(given.daemon.logged("settings reloaded from " + given.file.string() +
                            "; modules or versions with settings of their own: 0"));
  ipc::Client client = given.daemon.connect();
  CHECK(outcome(call(client, {"echo", "echo", "7"})) == "7");
  given.daemon.stop();
}

TEST_CASE("SIGHUP with invalid settings logs line and key and the supervisor goes on") {
  Configured given;
  ipc::Client client = given.daemon.connect();
  given.replace(kBad);
  given.reload();
  CHECK(given.daemon.logged(given.file.string() + ":3: module.echo.memory: \"12 parsecs\" "));
  CHECK(given.daemon.logged("the settings are unchanged"));
  CHECK_FALSE(contains(given.daemon.log(), "settings reloaded"));
  CHECK(outcome(call(client, {"echo", "echo", "7"})) == "7");
  given.replace(kGood);
  given.reload();
  CHECK(given.daemon.logged("settings reloaded from " + given.file.string()));
  given.daemon.stop();
}

TEST_CASE("SIGHUP while the settings file is gone, or no file, is logged, and holds nothing up") {
  Configured given;
  fs::remove(given.file);
  given.reload();
  CHECK(given.daemon.logged(given.file.string() + ": No such file or directory"));
  REQUIRE(::mkfifo(given.file.c_str(), 0644) == 0);
  given.reload();
  CHECK(given.daemon.logged(given.file.string() + ": it is not a regular file"));
  fs::remove(given.file);
  fs::resize_file(given.folder.write("settings.toml", ""), 2 << 20);
  given.reload();
  CHECK(given.daemon.logged(given.file.string() + ": it has 2MB; at most 1MB are allowed"));
  ipc::Client client = given.daemon.connect();
  CHECK(outcome(call(client, {"echo", "echo", "7"})) == "7");
  given.daemon.stop();
}

TEST_CASE("a settings file that only its owner can read can still be reloaded") {
  Configured given;
  REQUIRE(::chmod(given.file.c_str(), 0600) == 0);
  given.reload();
  CHECK(given.daemon.logged("settings reloaded from " + given.file.string()));
  given.daemon.stop();
}

TEST_CASE("SIGHUP without a settings file is logged, and nothing else") {
  Daemon daemon({.modules = {kEcho}});
  daemon.signal(SIGHUP);
  CHECK(daemon.logged("SIGHUP: there are no settings to reload"));
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"echo", "echo", "7"})) == "7");
  daemon.stop();
}

TEST_CASE("a reload drops no call, though the signal goes to all processes of the service") {
  Configured given;
  given.daemon.add_module({"slow",
                           "exports.wait = () => new Promise((resolve) => setTimeout(() => resolve(1), 1000)); "
                           "exports.ping = () => 1;"});
  ipc::Client client = given.daemon.connect();
  CHECK(outcome(call(client, {"slow", "ping"})) == "1");
  Calls calls(client);
  const auto open = calls.start({"slow", "wait"});
  // This call reaches the worker after that one, which shows that that one was started.
  CHECK(outcome(call(client, {"slow", "ping"})) == "1");
  for (const pid_t process : descendants_of(given.daemon.pid())) ::kill(process, SIGHUP);
  given.reload();
  CHECK(given.daemon.logged("settings reloaded from " + given.file.string()));
  CHECK(outcome(calls.wait_for(open)) == "1");
  given.daemon.stop();
}

}  // namespace
}  // namespace holdfast::test
