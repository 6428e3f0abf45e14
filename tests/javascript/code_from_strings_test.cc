// eval and its relatives: refused, except for modules that the operator allows them.
#include <doctest/doctest.h>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::test {
namespace {

constexpr const char* kRefusal = "exception: EvalError: eval and new Function are off";

// A module's source with a function for each way to make code from a string. Each function returns 3.
std::string evaluators() {
  return R"js(
      const AsyncFunction = (async () => {}).constructor;
      const GeneratorFunction = (function* () {}).constructor;
      const AsyncGeneratorFunction = (async function* () {}).constructor;
      module.exports = {
        directEval: () => eval('1 + 2'),
        indirectEval: () => (0, eval)('1 + 2'),
        newFunction: () => new Function('return 1 + 2')(),
        calledFunction: () => Function('a', 'return a + 2')(1),
        asyncFunction: () => new AsyncFunction('return 1 + 2')(),
        generator: () => new GeneratorFunction('yield 1 + 2')().next().value,
        asyncGenerator: async () => (await new AsyncGeneratorFunction('yield 1 + 2')().next()).value,
        constructed: () => Reflect.construct(Function, ['return 1 + 2'])(),
        later: async () => { await null; return eval('1 + 2'); },
        inATimer: () => new Promise((resolve, reject) => setTimeout(() => {
          try { resolve(eval('1 + 2')); } catch (error) { reject(error); }
        })),
      };
  )js";
}

const std::vector<std::string> kWays = {"directEval",    "indirectEval", "newFunction",    "calledFunction",
                                        "asyncFunction", "generator",    "asyncGenerator", "constructed",
                                        "later",         "inATimer"};

TEST_CASE("--allow-eval lets the named module make code from strings, and no other module and no other version") {
  Daemon daemon({.modules = {{"trusted", evaluators()},
                             {"trusted", evaluators(), "v2"},
                             {"everyVersion", evaluators(), "v7"},
                             {"other", evaluators()}},
                 .flags = {"--allow-eval", "trusted@v1", "--allow-eval", "everyVersion"}});
  ipc::Client client = daemon.connect();
  for (const std::string& way : kWays) {
    CAPTURE(way);
    CHECK(outcome(call(client, {"trusted", way})) == "3");
    CHECK(outcome(call(client, {.module = "everyVersion", .function = way, .version = "v7"})) == "3");
    CHECK(contains(outcome(call(client, {"other", way})), kRefusal));
    CHECK(contains(outcome(call(client, {.module = "trusted", .function = way, .version = "v2"})), kRefusal));
  }
}

TEST_CASE("without --allow-eval no module makes code from strings, at its top level neither") {
  Daemon daemon({.modules = {{"plain", evaluators()}, {"top", "exports.value = eval('1 + 2');"}}});
  ipc::Client client = daemon.connect();
  for (const std::string& way : kWays) {
    CAPTURE(way);
    CHECK(contains(outcome(call(client, {"plain", way})), kRefusal));
  }
  CHECK(contains(outcome(call(client, {"top", "value"})), "load_failed: EvalError"));
}

TEST_CASE("with --allow-eval a module may make code from strings at its top level") {
  Daemon daemon({.modules = {{"top", "const three = eval('1 + 2'); exports.value = () => three;"}},
                 .flags = {"--allow-eval", "top"}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"top", "value"})) == "3");
}

TEST_CASE("code from strings is stopped at the same limits as other code") {
  Daemon daemon({.modules = {{"loop", "exports.spin = () => eval('while (true) {}'); exports.ping = () => 'pong';"}},
                 .flags = {"--allow-eval", "loop", "--stretch", "100ms"}});
  ipc::Client client = daemon.connect();
  CHECK(code_of(call(client, {"loop", "spin"})) == "cpu_exceeded");
  CHECK(outcome(call(client, {"loop", "ping"})) == "\"pong\"");
}

TEST_CASE("WebAssembly is made from bytes, and needs no permission") {
  Daemon daemon({.modules = {{"wasm", R"js(
      exports.compile = async () => {
        const bytes = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]);
        return [new WebAssembly.Module(bytes), await WebAssembly.compile(bytes)].every((m) => m instanceof WebAssembly.Module);
      };
  )js"}}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"wasm", "compile"})) == "true");
}

}  // namespace
}  // namespace holdfast::test
