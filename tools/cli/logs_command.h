// `holdfast logs`: prints what the modules of a running supervisor log.
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
  std::uint32_t lines = 1000;  // how many of the latest lines
  bool follow = false;
  Format format = Format::text;
};

// Prints the latest lines and, with `follow`, later ones until a signal comes or standard output has no reader any
// more. Returns the program's exit code.
int logs_command(const LogsOptions& options);

}  // namespace holdfast::cli
