// `holdfast load`: supplies a supervisor with the modules of a folder while it runs.
#pragma once

#include <chrono>
#include <string>

#include "tools/cli/connection.h"

namespace holdfast::cli {

struct LoadOptions {
  std::string folder;
  SupervisorAddress supervisor;
  std::chrono::nanoseconds timeout{0};  // 0: the supervisor's default
  bool verbose = false;                 // a line on standard error for each module that is asked for
};

// Runs until a signal comes or the connection is lost. Returns the program's exit code.
int load_command(const LoadOptions& options);

}  // namespace holdfast::cli
