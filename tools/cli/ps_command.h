// `holdfast ps`: the worker processes of a supervisor.
#pragma once

#include <string>

#include "tools/cli/answer_output.h"

namespace holdfast::cli {

struct PsOptions {
  std::string socket;
  Format format = Format::text;
};

// Prints the list and returns the program's exit code.
int ps_command(const PsOptions& options);

}  // namespace holdfast::cli
