// `holdfast load`: gives a supervisor the modules of a folder, for as long as it runs.
#pragma once

#include <chrono>
#include <string>

#include "tools/cli/connection.h"

namespace holdfast::cli {

struct LoadOptions {
  std::string folder;
  SupervisorAddress supervisor;
  std::chrono::nanoseconds timeout{0};  // 0: the supervisor's default
  bool verbose = false;                 // a line for each module that is asked for, on standard error
};

// Runs until a signal ends it or the connection is lost, and returns the program's exit code.
int load_command(const LoadOptions& options);

}  // namespace holdfast::cli
