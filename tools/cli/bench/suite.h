// The suites of `holdfast bench`: each measures one thing, and is a file of its own. All use
// std::chrono::steady_clock, one sample for each call, and warm up on calls that are not counted.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "tools/cli/bench/bench_command.h"
#include "tools/cli/bench/module_files.h"
#include "tools/cli/bench/results.h"
#include "tools/cli/exit_code.h"
#include "tools/cli/signal_watch.h"

namespace holdfast::cli::bench {

// Why a measurement came to no end: the program's exit code and, unless a signal ended it, what went wrong. Calls may
// still be open then, so the client must not be used again.
struct Stop {
  int exit_code;
  std::string message;
};

tl::unexpected<Stop> stop(std::string message);

// What every suite gets of the program. Nothing is owned.
struct Context {
  const BenchOptions& options;
  SignalWatch& signals;
  const ModuleFiles& files;                          // from which supervisors take modules
  std::function<void(const std::string&)> progress;  // told what comes next, never while time is taken
  std::string& supervisor_version;                   // what the supervisors say of themselves, once one has
};

// A signal that asks the program to end.
std::optional<Stop> interrupted(const Context& context);

using Sections = tl::expected<std::vector<Section>, Stop>;

Sections run_hot(const Context& context);
Sections run_cold(const Context& context);
Sections run_rates(const Context& context);
Sections run_clients(const Context& context);
Sections run_payloads(const Context& context);
Sections run_modules(const Context& context);
Sections run_workers(const Context& context);
Sections run_cold_rate(const Context& context);
Sections run_stuck(const Context& context);
Sections run_memory(const Context& context);
Sections run_line(const Context& context);

}  // namespace holdfast::cli::bench
