// The two module formats, how they are told apart, and what modules may export.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::test {
namespace {

// Writes a module file with this text, calls its function `f`, and returns the outcome.
std::string outcome_of_file(const std::string& file_name, const std::string& code) {
  Daemon daemon({});
  daemon.folder()->write("modules/" + file_name, code);
  ipc::Client client = daemon.connect();
  return outcome(call(client, {file_name.substr(0, file_name.find('-')), "f"}));
}

TEST_CASE("functions are exported by name, by a default object, or both, and names come first") {
  for (const char* profile : kProfiles) {
    Daemon daemon({.modules = {{"both", R"js(
        export const f = () => 'named';
        export default { f: () => 'by default', g: async () => 'g', get h() { return () => 'h'; }, no: 7 };
        export let value = 1;
    )js"},
                               {"one", "export default function (payload) { return typeof this; }"}},
                   .flags = {"--profile", profile}});
    ipc::Client client = daemon.connect();
    CHECK(outcome(call(client, {"both", "f"})) == "\"named\"");
    CHECK(outcome(call(client, {"both", "g"})) == "\"g\"");
    CHECK(outcome(call(client, {"both", "h"})) == "\"h\"");
    CHECK(outcome(call(client, {"both", "no"})) ==
          "not_found: module both@v1 exports no function \"no\"; it exports: f, value (a number), g, h, no (a number)");
    CHECK(code_of(call(client, {"both", "value"})) == "not_found");
    CHECK(code_of(call(client, {"both", "toString"})) == "not_found");
    CHECK(outcome(call(client, {"one", "default"})) == "\"undefined\"");
    daemon.stop();
  }
}

TEST_CASE("a default export that a compiler has transformed exports its functions too") {
  CHECK(outcome_of_file("made-v1.js", R"js(
      Object.defineProperty(module.exports, '__esModule', { value: true });
      Object.defineProperty(module.exports, 'default', { get: () => ({ f: () => 'of the default' }), enumerable: true });
  )js") == "\"of the default\"");
}

TEST_CASE("a named function is called without this, and one of an object with the object") {
  CHECK(outcome_of_file("m-v1.mjs", "export function f() { return this === undefined; }") == "true");
  CHECK(outcome_of_file("m-v1.mjs", "export default { x: 5, f() { return this.x; } };") == "5");
  CHECK(outcome_of_file("m-v1.cjs", "exports.x = 6; exports.f = function () { return this.x; };") == "6");
}

TEST_CASE("exports are live and a call uses their current value") {
  Daemon daemon({.modules = {{"live", "export let f = () => { f = () => 'second'; return 'first'; };"}}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"live", "f"})) == "\"first\"");
  CHECK(outcome(call(client, {"live", "f"})) == "\"second\"");
}

TEST_CASE("the format is told by the file's ending, else by the syntax") {
  const std::string es = "export const f = () => typeof module;", common = "exports.f = () => typeof module;";
  CHECK(outcome_of_file("m-v1.js", es) == "\"undefined\"");
  CHECK(outcome_of_file("m-v1.js", common) == "\"object\"");
  CHECK(outcome_of_file("m-v1.mjs", es) == "\"undefined\"");
  CHECK(outcome_of_file("m-v1.cjs", common) == "\"object\"");
  CHECK(contains(outcome_of_file("m-v1.mjs", common), "load_failed: ReferenceError: exports is not defined"));
  CHECK(contains(outcome_of_file("m-v1.cjs", es), "load_failed: SyntaxError: Unexpected token 'export'"));
}

TEST_CASE("syntax that only ES modules have makes a file an ES module") {
  CHECK(outcome_of_file("m-v1.js", "const u = import.meta.url; export const f = () => u;") == "\"file:///m-v1.js\"");
  CHECK(outcome_of_file("m-v1.js", "const x = await 3; export const f = () => x;") == "3");
  CHECK(outcome_of_file("m-v1.js",
                        "const x = []; for await (const y of [1, 2]) x.push(y); export const f = () => x;") == "[1,2]");
  CHECK(outcome_of_file("m-v1.js", "const module = 1, require = 2, exports = 3; export const f = () => module;") ==
        "1");
  // This syntax does not make an ES module: the error is that of CommonJS.
  CHECK(contains(outcome_of_file("m-v1.js", "exports.f = () => await 1;"),
                 "SyntaxError: await is only valid in async functions and the top level bodies of modules"));
  CHECK(contains(outcome_of_file("m-v1.js", "const module = 1; let x = ;"), "SyntaxError"));
}

