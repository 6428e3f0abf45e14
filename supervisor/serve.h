// The part of holdfastd's life in which it serves: the supervisor runs in the event loop, and signals, the monitor and
// the broker's end reach it.
#pragma once

#include <optional>

#include "supervisor/configuration.h"
#include "supervisor/monitor.h"
#include "supervisor/prepare.h"

namespace holdfast::supervisor {

// Gives up this process's rights (own_sandbox.h), and then serves clients until a signal, the only client's leaving or
// a failure ends that; the log says why. Returns holdfastd's exit status. `served`: what the monitor gave this process;
// nothing: there is no monitor, and the signals come to this process.
int serve(const Configuration& configuration, Prepared& prepared, std::optional<Served> served);

}  // namespace holdfast::supervisor
