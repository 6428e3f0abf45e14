// `holdfast ps`: the worker processes of a supervisor.
#pragma once

#include <string>

#include "tools/cli/answer_output.h"

namespace holdfast::cli {

// Prints the list and returns the program's exit code.
int ps_command(const std::string& socket, Format format);

}  // namespace holdfast::cli
