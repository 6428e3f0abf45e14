// Variables that the operator sets for a module: context.env and process.env.
#include <doctest/doctest.h>
#include <signal.h>

#include <string>
#include <vector>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/program.h"

namespace holdfast::test {
namespace {

const std::string kCode = R"js(
    const atLoad = { ...process.env };
    exports.env = (payload, { env }) => env;
    exports.atLoad = () => atLoad;
    exports.process = () => ({ ...process.env });
    exports.change = () => {
      process.env.NUMBER = 5; process.env.NOTHING = undefined; delete process.env.REGION;
      return [process.env, typeof process.env.NUMBER];
    };
    exports.rules = (payload, context) => {
      'use strict';
      const wrong = [];
      const refused = (what, action) => { try { action(); wrong.push(what); } catch (error) {
        if (!(error instanceof TypeError)) wrong.push(`${what}: ${error}`); } };
      refused('context.env is frozen', () => { context.env.REGION = 'x'; });
      refused('and not extensible', () => { context.env.NEW = 'x'; });
      refused('context.env is read only', () => { context.env = {}; });
      refused('no symbols', () => { process.env[Symbol('s')] = 'x'; });
      refused('no symbols as values', () => { process.env.X = Symbol('s'); });
      refused('no getters', () => Object.defineProperty(process.env, 'X', { get() { return 1; } }));
      if (Object.keys(process).join() !== 'env') wrong.push(`process has ${Object.keys(process)}`);
      if (Object.prototype.toString.call(process) === '[object process]') wrong.push('it passes itself off as Node');
      if (process.env.NOT_THERE !== undefined) wrong.push('what is not there');
      if (!('REGION' in process.env)) wrong.push('in');
      return wrong;
    };
)js";

const std::string kSettings = R"toml(
    [defaults]
    env = { EVERYWHERE = "yes" }
    [module.set]
    env = { REGION = "eu", KEY = "a \"b\"\n\u20ac", __proto__ = "odd" }
)toml";

TEST_CASE("a module sees the variables that its settings have, under both profiles, and nothing of the host's") {
  for (const char* profile : {"jit", "strict"}) {
    const TemporaryFolder folder;
    const auto file = folder.write("settings.toml", kSettings);
    Daemon daemon({.modules = {{"set", kCode}, {"plain", kCode}}, .flags = {"--config", file, "--profile", profile}});
    ipc::Client client = daemon.connect();
    const std::string all = R"({"EVERYWHERE":"yes","KEY":"a \"b\"\n€","REGION":"eu","__proto__":"odd"})";
    CHECK(outcome(call(client, {"set", "env"})) == all);
    CHECK(outcome(call(client, {"set", "atLoad"})) == all);
    CHECK(outcome(call(client, {"set", "process"})) == all);
    CHECK(outcome(call(client, {"set", "rules"})) == "[]");
    CHECK(outcome(call(client, {"plain", "env"})) == R"({"EVERYWHERE":"yes"})");
    CHECK(outcome(call(client, {"plain", "process"})) == R"({"EVERYWHERE":"yes"})");
    daemon.stop();
  }
}

TEST_CASE("without settings the environment is empty") {
  Daemon daemon({.modules = {{"plain", kCode}}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"plain", "env"})) == "{}");
  CHECK(outcome(call(client, {"plain", "process"})) == "{}");
}

TEST_CASE("changes to process.env become text and only the own worker sees them") {
  const TemporaryFolder folder;
  const auto file = folder.write("settings.toml", "[defaults]\nenv = { REGION = \"eu\" }\n");
  Daemon daemon({.modules = {{"set", kCode}, {"other", kCode}}, .flags = {"--config", file}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"set", "change"})) == R"([{"NUMBER":"5","NOTHING":"undefined"},"string"])");
  CHECK(outcome(call(client, {"set", "env"})) == R"({"REGION":"eu"})");
  CHECK(outcome(call(client, {"other", "process"})) == R"({"REGION":"eu"})");
}

TEST_CASE("at SIGHUP a changed environment replaces the module's workers, and leaves those of others") {
  const std::string code = kCode + "const me = Math.random(); exports.me = () => me;";
  const TemporaryFolder folder;
  const auto file = folder.write("settings.toml", "[module.set]\nenv = { REGION = \"eu\" }\n");
  Daemon daemon({.modules = {{"set", code}, {"other", code}}, .flags = {"--config", file}});
  ipc::Client client = daemon.connect();
  const std::string set = outcome(call(client, {"set", "me"})), other = outcome(call(client, {"other", "me"}));
  folder.write("settings.toml", "[module.set]\nenv = { REGION = \"us\" }\n");
  daemon.signal(SIGHUP);
  REQUIRE(daemon.logged("settings reloaded"));
  CHECK(outcome(call(client, {"set", "env"})) == R"({"REGION":"us"})");
  CHECK(outcome(call(client, {"set", "me"})) != set);
  CHECK(outcome(call(client, {"other", "me"})) == other);

  folder.write("settings.toml", "[module.set]\nenv = { REGION = 5 }\n");
  daemon.signal(SIGHUP);
  REQUIRE(daemon.logged("settings.toml:2: module.set.env.REGION: is an integer; expected a string"));
  CHECK(outcome(call(client, {"set", "env"})) == R"({"REGION":"us"})");
}

}  // namespace
}  // namespace holdfast::test
