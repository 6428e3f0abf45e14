// A supervisor's statistics as `holdfast` prints them.
#pragma once

#include <string>

#include "ipc/stats.h"

namespace holdfast::cli {

// Selects all modules, all versions of one module, or one version.
struct ModuleFilter {
  std::string module;   // empty: all
  std::string version;  // empty: all versions
};

// What the filter names, such as "module calculator" or "calculator@v1.0.0". The filter must name a module.
std::string name_of(const ModuleFilter& filter);

// Removes modules that the filter does not select, and sorts the rest by CPU time, largest first.
void select_and_sort(ipc::Stats& stats, const ModuleFilter& filter);

// A table with a line for each module, and below it a line about the supervisor. The columns queue and run are means
// over the answered calls.
std::string stats_as_table(const ipc::Stats& stats);

// One line: an object {"totals":{…},"modules":[{…}]}. Durations are in seconds, with a fraction, sizes in bytes. A
// module's queue, load, run, cpu, bytes_in and bytes_out are sums over its calls.
std::string stats_as_json(const ipc::Stats& stats);

}  // namespace holdfast::cli
