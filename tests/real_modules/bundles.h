// The modules that were bundled from published packages, and the calls that put them to use.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/support/calls.h"
#include "tests/support/program.h"

namespace holdfast::test {

// What keeps a module from running everywhere.
enum class Needs { nothing, web_assembly, code_from_strings };

struct RealCall {
  std::string function;
  std::string payload;  // JSON
  Needs needs = Needs::nothing;
};

struct RealModule {
  std::string name;
  std::string bundle;  // the file's name
  std::vector<RealCall> calls;
};

// Each of them, with at least one call.
const std::vector<RealModule>& real_modules();
const RealModule& real_module(const std::string& name);

// Where its bundle was built.
std::filesystem::path bundle_of(const RealModule& module);

// A variable that meson sets for these tests; fails the test if it is not set.
std::string from_environment(const char* name);

// For DaemonOptions::folder: every module, as the versions v1 to v`versions`.
std::shared_ptr<TemporaryFolder> folder_with_bundles(int versions = 1);

// What the call comes to: the result's JSON, or "code: message". Of a stream, the texts that came, as one JSON string.
std::string outcome_of(ipc::Client& client, const RealModule& module, const RealCall& to);

// What each of the module's calls comes to in Node.js, in the words of outcome_of().
std::vector<std::string> outcomes_in_node(const RealModule& module);

}  // namespace holdfast::test
