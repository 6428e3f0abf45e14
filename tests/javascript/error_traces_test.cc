// Errors as the author of a module sees them: what was thrown, where, and its causes; and uncaught failures.
#include <doctest/doctest.h>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::test {
namespace {

// Runs `code`, the body of an async function, and returns the error that it throws.
ipc::Error thrown_by(const std::string& code, const char* profile = "jit") {
  Daemon daemon(
      {.modules = {{"m", "exports.f = async function f() {\n" + code + "\n};"}}, .flags = {"--profile", profile}});
  ipc::Client client = daemon.connect();
  const auto error = error_of(call(client, {"m", "f"}));
  CHECK(error.code == ipc::ErrorCode::exception);
  CHECK_FALSE(contains(error.stack, "holdfast:"));
  return error;
}

TEST_CASE("an error's causes are in its stack, as Node.js shows them") {
  for (const char* profile : kProfiles) {
    const auto error = thrown_by(R"js(
        try { null.x; } catch (inner) { throw new Error('outer', { cause: new RangeError('middle', { cause: inner }) }); }
    )js",
                                 profile);
    CHECK(error.message == "Error: outer");
    CHECK(contains(error.stack, "    at Object.f (m-v1.js:3:"));
    CHECK(contains(error.stack, ") {\n  [cause]: RangeError: middle\n      at Object.f (m-v1.js:3:"));
    CHECK(contains(error.stack,
                   ") {\n    [cause]: TypeError: Cannot read properties of null (reading 'x')\n        at "));
    CHECK(error.stack.ends_with(")\n  }\n}"));
  }
}

TEST_CASE("the errors of an AggregateError are in its stack, and other values as they are") {
  const auto error = thrown_by("throw new AggregateError([new Error('a'), 'b', null, { c: 1 }], 'all');");
  CHECK(error.message == "AggregateError: all");
  CHECK(contains(error.stack, " {\n  [errors]: [\n    Error: a\n        at Object.f (m-v1.js:2:"));
  CHECK(contains(error.stack, ",\n    'b',\n    null,\n    { c: 1 }\n  ]\n}"));
  CHECK(contains(thrown_by("return Promise.any([Promise.reject(new Error('a'))]);").stack,
                 "{\n  [errors]: [\n    Error: a"));
}

TEST_CASE("errors that have each other for causes, many errors and deep ones are shown in part") {
  CHECK(contains(thrown_by("const a = new Error('a'), b = new Error('b', { cause: a }); a.cause = b; throw a;").stack,
                 "cause: Error: b"));
  CHECK(contains(thrown_by("const a = new Error('a'); a.cause = a; throw a;").stack, "cause: [Circular]"));
  CHECK(contains(thrown_by("throw new AggregateError(Array(1000000).fill(0), 'many');").stack, "... 999"));
  CHECK(contains(thrown_by("let e = 0; for (let i = 0; i < 100; i++) e = new Error(i, { cause: e }); throw e;").stack,
                 "[cause]: [...]"));
}

TEST_CASE("getters of an error that throw, or lie, do not hide the rest") {
  CHECK(thrown_by("throw Object.defineProperty(new Error('m'), 'message', { get() { throw 1; } });").message ==
        "Error: its message cannot be shown");
  CHECK(contains(thrown_by("throw Object.defineProperty(new Error('m'), 'name', { get() { throw 1; } });").message,
                 ": m"));
  CHECK(thrown_by("throw Object.defineProperty(new Error('m'), 'stack', { get() { throw 1; } });").message ==
        "Error: m");
  CHECK(thrown_by("throw Object.defineProperty(new Error('m'), 'cause', { get() { throw 1; } });").message ==
        "Error: m");
  CHECK(thrown_by("throw Object.assign(new Error('m'), { errors: new Proxy([], { get() { throw 1; } }) });").message ==
        "Error: m");
}

TEST_CASE("what is thrown and is no Error is shown") {
  const std::string said = "a value that is not an Error was thrown: ";
  CHECK(thrown_by("throw 'text';").message == said + "text");
  CHECK(thrown_by("throw null;").message == said + "null");
  CHECK(thrown_by("throw undefined;").message == said + "undefined");
  CHECK(thrown_by("throw { a: [1] };").message == said + "{ a: [ 1 ] }");
  CHECK(thrown_by("throw 12n;").message == said + "12n");
  CHECK(thrown_by("throw Symbol('s');").message == said + "Symbol(s)");
}

TEST_CASE("a stack goes on across await") {
  const auto error = thrown_by(R"js(
      async function inner() { await new Promise((resolve) => setTimeout(resolve, 1)); throw new Error('late'); }
      await inner();
  )js");
  CHECK(contains(error.stack, "at inner (m-v1.js:3:"));
  CHECK(contains(error.stack, "at async Object.f (m-v1.js:4:"));
}

// --- uncaught failures ----------------------------------------------------------------------------------------------

