// JavaScript that must come to the same in either profile.
#pragma once

#include <string>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::test {

constexpr const char* kFailureHelpers = R"js(
    // What `use` throws, or what its promise is rejected with, as text.
    const thrown = async (use) => {
      try { return ['nothing', await use()]; } catch (error) { return `${error.name}: ${error.message}`; }
    };
    const nameOf = async (use) => String(await thrown(use)).split(':')[0];
    const namesOf = (uses) => Promise.all(uses.map(nameOf));
)js";

// What `code`, the body of an async function, returns, as JSON; both answers if they differ. `helpers` is what its
// module begins with. The module has 64 MB.
inline std::string evaluated_in_both_profiles(const std::string& code, const std::string& helpers = kFailureHelpers) {
  std::string answers[2];
  for (const bool jit : {false, true}) {
    Daemon daemon({.modules = {{"module", helpers + "exports.f = async () => {" + code + "};"}},
                   // However busy the machine is: what it comes to is asked for, not how fast.
                   .flags = {"--profile", jit ? "jit" : "strict", "--memory", "64MB", "--stretch", "20s", "--results",
                             "lenient"}});
    ipc::Client client = daemon.connect();
    answers[jit ? 1 : 0] = outcome(call(client, {"module", "f"}));
  }
  return answers[0] == answers[1] ? answers[0] : "strict: " + answers[0] + "\njit: " + answers[1];
}

}  // namespace holdfast::test