TEST_CASE("an ES module is loaded once its top-level await has settled, and calls wait for that") {
  for (const char* profile : kProfiles) {
    Daemon daemon({.modules = {{"slow", R"js(
        let steps = 0;
        await new Promise((resolve) => {
          const interval = setInterval(() => {
            if (++steps < 5) return;
            clearInterval(interval);
            setTimeout(resolve, 20);
          }, 1);
        });
        export const f = (n) => [n, steps === 5];
    )js"}},
                   .flags = {"--profile", profile}});
    ipc::Client client = daemon.connect();
    Calls calls(client);
    for (int i = 0; i < 20; ++i) calls.start({"slow", "f", std::to_string(i)});
    calls.wait_for_all();
    for (int i = 0; i < 20; ++i)
      CHECK(outcome(calls.answer(static_cast<std::size_t>(i))) == fmt::format("[{},true]", i));
    daemon.stop();
  }
}

TEST_CASE("a module whose top-level await can never settle fails at once") {
  CHECK(outcome_of_file("m-v1.js", "await new Promise(() => {}); export const f = 1;") ==
        "load_failed: the module's top-level await never settles: no timer is set, and nothing else can wake it");
}

TEST_CASE("while a top-level await takes long, calls end at their deadlines, and others go on") {
  Daemon daemon({.modules = {{"long", "await new Promise((resolve) => setTimeout(resolve, 3600000));"},
                             {"other", "export const f = () => 1;"}}});
  ipc::Client client = daemon.connect();
  CHECK(code_of(call(client, {"long", "f", "null", std::chrono::milliseconds(200)})) == "deadline_exceeded");
  CHECK(worker_of(client, "long").state == ipc::WorkerState::loading);
  CHECK(outcome(call(client, {"other", "f"})) == "1");
}

TEST_CASE("a top level that loops after an await is load_failed like any other, with its stack") {
  Daemon daemon({.modules = {{"loop", R"js(await new Promise((resolve) => setTimeout(resolve, 1));
function spin() { while (true); }
spin();)js"}},
                 .flags = {"--stretch", "100ms"}});
  ipc::Client client = daemon.connect();
  const auto error = error_of(call(client, {"loop", "f"}));
  CHECK(error.code == ipc::ErrorCode::load_failed);
  CHECK(error.detail == "cpu_exceeded");
  CHECK(contains(error.stack, "spin (loop-v1.js:2:"));
}

TEST_CASE("an import or require of anything else fails with its name and says how to bundle") {
  const std::string bundle = "Bundle its dependencies into it, for example with: npx esbuild app.js --bundle --format=";
  Daemon daemon(
      {.modules = {{"static", "// one\nexport const f = 1;\nimport _ from 'lodash';\n"},
                   {"dynamic", "exports.f = () => import('lodash');"},
                   {"caught", "export const f = () => import('./x.js').catch((e) => [e.code, e instanceof Error]);"},
                   {"needs", "const _ = require('lodash');"},
                   {"node", "import fs from 'node:fs';"}}});
  ipc::Client client = daemon.connect();
  const auto error = error_of(call(client, {"static", "f"}));
  CHECK(error.code == ipc::ErrorCode::load_failed);
  CHECK(contains(error.message, "Cannot find module 'lodash': a Holdfast module is one file. " + bundle + "esm"));
  CHECK(error.stack ==
        "static-v1.js:3\nimport _ from 'lodash';\n              ^\n    at static-v1.js:3:15 { code: "
        "'ERR_MODULE_NOT_FOUND' }");
  CHECK(error.detail == "import _ from 'lodash';");
  CHECK(contains(outcome(call(client, {"dynamic", "f"})), "exception: Error: Cannot find module 'lodash'"));
  CHECK(outcome(call(client, {"caught", "f"})) == R"(["ERR_MODULE_NOT_FOUND",true])");
  CHECK(contains(outcome(call(client, {"needs", "f"})), bundle + "cjs"));
  CHECK(contains(outcome(call(client, {"node", "f"})), "a part of Node.js"));
}

TEST_CASE("exports that are not functions are refused at load or not found") {
  CHECK(
      contains(outcome_of_file("m-v1.mjs", "export default 7;"), "load_failed: the default export must be an object"));
  CHECK(contains(outcome_of_file("m-v1.mjs", "export default null;"), "but it is null"));
  CHECK(contains(outcome_of_file("m-v1.mjs", "const x = 1;"), "it exports: nothing"));
}

TEST_CASE("a hostile namespace or default export ends in an answer") {
  for (const char* code :
       {"export default new Proxy({}, { get() { throw 1; }, has() { throw 1; }, ownKeys() { throw 1; } });",
        "export default new Proxy({}, { getOwnPropertyDescriptor() { throw new Error('mine'); } });",
        "export default { get f() { throw new Error('mine'); } };", "export default Object.create({ f() {} });",
        "await 0; export { f }; Object.prototype.f = 1; let f = new Proxy(class {}, {});",
        "const d = new Proxy(function () {}, {}); export { d as default, d as f };",
        "export const then = (resolve) => resolve({ f: () => 1 });"}) {
    CAPTURE(std::string(code));
    Daemon daemon({.modules = {{"odd", code}, {"fine", "export const f = () => 1;"}}});
    ipc::Client client = daemon.connect();
    for (const char* function : {"f", "default", "then", "constructor"}) {
      const std::string how = code_of(call(client, {"odd", function}));
      CAPTURE(how);
      CHECK((how == "result" || how == "exception" || how == "not_found"));
    }
    CHECK(outcome(call(client, {"fine", "f"})) == "1");
    daemon.stop();
  }
}

TEST_CASE("a version with two files cannot be loaded until one is gone") {
  Daemon daemon({});
  daemon.folder()->write("modules/two-v1.js", "exports.f = () => 'js';");
  daemon.folder()->write("modules/two-v1.mjs", "export const f = () => 'mjs';");
  ipc::Client client = daemon.connect();
  CHECK(contains(outcome(call(client, {"two", "f"})), "there are two-v1.js and two-v1.mjs"));
  std::filesystem::remove(daemon.folder()->path() / "modules" / "two-v1.js");
  CHECK(outcome(call(client, {"two", "f"})) == "\"mjs\"");
}

}  // namespace
}  // namespace holdfast::test
