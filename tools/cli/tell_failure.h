// Reports failures of commands other than a failed call.
#pragma once

#include <string_view>

#include "ipc/error.h"

namespace holdfast::cli {

// Prints the error on standard error and returns the program's exit code. Always prints text: with --json such a
// command prints a list or an object of its own, and an error object in its place would mislead a program.
int tell_failure(const ipc::Error& error);

// Prints on standard error what is wrong with the command line or with something that it names. Returns
// ExitCode::usage.
int tell_usage_error(std::string_view message);

}  // namespace holdfast::cli
