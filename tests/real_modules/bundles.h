// Modules that were bundled from published packages, and calls that use them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/support/calls.h"
#include "tests/support/program.h"

namespace holdfast::test {

// What a module needs that not every profile or setting offers.
enum class Needs { nothing, web_assembly, code_from_strings };

struct RealCall {
  std::string function;
  std::string payload;  // JSON
  Needs needs = Needs::nothing;
};

struct RealModule {
  std::string name;
  std::string bundle;  // file name
  std::vector<RealCall> calls;
};

// All modules, each with at least one call.
const std::vector<RealModule>& real_modules();
const RealModule& real_module(const std::string& name);

// The path of the module's bundle.
std::filesystem::path bundle_of(const RealModule& module);

// The value of a variable that meson sets for these tests; fails the test if it is not set.
std::string from_environment(const char* name);

// A folder for DaemonOptions::folder: every module, as the versions v1 to v`versions`.
std::shared_ptr<TemporaryFolder> folder_with_bundles(int versions = 1);

// Makes the call and returns its outcome: the result's JSON, or "code: message". For a stream, all its texts as one
// JSON string.
std::string outcome_of(ipc::Client& client, const RealModule& module, const RealCall& to);

// The outcomes of the module's calls in Node.js, in the same form as outcome_of().
std::vector<std::string> outcomes_in_node(const RealModule& module);

}  // namespace holdfast::test
