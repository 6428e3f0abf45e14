// Modules that do not exist, and modules that cannot be loaded.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/stat.h>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::test {
namespace {

using ipc::Executed;

const Module kEcho{"echo", "exports.echo = (payload) => payload;"};

// --- not_found -----------------------------------------------------------------------------------------------------

TEST_CASE("a module or version that does not exist is not_found, and the message names the file that is missing") {
  Daemon daemon({.modules = {kEcho}});
  ipc::Client client = daemon.connect();
  const auto module = error_of(call(client, {"missing", "echo"}));
  CHECK(module.code == ipc::ErrorCode::not_found);
  CHECK(contains(module.message, "missing-v1.js"));
  CHECK(module.executed == Executed::no);
  CHECK_FALSE(module.retryable);
  const auto version = error_of(call(client, {.module = "echo", .function = "echo", .version = "v2"}));
  CHECK(version.code == ipc::ErrorCode::not_found);
  CHECK(contains(version.message, "echo-v2.js"));
}

TEST_CASE("a module that is added while the supervisor runs is found") {
  Daemon daemon({});
  ipc::Client client = daemon.connect();
  CHECK(code_of(call(client, {"echo", "echo", "1"})) == "not_found");
  daemon.add_module(kEcho);
  CHECK(outcome(call(client, {"echo", "echo", "1"})) == "1");
}

TEST_CASE("a module that was removed is not_found for calls that are sent from then on") {
  Daemon daemon({.modules = {kEcho}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"echo", "echo", "1"})) == "1");
  std::filesystem::remove(daemon.folder()->path() / "modules/echo-v1.js");
  CHECK(code_of(call(client, {"echo", "echo", "2"})) == "not_found");
  CHECK(workers_become(client, [](const auto& all) {
    return std::none_of(all.begin(), all.end(), [](const auto& worker) { return worker.module == "echo"; });
  }));
  CHECK(code_of(call(client, {"echo", "echo", "3"})) == "not_found");
}

TEST_CASE("a function that is not exported is not_found and the message lists the exports") {
  Daemon daemon(
      {.modules = {{"module", "exports.one = () => 1; exports.two = () => 2; exports.number = 3;"}, {"empty", ""}}});
  ipc::Client client = daemon.connect();
  const auto error = error_of(call(client, {"module", "three"}));
  CHECK(error.code == ipc::ErrorCode::not_found);
  CHECK(contains(error.message, "\"three\""));
  CHECK(contains(error.message, "one, two"));
  CHECK(error.executed == Executed::no);
  CHECK(code_of(call(client, {"module", "number"})) == "not_found");
  CHECK(code_of(call(client, {"module", ""})) == "not_found");
  CHECK(code_of(call(client, {"module", std::string(257, 'f')})) == "not_found");
  CHECK(contains(error_of(call(client, {"empty", "one"})).message, "nothing"));
  CHECK(outcome(call(client, {"module", "one"})) == "1");
}

TEST_CASE("inherited properties of an object are not exports") {
  Daemon daemon({.modules = {{"module", "class Base { inherited() { return 1; } } module.exports = new Base();"}}});
  ipc::Client client = daemon.connect();
  for (const char* name : {"constructor", "toString", "hasOwnProperty", "__proto__", "__defineGetter__", "inherited"}) {
    CHECK(code_of(call(client, {"module", name})) == "not_found");
  }
}

TEST_CASE("no name of a module or version leads out of the modules directory") {
  Daemon daemon({.modules = {kEcho}});
  daemon.folder()->write("secret-v1.js", "exports.read = () => 'secret';");
  ipc::Client client = daemon.connect();
  const auto code = [&](std::string module, std::string version) {
    return code_of(call(client, {.module = std::move(module), .function = "read", .version = std::move(version)}));
  };
  CHECK(code("../secret", "v1") == "not_found");
  CHECK(code("..", "/../secret-v1") == "not_found");
  CHECK(code("x/../../secret", "v1") == "not_found");
  CHECK(code(daemon.folder()->path() / "secret", "v1") == "not_found");
  CHECK(code("", "v1") == "not_found");
  CHECK(code("secret", "") == "not_found");
  CHECK(code(".secret", "v1") == "not_found");
  CHECK(code(std::string("echo\0", 5), "v1") == "not_found");
  CHECK(code("echo", std::string("v1.js\0", 6)) == "not_found");
  CHECK(code("echo\n", "v1") == "not_found");
  CHECK(code("\xC3\xA9", "v1") == "not_found");
  CHECK(code(std::string(65, 'm'), "v1") == "not_found");
  CHECK(code(std::string(1 << 20, 'm'), "v1") == "not_found");
}

// --- load_failed ---------------------------------------------------------------------------------------------------

ipc::Error load_error(const std::string& code, std::vector<std::string> flags = {}) {
  Daemon daemon({.modules = {{"broken", code}, kEcho}, .flags = std::move(flags)});
  ipc::Client client = daemon.connect();
  const auto error = error_of(call(client, {"broken", "f"}));
  CHECK(error.code == ipc::ErrorCode::load_failed);
  CHECK(error.executed == Executed::no);
  // No worker of the module remains, it fails again in the same way, and other modules are served.
  CHECK(workers_become(client, [](const auto& all) {
    return std::none_of(all.begin(), all.end(), [](const auto& worker) { return worker.module == "broken"; });
  }));
  CHECK(code_of(call(client, {"broken", "f"})) == "load_failed");
  CHECK(outcome(call(client, {"echo", "echo", "1"})) == "1");
  daemon.stop();
  return error;
}

