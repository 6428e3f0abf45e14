// Modules' files that change under a supervisor that serves, and can open no file any more.
#include <filesystem>
#include <string>

#include <doctest/doctest.h>

#include "tests/integration/modules.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/program.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

TEST_CASE("a module's file that is written or replaced is noticed, by the directory and by --module") {
  const TemporaryFolder elsewhere;
  const fs::path draft = elsewhere.write("draft.js", kEcho.code);
  Daemon daemon(
      {.modules = {kEcho, kHolder}, .flags = {"--log-level", "debug", "--module", "draft@2=" + draft.string()}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"echo", "echo", "7"})) == "7");
  CHECK(outcome(call(client, {.module = "draft", .function = "echo", .payload = "8", .version = "2"})) == "8");
  daemon.add_module(kEcho);
  CHECK(daemon.logged("echo@v1: its file may have changed"));
  CHECK_FALSE(contains(daemon.log(), "draft@2: its file may have changed"));
  fs::rename(elsewhere.write("next.js", kEcho.code), draft);
  CHECK(daemon.logged("draft@2: its file may have changed"));
  CHECK_FALSE(contains(daemon.log(), "holder@v1: its file"));
  CHECK(outcome(call(client, {"echo", "echo", "9"})) == "9");
  daemon.stop();
}

TEST_CASE("a directory of modules that cannot be watched is warned of, and no reason not to serve") {
  const TemporaryFolder elsewhere;
  Daemon daemon(
      {.modules = {kEcho}, .flags = {"--module", "draft@2=" + (elsewhere.path() / "gone/draft.js").string()}});
  CHECK(contains(daemon.log(), "cannot watch " + (elsewhere.path() / "gone").string() + ": No such file or directory"));
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"echo", "echo", "7"})) == "7");
  daemon.stop();
}

}  // namespace
}  // namespace holdfast::test
