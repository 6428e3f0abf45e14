// Published packages, bundled as their users would do it, give the same results in a worker as in Node.js.
#include <doctest/doctest.h>

#include <algorithm>
#include <string_view>

#include "tests/real_modules/bundles.h"
#include "tests/support/daemon.h"

namespace holdfast::test {
namespace {

using Texts = std::vector<std::string>;

// A long stretch: the test is about results, and the machine may be busy.
const Texts kPatient = {"--stretch", "20s"};

Texts flags(const char* profile, Texts further = {}) {
  further.insert(further.end(), kPatient.begin(), kPatient.end());
  further.insert(further.end(), {"--profile", profile});
  return further;
}

void check_against_node(const Texts& flags, const std::vector<Needs>& has) {
  Daemon daemon({.flags = flags, .folder = folder_with_bundles()});
  ipc::Client client = daemon.connect();
  for (const RealModule& module : real_modules()) {
    CAPTURE(module.name);
    const Texts in_node = outcomes_in_node(module);
    for (std::size_t i = 0; i < module.calls.size(); ++i) {
      const RealCall& to = module.calls[i];
      if (std::find(has.begin(), has.end(), to.needs) == has.end()) continue;
      CAPTURE(to.function);
      CAPTURE(to.payload);
      CHECK(outcome_of(client, module, to) == in_node[i]);
    }
  }
  daemon.stop();
}

TEST_CASE("published packages give the same results as in Node.js where code may come from strings") {
  check_against_node(flags("jit", {"--allow-eval", "ajv", "--allow-eval", "lodash"}),
                     {Needs::nothing, Needs::web_assembly, Needs::code_from_strings});
}

TEST_CASE("published packages give the same results as in Node.js in the jit profile") {
  check_against_node(flags("jit"), {Needs::nothing, Needs::web_assembly});
}

TEST_CASE("published packages give the same results as in Node.js in the strict profile") {
  check_against_node(flags("strict"), {Needs::nothing});
}

TEST_CASE("a package of WebAssembly loads in the strict profile and its calls say that there is no WebAssembly") {
  Daemon daemon({.flags = flags("strict"), .folder = folder_with_bundles()});
  ipc::Client client = daemon.connect();
  for (const RealCall& to : real_module("hash-wasm").calls) {
    CHECK(outcome_of(client, real_module("hash-wasm"), to) ==
          "exception: Error: WebAssembly is not supported in this environment!");
  }
}

TEST_CASE("a validator that compiles code gets an error and one that was compiled ahead of time works") {
  const Texts in_node = outcomes_in_node(real_module("ajv"));
  for (const char* profile : {"jit", "strict"}) {
    CAPTURE(std::string_view(profile));
    Daemon daemon({.flags = flags(profile), .folder = folder_with_bundles()});
    ipc::Client client = daemon.connect();
    const RealCall& check = real_module("ajv").calls.front();
    CHECK(
        contains(outcome_of(client, real_module("ajv"), check), "exception: EvalError: eval and new Function are off"));
    CHECK(outcome_of(client, real_module("ajv_standalone"), check) == in_node.front());
  }
}

TEST_CASE("errors of a TypeScript module show the lines of its source whether bundled or not") {
  for (const char* profile : {"jit", "strict"}) {
    CAPTURE(std::string_view(profile));
    Daemon daemon({.flags = flags(profile), .folder = folder_with_bundles()});
    ipc::Client client = daemon.connect();
    const ipc::Error error = error_of(call(client, {"zod", "price", "{}"}));
    CHECK(error.message == "RangeError: no total in step Second");
    CHECK_MESSAGE(contains(error.stack, "at fail (tests/real_modules/modules/zod.ts:50:9)"), error.stack);
    CHECK_MESSAGE(contains(error.stack, "at price (tests/real_modules/modules/zod.ts:45:69)"), error.stack);
    // The lines of a bundled package are shown, too.
    const ipc::Error deeper = error_of(call(client, {"zod", "price", R"({"total":"x"})"}));
    CHECK_MESSAGE(contains(deeper.stack, "modules/zod.ts:45:"), deeper.stack);
  }
}

}  // namespace
}  // namespace holdfast::test