TEST_CASE("a syntax error is load_failed, with file, line, column and the line itself") {
  const auto error = load_error("'use strict';\n\nexports.f = () => 1 +* 2;\n");
  CHECK(contains(error.message, "SyntaxError"));
  CHECK(contains(error.stack, "broken-v1.js:3:"));
  CHECK(error.stack.find_last_of("0123456789") == error.stack.size() - 1);
  CHECK(error.detail == "exports.f = () => 1 +* 2;");
}

TEST_CASE("a top level that throws is load_failed, with what was thrown and where") {
  const auto error = load_error("\nfunction open() { throw new TypeError('no such thing'); }\nopen();\n");
  CHECK(error.message == "TypeError: no such thing");
  CHECK(contains(error.stack, "open (broken-v1.js:2:"));
  CHECK(contains(error.stack, "broken-v1.js:3:"));
}

TEST_CASE("a top level that throws what is no Error is load_failed") {
  CHECK(contains(load_error("throw { sorry: true };").message, "{ sorry: true }"));
}

TEST_CASE("a top level that never ends is load_failed, and the stack says where it was") {
  const auto error = load_error("\nfunction spin() { while (true) {} }\nspin();\n", {"--stretch", "100ms"});
  CHECK(error.detail == "cpu_exceeded");
  CHECK(contains(error.message, "100ms"));
  CHECK(contains(error.stack, "spin (broken-v1.js:2:"));
}

TEST_CASE("a top level that uses up its memory is load_failed") {
  const auto error = load_error("const all = []; while (true) all.push(new Array(100).fill({}));",
                                {"--memory", "32MB", "--stretch", "10s"});
  CHECK(error.detail == "out_of_memory");
}

TEST_CASE("exports that are no object are load_failed") {
  CHECK(contains(load_error("module.exports = 7;").message, "number"));
  CHECK(contains(load_error("module.exports = undefined;").message, "undefined"));
  CHECK(contains(load_error("module.exports = null;").message, "must be an object"));
  CHECK(contains(
      load_error("Object.defineProperty(module, 'exports', { get() { throw new Error('mine'); } });").message, "mine"));
}

TEST_CASE("source that is not UTF-8 or holds NUL bytes fails or loads, and hurts nobody") {
  CHECK(contains(load_error("\xFF\xFE\x00\x01").message, "SyntaxError"));
  CHECK(contains(load_error(std::string("exports.f = \0;", 14)).message, "SyntaxError"));
}

TEST_CASE("a file that is no regular file, too large or unreadable is load_failed with the reason") {
  Daemon daemon({.modules = {kEcho}});
  const auto modules = daemon.folder()->path() / "modules";
  std::filesystem::create_directory(modules / "folder-v1.js");
  REQUIRE(::mkfifo((modules / "pipe-v1.js").c_str(), 0600) == 0);
  std::filesystem::create_symlink("loop-v1.js", modules / "loop-v1.js");
  daemon.folder()->write("modules/large-v1.js", "");
  std::filesystem::resize_file(modules / "large-v1.js", std::uintmax_t{1} << 40);
  ipc::Client client = daemon.connect();
  CHECK(contains(outcome(call(client, {"folder", "f"})),
                 "load_failed: cannot read module folder@v1: it is not a regular file"));
  CHECK(contains(outcome(call(client, {"pipe", "f"})),
                 "load_failed: cannot read module pipe@v1: it is not a regular file"));
  CHECK(contains(outcome(call(client, {"large", "f"})), "load_failed: cannot read module large@v1: it has "));
  CHECK(code_of(call(client, {"loop", "f"})) != "result");
  CHECK(outcome(call(client, {"echo", "echo", "1"})) == "1");
  daemon.stop();
}

TEST_CASE("a call whose time is over before its module is loaded is told so, and its function is not run") {
  Daemon daemon({.modules = {{"slow", R"js(
      let runs = 0;
      await new Promise((resolve) => setTimeout(resolve, 300));
      export const run = () => ++runs;
  )js"}}});
  ipc::Client client = daemon.connect();
  const ipc::Error error =
      error_of(call(client, {.module = "slow", .function = "run", .timeout = std::chrono::milliseconds(50)}));
  CHECK(error.code == ipc::ErrorCode::deadline_exceeded);
  CHECK(error.executed == ipc::Executed::no);
  CHECK(contains(error.message, "before its module was loaded"));
  CHECK(outcome(call(client, {"slow", "run"})) == "1");
}

TEST_CASE("a call that is cancelled while its module loads is not run") {
  Daemon daemon({.modules = {{"slow", R"js(
      const end = Date.now() + 500;
      while (Date.now() < end);
      let runs = 0;
      exports.run = () => ++runs;
  )js"}},
                 .flags = {"--stretch", "30s", "--standby", "0"}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  const std::size_t place = calls.start({"slow", "run"});
  workers(client);  // this answer shows that the worker was given the module
  calls.cancel(place);
  CHECK(code_of(calls.wait_for(place)) == "cancelled");
  CHECK(outcome(call(client, {"slow", "run"})) == "1");
}

TEST_CASE("calls that waited while their module failed to load are all answered load_failed") {
  Daemon daemon(
      {.modules = {{"broken", "let end = Date.now() + 50; while (Date.now() < end) {} throw new Error('no');"}}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  for (int i = 0; i < 300; ++i) calls.start({"broken", "f"});
  calls.wait_for_all();
  CHECK(calls.count("load_failed") == 300);
}

}  // namespace
}  // namespace holdfast::test
