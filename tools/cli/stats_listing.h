// What a user sees of a supervisor's statistics.
#pragma once

#include <string>

#include "ipc/stats.h"

namespace holdfast::cli {

// What is asked for: all modules, those of a name, or one version.
struct ModuleFilter {
  std::string module;   // empty: all
  std::string version;  // empty: each
};

// "module calculator", "calculator@v1.0.0": what a filter that names something names.
std::string name_of(const ModuleFilter& filter);

// Leaves out what the filter does not name, and puts first what used most CPU time.
void select_and_sort(ipc::Stats& stats, const ModuleFilter& filter);

// A table with a line for each module, and a line on the supervisor below it. queue and run are means of the calls that
// were answered.
std::string stats_as_table(const ipc::Stats& stats);

// One line: an object {"totals":{…},"modules":[{…}]}. Durations are seconds, with a fraction, sizes bytes; queue, load,
// run, cpu, bytes_in and bytes_out of a module are sums over its calls.
std::string stats_as_json(const ipc::Stats& stats);

}  // namespace holdfast::cli
