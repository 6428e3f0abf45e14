// Runs JavaScript whose result must be the same in both profiles.
#pragma once

#include <string>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::test {

constexpr const char* kFailureHelpers = R"js(
    // The text of what `use` throws, or of its promise's rejection.
    const thrown = async (use) => {
      try { return ['nothing', await use()]; } catch (error) { return `${error.name}: ${error.message}`; }
    };
    const nameOf = async (use) => String(await thrown(use)).split(':')[0];
    const namesOf = (uses) => Promise.all(uses.map(nameOf));
)js";

// Runs `code`, the body of an async function, in both profiles and returns its result as JSON; both results if they
// differ. The module's source begins with `helpers`, and its memory limit is 64 MB.
inline std::string evaluated_in_both_profiles(const std::string& code, const std::string& helpers = kFailureHelpers) {
  std::string answers[2];
  for (const bool jit : {false, true}) {
    Daemon daemon({.modules = {{"module", helpers + "exports.f = async () => {" + code + "};"}},
                   // A long stretch: the test is about results, and the machine may be busy.
                   .flags = {"--profile", jit ? "jit" : "strict", "--memory", "64MB", "--stretch", "20s", "--results",
                             "lenient"}});
    ipc::Client client = daemon.connect();
    answers[jit ? 1 : 0] = outcome(call(client, {"module", "f"}));
  }
  return answers[0] == answers[1] ? answers[0] : "strict: " + answers[0] + "\njit: " + answers[1];
}

}  // namespace holdfast::test
