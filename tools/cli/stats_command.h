// `holdfast stats`: a supervisor's statistics.
#pragma once

#include <string>

#include "tools/cli/answer_output.h"
#include "tools/cli/connection.h"
#include "tools/cli/stats_listing.h"

namespace holdfast::cli {

struct StatsOptions {
  SupervisorAddress supervisor;
  ModuleFilter filter;
  Format format = Format::text;
};

// Prints the statistics and returns the program's exit code.
int stats_command(const StatsOptions& options);

}  // namespace holdfast::cli
