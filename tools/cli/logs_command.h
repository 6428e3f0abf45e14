// `holdfast logs`: what modules of a running supervisor log.
#pragma once

#include <cstdint>
#include <string>

#include "tools/cli/answer_output.h"
#include "tools/cli/connection.h"
#include "tools/cli/stats_listing.h"

namespace holdfast::cli {

struct LogsOptions {
  SupervisorAddress supervisor;
  ModuleFilter filter;
  std::uint32_t lines = 1000;  // of those that there are
  bool follow = false;
  Format format = Format::text;
};

// Prints the lines that there are and, if it is to follow, those that come, until it is interrupted or nobody reads
// them any more. Returns the program's exit code.
int logs_command(const LogsOptions& options);

}  // namespace holdfast::cli
