// Module files that change while a supervisor serves them and can no longer open files itself.
#include <doctest/doctest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "tests/integration/modules.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/program.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

// The module's function `version` returns the text that its file held when it was loaded.
Module version_of(const std::string& text, const std::string& name = "changing") {
  return {name, "exports.version = () => '" + text + "'; " + R"js(
      exports.late = (ms) => new Promise((done) => setTimeout(() => done(exports.version()), ms));
  )js"};
}

TEST_CASE("a file with new content is what the next call runs; calls in flight end well on what they began on") {
  Daemon daemon({.modules = {version_of("old"), kEcho}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"changing", "version"})) == "\"old\"");
  CHECK(outcome(call(client, {"echo", "echo", "7"})) == "7");
  const pid_t old = worker_of(client, "changing").pid;
  const pid_t echo = worker_of(client, "echo").pid;
  Calls calls(client);
  const auto open = calls.start({"changing", "late", "1500"});
  CHECK(outcome(call(client, {"changing", "version"})) == "\"old\"");

  const fs::path next = daemon.folder()->write("next.js", version_of("new").code);
  fs::rename(next, daemon.folder()->path() / "modules/changing-v1.js");
  REQUIRE(daemon.logged("changing@v1: its content has changed"));
  CHECK(outcome(call(client, {"changing", "version"})) == "\"new\"");
  CHECK_FALSE(calls.is_answered(open));
  CHECK(outcome(calls.wait_for(open)) == "\"old\"");
  CHECK(eventually([&] { return !is_running(old); }));
  CHECK(outcome(call(client, {"changing", "version"})) == "\"new\"");
  CHECK(worker_of(client, "echo").pid == echo);
  CHECK(occurrences(daemon.log(), "its content has changed") == 1);
  daemon.stop();
}

TEST_CASE("a call that is made after its module's file has changed runs the new content") {
  const TemporaryFolder elsewhere;
  const fs::path draft = elsewhere.write("draft.js", version_of("0").code);
  Daemon daemon({.modules = {version_of("0")}, .flags = {"--module", "draft@v1=" + draft.string()}});
  ipc::Client client = daemon.connect();
  const fs::path modules = daemon.folder()->path() / "modules";
  const fs::path file = modules / "changing-v1.js";
  std::function<void(const std::string& text)> change = [&](const std::string& text) {
    fs::rename(daemon.folder()->write("next.js", version_of(text).code), file);
  };
  std::string module = "changing";
  SUBCASE("renamed into its place") {}
  SUBCASE("written in place") {
    change = [&](const std::string& text) { std::ofstream(file) << version_of(text).code; };
  }
  SUBCASE("removed and made anew") {
    change = [&](const std::string& text) {
      fs::remove(file);
      std::ofstream(file) << version_of(text).code;
    };
  }
  SUBCASE("a link that is replaced") {
    change = [&](const std::string& text) {
      const fs::path next = elsewhere.write("version-" + text + ".js", version_of(text).code);
      fs::create_symlink(next, modules / "next");
      fs::rename(modules / "next", file);
    };
  }
  SUBCASE("the directory is replaced") {
    change = [&](const std::string& text) {
      const fs::path next = daemon.folder()->path() / ("modules" + text);
      fs::create_directory(next);
      std::ofstream(next / "changing-v1.js") << version_of(text).code;
      fs::rename(modules, daemon.folder()->path() / ("old" + text));
      fs::rename(next, modules);
    };
  }
  SUBCASE("a file of --module") {
    module = "draft";
    change = [&](const std::string& text) { fs::rename(elsewhere.write("next.js", version_of(text).code), draft); };
  }
  CHECK(outcome(call(client, {module, "version"})) == "\"0\"");
  for (int i = 1; i <= 60; ++i) {
    const std::string text = std::to_string(i);
    change(text);
    REQUIRE(outcome(call(client, {module, "version"})) == "\"" + text + "\"");
    CHECK(outcome(call(client, {module, "version"})) == "\"" + text + "\"");
  }
  daemon.stop();
}

TEST_CASE("a file of --module that is replaced is noticed as one of the directory is") {
  const TemporaryFolder elsewhere;
  const fs::path draft = elsewhere.write("draft.js", "exports.echo = () => 'old';");
  Daemon daemon({.modules = {kEcho}, .flags = {"--module", "draft@2=" + draft.string()}});
  ipc::Client client = daemon.connect();
  const CallTo echo{.module = "draft", .function = "echo", .version = "2"};
  CHECK(outcome(call(client, echo)) == "\"old\"");
  fs::rename(elsewhere.write("next.js", "exports.echo = () => 'new';"), draft);
  REQUIRE(daemon.logged("draft@2: its content has changed"));
  CHECK(outcome(call(client, echo)) == "\"new\"");
  daemon.stop();
}

