// Every error that a call can end with, brought about for real.
#include <signal.h>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

using ipc::Executed;
using std::chrono::milliseconds;

const Module kEcho{"echo", "exports.echo = (payload) => payload;"};

// `held` calls never settle.
const Module kHolder{"holder", R"js(
    let held = 0;
    exports.hold = () => { held++; return new Promise(() => {}); };
    exports.held = () => held;
)js"};

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

TEST_CASE("a module that was removed keeps its process, and is not_found once that is gone") {
  Daemon daemon({.modules = {kEcho}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"echo", "echo", "1"})) == "1");
  std::filesystem::remove(daemon.folder()->path() / "modules/echo-v1.js");
  CHECK(outcome(call(client, {"echo", "echo", "2"})) == "2");
  ::kill(worker_of(client, "echo").pid, SIGKILL);
  CHECK(workers_become(client, [](const auto& all) {
    return std::none_of(all.begin(), all.end(), [](const auto& worker) { return worker.module == "echo"; });
  }));
  CHECK(code_of(call(client, {"echo", "echo", "3"})) == "not_found");
}

TEST_CASE("a function that is not exported is not_found, and the message says what is") {
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

TEST_CASE("what every object inherits is no export") {
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
  // Nothing of it remains, it fails again in the same way, and others are served.
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
  CHECK(contains(load_error("throw { sorry: true };").message, R"({"sorry":true})"));
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

TEST_CASE("the syntax of ES modules is load_failed") {
  CHECK(contains(load_error("export const f = () => 1;").message, "SyntaxError"));
  CHECK(contains(load_error("import fs from 'fs';").message, "SyntaxError"));
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

TEST_CASE("calls that waited while their module failed to load are all answered load_failed") {
  Daemon daemon(
      {.modules = {{"broken", "let end = Date.now() + 50; while (Date.now() < end) {} throw new Error('no');"}}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  for (int i = 0; i < 300; ++i) calls.start({"broken", "f"});
  calls.wait_for_all();
  CHECK(calls.count("load_failed") == 300);
}

// --- exception -----------------------------------------------------------------------------------------------------

TEST_CASE("what a function throws is its call's exception: name and message, and the stack with the right lines") {
  Daemon daemon({.modules = {{"thrower", R"js(
class Mine extends RangeError { get name() { return 'Mine'; } }
function deep(value) { throw new Mine(`not ${value}`); }
exports.plain = () => deep(7);
exports.rejected = () => Promise.reject(new TypeError('rejected'));
exports.afterAwait = async () => {
  await null;
  throw new Error('after await');
};
exports.afterTimer = async () => {
  await new Promise((resolve) => setTimeout(resolve, 1));
  throw new Error('after timer');
};
exports.argument = (payload) => payload.missing.deeper;
exports.noMessage = () => { throw new Error(); };
)js"}}});
  ipc::Client client = daemon.connect();
  const auto error = [&](const std::string& function) { return error_of(call(client, {"thrower", function})); };

  const auto plain = error("plain");
  CHECK(plain.code == ipc::ErrorCode::exception);
  CHECK(plain.message == "Mine: not 7");
  CHECK(contains(plain.stack, "at deep (thrower-v1.js:3:"));
  CHECK(contains(plain.stack, "(thrower-v1.js:4:"));
  CHECK(plain.executed == Executed::yes);
  CHECK_FALSE(plain.retryable);

  CHECK(error("rejected").message == "TypeError: rejected");
  CHECK(contains(error("rejected").stack, "thrower-v1.js:5:"));
  CHECK(error("afterAwait").message == "Error: after await");
  CHECK(contains(error("afterAwait").stack, "thrower-v1.js:8:"));
  CHECK(error("afterTimer").message == "Error: after timer");
  CHECK(contains(error("afterTimer").stack, "thrower-v1.js:12:"));
  CHECK(contains(error("argument").message, "TypeError: Cannot read properties of null"));
  CHECK(contains(error("argument").stack, "thrower-v1.js:14:"));
  CHECK(error("noMessage").message == "Error");
  for (const char* function : {"plain", "rejected", "afterAwait", "afterTimer"}) {
    CHECK_FALSE(contains(error(function).stack, "holdfast:"));  // nothing of ours, as nobody can do anything about it
  }
}

TEST_CASE("anything can be thrown, and is shown as well as it can be") {
  Daemon daemon({.modules = {{"thrower", R"js(
      exports.string = () => { throw 'just text'; };
      exports.number = () => { throw 7; };
      exports.nothing = () => { throw undefined; };
      exports.nil = async () => { throw null; };
      exports.object = () => { throw { reason: 'object' }; };
      exports.symbol = () => { throw Symbol('mark'); };
      exports.function = () => { throw function thrown() {}; };
      exports.bare = () => { throw Object.create(null); };
      exports.hostileName = () => {
        const e = new Error('x');
        throw Object.defineProperty(e, 'name', { get() { throw e; } });
      };
      exports.hostileMessage = () => { throw Object.assign(new Error(), { message: { toString() { throw 1; } } }); };
      exports.hostileStack = () => { throw Object.assign(new Error('m'), { stack: Symbol('s') }); };
      exports.proxy = () => {
        throw new Proxy({}, { get() { throw 1; }, getPrototypeOf() { throw 2; }, ownKeys() { throw 3; } });
      };
      exports.cyclic = () => { const o = {}; o.o = o; throw o; };
      exports.endless = () => { throw new Error('m'.repeat(10000000)); };
      exports.prepared = () => {
        Error.prepareStackTrace = () => { throw new Error('no stack'); };
        throw new Error('prepared');
      };
  )js"}}});
  ipc::Client client = daemon.connect();
  for (const std::string function :
       {"string", "number", "nothing", "nil", "object", "symbol", "function", "bare", "hostileName", "hostileMessage",
        "hostileStack", "proxy", "cyclic", "endless", "prepared"}) {
    CAPTURE(function);
    const auto answer = call(client, {"thrower", function});
    CHECK(code_of(answer) == "exception");
    CHECK(answer.error().message.size() > 0);
    CHECK(answer.error().message.size() <= 32 << 10);
  }
  CHECK(contains(error_of(call(client, {"thrower", "string"})).message, "just text"));
  CHECK(contains(error_of(call(client, {"thrower", "object"})).message, R"({"reason":"object"})"));
  CHECK(contains(error_of(call(client, {"thrower", "symbol"})).message, "Symbol(mark)"));
  CHECK(worker_of(client, "thrower").calls_done == 18);  // all of it in one process
}

TEST_CASE("a recursion without end is an exception and no crash") {
  Daemon daemon({.modules = {{"recursive", "exports.f = function f() { return f() + 1; };"}}});
  ipc::Client client = daemon.connect();
  const auto answer = call(client, {"recursive", "f"});
  CHECK(contains(outcome(answer), "exception: RangeError"));
  CHECK(contains(error_of(answer).stack, "recursive-v1.js:1:"));
}

// --- deadline_exceeded ---------------------------------------------------------------------------------------------

TEST_CASE("a call whose time is over while it waits for a worker is deadline_exceeded and was not executed") {
  Daemon daemon({.modules = {kHolder, kEcho}, .flags = {"--max-workers", "1"}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  calls.start({"holder", "hold"});
  REQUIRE(outcome(call(client, {"holder", "held"})) == "1");
  const auto error = error_of(call(client, {.module = "echo", .function = "echo", .timeout = milliseconds(50)}));
  CHECK(error.code == ipc::ErrorCode::deadline_exceeded);
  CHECK(error.executed == Executed::no);
  CHECK_FALSE(calls.is_answered(0));
}

TEST_CASE("a call whose promise never settles is deadline_exceeded, and its process goes on") {
  Daemon daemon({.modules = {kHolder}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"holder", "held"})) == "0");
  const auto before = worker_of(client, "holder").pid;
  const auto error = error_of(call(client, {.module = "holder", .function = "hold", .timeout = milliseconds(50)}));
  CHECK(error.code == ipc::ErrorCode::deadline_exceeded);
  CHECK(error.executed == Executed::maybe);
  CHECK(outcome(call(client, {"holder", "held"})) == "1");
  CHECK(worker_of(client, "holder").pid == before);
}

TEST_CASE("--timeout is the time of calls that set none") {
  Daemon daemon({.modules = {kHolder}, .flags = {"--timeout", "50ms"}});
  ipc::Client client = daemon.connect();
  CHECK(code_of(call(client, {"holder", "hold"})) == "deadline_exceeded");
}

TEST_CASE(
    "a call that is on the CPU at its deadline is deadline_exceeded with its stack, and the process is replaced") {
  Daemon daemon(
      {.modules =
           {{"spinner",
             "\nfunction spin() { while (true) {} }\nexports.spin = () => spin();\nexports.ping = () => 'pong';"}},
       .flags = {"--stretch", "1m"}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"spinner", "ping"})) == "\"pong\"");
  const auto before = worker_of(client, "spinner").pid;
  const auto error = error_of(call(client, {.module = "spinner", .function = "spin", .timeout = milliseconds(100)}));
  CHECK(error.code == ipc::ErrorCode::deadline_exceeded);
  CHECK(error.executed == Executed::maybe);
  CHECK(contains(error.stack, "spin (spinner-v1.js:2:"));
  CHECK(outcome(call(client, {"spinner", "ping"})) == "\"pong\"");
  CHECK(worker_of(client, "spinner").pid != before);
  CHECK(eventually([&] { return !is_running(before); }));
}

// --- out_of_memory -------------------------------------------------------------------------------------------------

TEST_CASE("a function that fills its heap is out_of_memory; the supervisor and other modules do not notice") {
  Daemon daemon({.modules = {kEcho, {"glutton", R"js(
      exports.arrays = () => { const all = []; while (true) all.push(new Array(1000).fill(0.5)); };
      exports.objects = () => { let list = null; while (true) list = { list, a: 1, b: 'two' }; };
      exports.strings = () => { const all = []; while (true) all.push(`${all.length}`.repeat(50) + Math.random()); };
      exports.map = () => { const map = new Map(); for (let i = 0; ; i++) map.set(i, {}); };
      exports.closures = () => { const all = []; while (true) all.push(() => all); };
      exports.oneArray = () => { const all = []; while (true) all.push(1.5, {}); };
      exports.promises = async () => { const all = []; while (true) all.push(new Promise(() => {})); };
      exports.afterAwait = async () => { await null; const all = []; while (true) all.push({ all }); };
      exports.ping = () => 'pong';
  )js"}},
                 .flags = {"--memory", "32MB", "--stretch", "30s"}});
  ipc::Client client = daemon.connect();
  for (const std::string function :
       {"arrays", "objects", "strings", "map", "closures", "oneArray", "promises", "afterAwait"}) {
    CAPTURE(function);
    CHECK(outcome(call(client, {"glutton", "ping"})) == "\"pong\"");
    const auto before = worker_of(client, "glutton").pid;
    const auto error = error_of(call(client, {"glutton", function}));
    CHECK(ipc::to_string(error.code) == "out_of_memory");
    CHECK(error.executed == Executed::maybe);
    CHECK_FALSE(error.retryable);
    CHECK(contains(error.message, "32MB"));
    CHECK(outcome(call(client, {"glutton", "ping"})) == "\"pong\"");
    CHECK(worker_of(client, "glutton").pid != before);
    CHECK(outcome(call(client, {"echo", "echo", "1"})) == "1");
  }
  CHECK(worker_of(client, "echo").calls_done == 8);
  daemon.stop();
}

TEST_CASE("an array buffer beyond the limit is a RangeError that the function can handle") {
  Daemon daemon({.modules = {{"buffers", R"js(
      exports.one = () => new Uint8Array(2 ** 32).length;
      exports.handled = () => { try { return new Uint8Array(40 << 20).length; } catch (error) { return error.name; } };
      exports.some = () => new Uint8Array(8 << 20).fill(1).length;
  )js"}},
                 .flags = {"--memory", "32MB"}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"buffers", "some"})) == "8388608");
  const auto before = worker_of(client, "buffers").pid;
  CHECK(contains(outcome(call(client, {"buffers", "one"})), "exception: RangeError"));
  CHECK(outcome(call(client, {"buffers", "handled"})) == "\"RangeError\"");
  for (int i = 0; i < 20; ++i) CHECK(outcome(call(client, {"buffers", "some"})) == "8388608");  // garbage is given back
  CHECK(worker_of(client, "buffers").pid == before);
}

TEST_CASE("a function that fills its memory with array buffers gets no more than the limit, and nobody else notices") {
  Daemon daemon({.modules = {kEcho, {"buffers", R"js(
      exports.fill = () => { const all = []; while (true) all.push(new Uint8Array(1 << 20).fill(1)); };
      exports.grow = () => { const memory = new WebAssembly.Memory({ initial: 1 }); while (true) memory.grow(16); };
      exports.tables = () => {
        const table = new WebAssembly.Table({ initial: 1, element: 'anyfunc' });
        while (true) table.grow(100000);
      };
      exports.ping = () => 'pong';
  )js"}},
                 .flags = {"--memory", "32MB", "--stretch", "30s"}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"echo", "echo", "1"})) == "1");
  for (const std::string function : {"fill", "grow", "tables"}) {
    CAPTURE(function);
    const std::string end = code_of(call(client, {"buffers", function}));
    CHECK((end == "exception" || end == "out_of_memory"));
    CHECK(outcome(call(client, {"buffers", "ping"})) == "\"pong\"");
  }
  CHECK(outcome(call(client, {"echo", "echo", "2"})) == "2");
  CHECK(worker_of(client, "echo").calls_done == 2);
  daemon.stop();
}

// --- worker_crashed ------------------------------------------------------------------------------------------------

TEST_CASE("the call of a worker that is killed from outside is worker_crashed, names the signal and may be repeated") {
  Daemon daemon({.modules = {kHolder}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  calls.start({"holder", "hold"});
  REQUIRE(outcome(call(client, {"holder", "held"})) == "1");
  ::kill(worker_of(client, "holder").pid, SIGKILL);
  const auto error = error_of(calls.wait_for(0));
  CHECK(error.code == ipc::ErrorCode::worker_crashed);
  CHECK(error.detail == "SIGKILL");
  CHECK(error.executed == Executed::maybe);
  CHECK(error.retryable);
  CHECK(outcome(call(client, {"holder", "held"})) == "0");
  daemon.stop();
}

// --- overloaded ----------------------------------------------------------------------------------------------------

TEST_CASE("calls beyond --queue-limit are overloaded, and are told when to try again") {
  Daemon daemon({.modules = {kHolder, kEcho}, .flags = {"--max-workers", "1", "--queue-limit", "3"}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  calls.start({"holder", "hold"});
  REQUIRE(outcome(call(client, {"holder", "held"})) == "1");
  for (int i = 0; i < 5; ++i) calls.start({.module = "echo", .function = "echo", .timeout = milliseconds(2000)});
  for (std::size_t place : {4, 5}) {
    const auto error = error_of(calls.wait_for(place));
    CHECK(error.code == ipc::ErrorCode::overloaded);
    CHECK(error.executed == Executed::no);
    CHECK(error.retryable);
    CHECK(error.retry_after > milliseconds(0));
  }
  CHECK_FALSE(calls.is_answered(1));
  calls.cancel(0);
  for (std::size_t place : {1, 2, 3}) CHECK(code_of(calls.wait_for(place)) == "result");
}

// --- cancelled -----------------------------------------------------------------------------------------------------

TEST_CASE("a call that is cancelled in the queue was not executed") {
  Daemon daemon({.modules = {kHolder, kEcho}, .flags = {"--max-workers", "1"}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  calls.start({"holder", "hold"});
  REQUIRE(outcome(call(client, {"holder", "held"})) == "1");
  const auto queued = calls.start({"echo", "echo"});
  calls.cancel(queued);
  const auto error = error_of(calls.wait_for(queued));
  CHECK(error.code == ipc::ErrorCode::cancelled);
  CHECK(error.executed == Executed::no);
}

TEST_CASE("a call that is cancelled while it waits for its promise may have been executed, and its process goes on") {
  Daemon daemon({.modules = {kHolder}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  calls.start({"holder", "hold"});
  REQUIRE(outcome(call(client, {"holder", "held"})) == "1");
  const auto before = worker_of(client, "holder").pid;
  calls.cancel(0);
  const auto error = error_of(calls.wait_for(0));
  CHECK(error.code == ipc::ErrorCode::cancelled);
  CHECK(error.executed == Executed::maybe);
  CHECK(outcome(call(client, {"holder", "held"})) == "1");
  CHECK(worker_of(client, "holder").pid == before);
  CHECK(worker_of(client, "holder").calls_in_flight == 0);
}

TEST_CASE("a call that is cancelled while it is on the CPU is answered at once, and its process is stopped") {
  Daemon daemon({.modules = {{"spinner", "exports.spin = () => { while (true) {} }; exports.ping = () => 'pong';"}},
                 .flags = {"--stretch", "2s"}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"spinner", "ping"})) == "\"pong\"");
  const auto before = worker_of(client, "spinner").pid;
  Calls calls(client);
  calls.start({"spinner", "spin"});
  client.run_once(milliseconds(0));
  REQUIRE(workers_become(client, [](const auto& all) {
    return std::any_of(all.begin(), all.end(), [](const auto& worker) { return worker.calls_in_flight == 1; });
  }));
  calls.cancel(0);
  CHECK(code_of(calls.wait_for(0)) == "cancelled");
  CHECK(eventually([&] { return !is_running(before); }));
  CHECK(outcome(call(client, {"spinner", "ping"})) == "\"pong\"");
}

TEST_CASE("a call that answers after it was cancelled is not answered twice") {
  Daemon daemon({.modules = {{"late", R"js(
      let resolvers = [];
      exports.hold = (value) => new Promise((resolve) => resolvers.push(() => resolve(value)));
      exports.held = () => resolvers.length;
      exports.release = () => { for (const resolve of resolvers) resolve(); return resolvers.length; };
  )js"}}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  for (int i = 0; i < 20; ++i) calls.start({"late", "hold", "1"});
  REQUIRE(outcome(call(client, {"late", "held"})) == "20");
  for (std::size_t i = 0; i < 20; i += 2) calls.cancel(i);
  for (std::size_t i = 0; i < 20; i += 2) CHECK(code_of(calls.wait_for(i)) == "cancelled");
  CHECK(outcome(call(client, {"late", "release"})) == "20");
  calls.wait_for_all();
  CHECK(calls.count("result") == 10);
  CHECK(calls.order().size() == 20);
  CHECK(outcome(call(client, {"late", "release"})) == "20");  // an answer too many would have ended the session
}

// --- payload_too_large, not_serializable, protocol_error -----------------------------------------------------------

TEST_CASE("a payload or a result beyond the limit is payload_too_large, in both directions") {
  Daemon daemon({.modules = {{"sized", "exports.make = (size) => 'x'.repeat(size); exports.take = () => 1;"}},
                 .flags = {"--memory", "256MB", "--stretch", "30s"}});
  ipc::Client client = daemon.connect();
  const std::uint64_t limit = client.server().max_payload_bytes;
  CHECK(code_of(call(client, {"sized", "make", std::to_string(limit - 2)})) == "result");
  const auto error = error_of(call(client, {"sized", "make", std::to_string(limit - 1)}));
  CHECK(error.code == ipc::ErrorCode::payload_too_large);
  CHECK(error.executed == Executed::yes);
  CHECK(code_of(call(client, {"sized", "take", "\"" + std::string(limit - 2, 'x') + "\""})) == "result");
  const auto large = error_of(call(client, {"sized", "take", "\"" + std::string(limit - 1, 'x') + "\""}));
  CHECK(large.code == ipc::ErrorCode::payload_too_large);
  CHECK(large.executed == Executed::no);
  CHECK(outcome(call(client, {"sized", "take"})) == "1");
}

TEST_CASE("a result that JSON cannot say is not_serializable, with the path of the value") {
  Daemon daemon({.modules = {{"odd", R"js(
      exports.bigint = () => ({ list: [1, { 'a key': 7n }] });
      exports.cycle = () => { const node = { child: { name: 'x' } }; node.child.parent = node; return node; };
      exports.function = () => () => 1;
      exports.symbol = () => Symbol('s');
      exports.throws = () => ({ toJSON() { throw new Error('will not'); } });
      exports.promised = async () => 7n;
      exports.deep = () => {
        const root = {};
        for (let i = 0, at = root; i < 100000; i++) at = at.a = {};
        return root;
      };
      exports.shared = () => { const leaf = {}; return { a: leaf, b: leaf }; };
      exports.undefinedFromToJSON = () => ({ toJSON() { return undefined; } });
  )js"}},
                 .flags = {"--stretch", "30s"}});
  ipc::Client client = daemon.connect();
  const auto error = [&](const char* function) {
    auto found = error_of(call(client, {"odd", function}));
    CAPTURE(function);
    CHECK(ipc::to_string(found.code) == "not_serializable");
    CHECK(found.executed == Executed::yes);
    return found;
  };
  CHECK(error("bigint").detail == R"($.list[1]["a key"])");
  CHECK(error("cycle").detail == "$.child.parent");
  CHECK(contains(error("function").message, "function"));
  CHECK(contains(error("symbol").message, "symbol"));
  CHECK(contains(error("throws").message, "will not"));
  CHECK(error("promised").detail == "$");
  error("deep");
  error("undefinedFromToJSON");
  CHECK(outcome(call(client, {"odd", "shared"})) == R"({"a":{},"b":{}})");
}

TEST_CASE("a payload that is not JSON is protocol_error and was not executed") {
  Daemon daemon({.modules = {kEcho}});
  ipc::Client client = daemon.connect();
  for (const std::string payload : {"{", "nonsense", "1 2", "'x'", "\xFF\xFE", "[1,]", "{\"a\":}", "\"\n\""}) {
    CAPTURE(payload);
    const auto error = error_of(call(client, {"echo", "echo", payload}));
    CHECK(ipc::to_string(error.code) == "protocol_error");
    CHECK(error.executed == Executed::no);
  }
  CHECK(code_of(call(client, {.module = "echo",
                              .function = "echo",
                              .payload = R"({"length":1})",
                              .arguments = ipc::ArgumentStyle::positional})) == "protocol_error");
  CHECK(outcome(call(client, {"echo", "echo", "1"})) == "1");
}

TEST_CASE("a payload that nests deeper than a stack goes is answered, whatever it comes to") {
  Daemon daemon({.modules = {kEcho}, .flags = {"--stretch", "30s"}});
  ipc::Client client = daemon.connect();
  const std::size_t depth = 4'000'000;
  const auto answer = call(client, {"echo", "echo", std::string(depth, '[') + std::string(depth, ']')});
  CHECK(code_of(answer) != "worker_crashed");
  CHECK(outcome(call(client, {"echo", "echo", "1"})) == "1");
}

// --- unavailable ---------------------------------------------------------------------------------------------------

TEST_CASE("calls on a connection that is lost are unavailable: maybe executed if they were sent, else not") {
  Daemon daemon({.modules = {kHolder}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  calls.start({"holder", "hold"});
  REQUIRE(outcome(call(client, {"holder", "held"})) == "1");
  daemon.signal(SIGKILL);
  const auto sent = error_of(calls.wait_for(0));
  CHECK(sent.code == ipc::ErrorCode::unavailable);
  CHECK(sent.executed == Executed::maybe);
  CHECK(sent.retryable);
  const auto later = error_of(call(client, {"holder", "held"}));
  CHECK(later.code == ipc::ErrorCode::unavailable);
  CHECK(later.executed == Executed::no);
}

}  // namespace
}  // namespace holdfast::test
