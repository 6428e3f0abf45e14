// `holdfast ps`: the worker processes of a supervisor.
#pragma once

#include <string>

#include "tools/cli/answer_output.h"
#include "tools/cli/connection.h"

namespace holdfast::cli {

struct PsOptions {
  SupervisorAddress supervisor;
  Format format = Format::text;
};

// Prints the list and returns the program's exit code.
int ps_command(const PsOptions& options);

}  // namespace holdfast::cli
