// Modules that more than one file of tests calls.
#pragma once

#include "tests/support/daemon.h"

namespace holdfast::test {

inline const Module kEcho{"echo", "exports.echo = (payload) => payload;"};

// Calls of `hold` never settle; `held` returns how many there are.
inline const Module kHolder{"holder", R"js(
    let held = 0;
    exports.hold = () => { held++; return new Promise(() => {}); };
    exports.held = () => held;
)js"};

}  // namespace holdfast::test
