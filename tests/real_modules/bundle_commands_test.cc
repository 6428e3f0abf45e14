// The bundling commands in docs/modules.md and in messages: their output runs, also for recent syntax.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/real_modules/bundles.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/program.h"

namespace holdfast::test {
namespace {

constexpr std::string_view kCommand = "npx esbuild ";

std::string replaced(std::string text, std::string_view part, std::string_view by) {
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += by.size())
    text.replace(at, part.size(), by);
  return text;
}

// Every command in the text, each up to the end of its line.
std::vector<std::string> commands_in(const std::string& text) {
  std::vector<std::string> commands;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (const std::size_t at = line.find(kCommand); at != std::string::npos) commands.push_back(line.substr(at));
  }
  return commands;
}

std::vector<std::string> documented_commands() {
  std::ifstream page(from_environment("HOLDFAST_TEST_MODULES_PAGE"));
  const std::string text{std::istreambuf_iterator<char>(page), {}};
  std::vector<std::string> commands;
  for (std::string& command : commands_in(text)) {
    if (command.find(" app.js ") != std::string::npos) commands.push_back(std::move(command));
  }
  REQUIRE(commands.size() == 2);
  return commands;
}

// Runs the command in the folder, calls the file that it writes, and returns the outcome.
std::string outcome_of_bundle(const TemporaryFolder& folder, const std::string& command) {
  const std::string bundling = replaced(command, kCommand, from_environment("HOLDFAST_TEST_ESBUILD") + " ");
  const Finished bundled =
      run({"/bin/sh", "-c", fmt::format("cd '{}' && {} --log-level=warning", folder.path().string(), bundling)});
  REQUIRE_MESSAGE(bundled.status == 0, bundled.errors);
  const std::size_t output = command.find("--outfile=");
  const std::string file = command.substr(output + 10, command.find(' ', output) - output - 10);
  const Finished called = run({command_program(), "run", (folder.path() / file).string(), "f"});
  return called.output + called.errors;
}

// Writes code whose syntax and data esbuild passes on unchanged to the newest engines.
void write_app(const TemporaryFolder& folder, const std::string& name) {
  folder.write("three.bin", "abc");
  folder.write("lib.js", R"js(
      Symbol.dispose ??= Symbol.for('Symbol.dispose');
      class Handle { [Symbol.dispose]() {} }
      export function used() { using handle = new Handle(); return 'disposed'; }
  )js");
  folder.write(name, R"js(
      import bytes from './three.bin';
      import { used } from './lib.js';
      export const f = () => [bytes.length, used()];
  )js");
}

TEST_CASE("the output of the documented commands for new syntax and binary files runs") {
  for (const std::string& command : documented_commands()) {
    CAPTURE(command);
    const TemporaryFolder folder;
    write_app(folder, "app.js");
    CHECK(outcome_of_bundle(folder, command + " --loader:.bin=binary") == "[3,\"disposed\"]\n");
  }
}

TEST_CASE("the command in the message about a missing module is the documented one and its output runs") {
  const TemporaryFolder folder;
  write_app(folder, "app.js");
  for (const char* code :
       {"import { used } from './lib.js'; export const f = used;", "exports.f = require('./lib.js').used;"}) {
    const Finished missing = run({command_program(), "run", folder.write("raw.js", code), "f"});
    CHECK(contains(missing.errors, "Cannot find module"));
    const auto commands = commands_in(missing.errors);
    REQUIRE(commands.size() == 1);
    CHECK(outcome_of_bundle(folder, commands.front() + " --loader:.bin=binary") == "[3,\"disposed\"]\n");
    const auto documented = documented_commands();
    CHECK(std::ranges::find(documented, commands.front()) != documented.end());
  }
}

TEST_CASE("the output of the command in the message about TypeScript runs") {
  const TemporaryFolder folder;
  const auto file =
      folder.write("typed.ts", "const list: number[] = [1]; export const f = (): string => String(list.length);");
  const auto commands = commands_in(run({command_program(), "run", file, "f"}).errors);
  REQUIRE(commands.size() == 1);
  CHECK(outcome_of_bundle(folder, commands.front()) == "\"1\"\n");
}

}  // namespace
}  // namespace holdfast::test