TEST_CASE("a file that is touched, or written anew with the same content, changes nothing") {
  Daemon daemon({.modules = {version_of("same"), version_of("same", "marker")}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"changing", "version"})) == "\"same\"");
  CHECK(outcome(call(client, {"marker", "version"})) == "\"same\"");
  const pid_t before = worker_of(client, "changing").pid;
  const fs::path file = daemon.folder()->path() / "modules/changing-v1.js";
  fs::last_write_time(file, fs::file_time_type::clock::now() + std::chrono::hours(1));
  fs::rename(daemon.folder()->write("next.js", version_of("same").code), file);
  // This change is reported later in the same way: once it is noticed, the first one has been noticed too.
  daemon.add_module(version_of("other", "marker"));
  REQUIRE(daemon.logged("marker@v1: its content has changed"));
  CHECK(outcome(call(client, {"changing", "version"})) == "\"same\"");
  CHECK(worker_of(client, "changing").pid == before);
  CHECK_FALSE(contains(daemon.log(), "changing@v1: its content"));
  daemon.stop();
}

TEST_CASE(
    "a file that changes while the broker is stopped is read once the broker goes on and the old code runs until "
    "then") {
  Daemon daemon({.modules = {version_of("old")}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"changing", "version"})) == "\"old\"");
  const pid_t broker = daemon.broker();
  ::kill(broker, SIGSTOP);
  REQUIRE(eventually([&] { return status_field(broker, "State").starts_with("T"); }));
  const fs::path next = daemon.folder()->write("next.js", version_of("new").code);
  fs::rename(next, daemon.folder()->path() / "modules/changing-v1.js");
  for (int i = 0; i < 2; ++i) CHECK(outcome(call(client, {"changing", "version"})) == "\"old\"");
  ::kill(broker, SIGCONT);
  CHECK(eventually([&] { return outcome(call(client, {"changing", "version"})) == "\"new\""; }));
  CHECK_FALSE(contains(daemon.log(), "cannot be read any more"));
  daemon.stop();
}

TEST_CASE("a module whose file is deleted is not_found for new calls, and those in flight end well") {
  Daemon daemon({.modules = {version_of("old")}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"changing", "version"})) == "\"old\"");
  Calls calls(client);
  const auto open = calls.start({"changing", "late", "1500"});
  CHECK(outcome(call(client, {"changing", "version"})) == "\"old\"");
  fs::remove(daemon.folder()->path() / "modules/changing-v1.js");
  REQUIRE(daemon.logged("changing@v1: its file cannot be read any more"));
  const auto error = error_of(call(client, {"changing", "version"}));
  CHECK(ipc::to_string(error.code) == "not_found");
  CHECK(error.executed == ipc::Executed::no);
  CHECK_FALSE(calls.is_answered(open));
  CHECK(outcome(calls.wait_for(open)) == "\"old\"");
  daemon.add_module(version_of("back"));
  CHECK(eventually([&] { return outcome(call(client, {"changing", "version"})) == "\"back\""; }));
  daemon.stop();
}

TEST_CASE("a module that is kept warm is warm with its new content, called or not") {
  const TemporaryFolder folder;
  const fs::path settings = folder.write("settings.toml", "[module.\"changing@v1\"]\nmin_warm = 1\n");
  Daemon daemon({.modules = {version_of("old")}, .flags = {"--config", settings}});
  ipc::Client client = daemon.connect();
  const auto is_warm = [&](pid_t not_this) {
    return workers_become(client, [&](const auto& all) {
      return std::any_of(all.begin(), all.end(), [&](const auto& worker) {
        return worker.state == ipc::WorkerState::idle && worker.pid != not_this;
      });
    });
  };
  REQUIRE(is_warm(0));
  const pid_t old = worker_of(client, "changing").pid;
  daemon.add_module(version_of("new"));
  REQUIRE(is_warm(old));
  const ipc::Answer answer = call(client, {"changing", "version"});
  CHECK(outcome(answer) == "\"new\"");
  CHECK_FALSE(answer.usage.cold);
  daemon.stop();
}

TEST_CASE("a directory of modules that cannot be watched is logged as a warning and is served") {
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
