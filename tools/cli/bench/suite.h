// The suites of `holdfast bench`. Each measures one thing and has its own file. All use std::chrono::steady_clock,
// take one sample for each call, and warm up with calls that are not counted.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "tools/cli/bench/bench_command.h"
#include "tools/cli/bench/module_files.h"
#include "tools/cli/bench/results.h"
#include "tools/cli/exit_code.h"
#include "tools/cli/signal_watch.h"

namespace holdfast::cli::bench {

// Why a measurement stopped early: the program's exit code and, unless a signal ended it, what went wrong. Calls may
// still be open, so the client must not be used again.
struct Stop {
  int exit_code;
  std::string message;
};

tl::unexpected<Stop> stop(std::string message);

// What every suite gets from the program. Owns nothing.
struct Context {
  const BenchOptions& options;
  SignalWatch& signals;
  const ModuleFiles& files;                          // the modules that supervisors load
  std::function<void(const std::string&)> progress;  // reports the next step; never called while time is measured
  std::string& supervisor_version;                   // version of holdfastd, set once a supervisor has reported it
};

// The reason to stop if a signal has asked the program to end; nullopt if not.
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