constexpr const char* kCareless = R"js(
    const never = () => new Promise(() => {});
    exports.timer = () => { setTimeout(() => { throw new Error('in a timer'); }, 1); return never(); };
    exports.microtask = async () => { await null; queueMicrotask(() => { throw new Error('in a microtask'); }); return never(); };
    exports.rejection = () => { Promise.reject(new TypeError('unheard')); return never(); };
    exports.late = async () => { await new Promise((r) => setTimeout(r, 1)); (async () => { throw 7; })(); return never(); };
    exports.many = () => { for (let i = 0; i < 100000; i++) Promise.reject(i); return never(); };
    exports.answered = async () => { Promise.reject(new Error('after the answer')); return 'fine'; };
    exports.handled = async () => {
      const p = Promise.reject(new Error('handled'));
      p.catch(() => {});
      await new Promise((r) => setTimeout(r, 1));
      return 'fine';
    };
    exports.ping = () => 'pong';
)js";

TEST_CASE("a waiting call ends with an uncaught failure of its own code") {
  for (const char* profile : kProfiles) {
    Daemon daemon({.modules = {{"careless", kCareless}}, .flags = {"--profile", profile}});
    ipc::Client client = daemon.connect();
    CHECK(outcome(call(client, {"careless", "timer"})) == "exception: uncaught in a timer: Error: in a timer");
    CHECK(outcome(call(client, {"careless", "microtask"})) ==
          "exception: uncaught in a microtask: Error: in a microtask");
    const auto error = error_of(call(client, {"careless", "rejection"}));
    CHECK(error.message == "unhandled promise rejection: TypeError: unheard");
    CHECK(contains(error.stack, "careless-v1.js:5:"));
    CHECK(outcome(call(client, {"careless", "late"})) ==
          "exception: unhandled promise rejection: a value that is not an Error was thrown: 7");
    CHECK(contains(outcome(call(client, {"careless", "many"})), "exception: unhandled promise rejection: "));
    CHECK(daemon.logged("unhandled promise rejection: TypeError: unheard"));
    CHECK(worker_of(client, "careless").calls_done == 5);
    daemon.stop();
  }
}

TEST_CASE("what fails after a call was answered, or is handled in time, changes no answer") {
  Daemon daemon({.modules = {{"careless", kCareless}}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"careless", "answered"})) == "\"fine\"");
  CHECK(outcome(call(client, {"careless", "handled"})) == "\"fine\"");
  CHECK(daemon.logged("unhandled promise rejection: Error: after the answer"));
  CHECK_FALSE(contains(daemon.log(), "Error: handled"));
}

TEST_CASE("the failure of one call is not the failure of another") {
  Daemon daemon({.modules = {{"careless", kCareless}}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  const auto fails = calls.start({"careless", "late"});
  const auto waits = calls.start({"careless", "handled"});
  CHECK(code_of(calls.wait_for(fails)) == "exception");
  CHECK(outcome(calls.wait_for(waits)) == "\"fine\"");
}

TEST_CASE("a rejection that nobody handles fails a load that still awaits") {
  Daemon daemon(
      {.modules = {{"m", "Promise.reject(new Error('unheard')); await new Promise((r) => setTimeout(r, 60000));"}}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"m", "f"})) == "load_failed: unhandled promise rejection: Error: unheard");
}

// --- loads that fail -----------------------------------------------------------------------------------------------

ipc::Error load_error(const std::string& code) {
  Daemon daemon({.modules = {{"m", code}}});
  ipc::Client client = daemon.connect();
  const auto error = error_of(call(client, {"m", "f"}));
  CHECK(error.code == ipc::ErrorCode::load_failed);
  return error;
}

TEST_CASE("a load that fails shows the line, with a mark under the column") {
  CHECK(load_error("'use strict';\n\texports.f = () => 1 +* 2;\n").stack ==
        "m-v1.js:2\n\texports.f = () => 1 +* 2;\n\t                     ^\n    at m-v1.js:2:23");
  CHECK(load_error("export const f = ;").stack ==
        "m-v1.js:1\nexport const f = ;\n                 ^\n    at m-v1.js:1:18");
  const auto thrown = load_error("\nconst open = () => { throw new TypeError('no'); };\nopen();");
  CHECK(thrown.message == "TypeError: no");
  CHECK(thrown.stack.starts_with(
      "m-v1.js:2\nconst open = () => { throw new TypeError('no'); };\n                     ^\n    at open ("));
  const auto awaited = load_error("await null;\nawait (async () => { throw new Error('x'); })();");
  CHECK(awaited.stack.starts_with("m-v1.js:2\nawait (async () => { throw new Error('x'); })();\n"));
}

TEST_CASE("only the part around the column is shown of a long line") {
  const auto error = load_error("exports.f = 1;" + std::string(100000, ' ') + "let = * 5;" + std::string(100000, ' '));
  CHECK(error.detail.size() <= 160);
  CHECK(contains(error.detail, "* 5"));
  CHECK(error.stack.size() < 1000);
}

}  // namespace
}  // namespace holdfast::test
