// How a command tells that it failed without a call.
#pragma once

#include <string_view>

#include "ipc/error.h"

namespace holdfast::cli {

// Prints the error on standard error, always as text: with --json such a command prints a list or an object of its own,
// and an error's object in its place would only mislead. Returns the program's exit code.
int tell_failure(const ipc::Error& error);

// Prints on standard error what of the command line, or of what it names, cannot be used. Returns ExitCode::usage.
int tell_usage_error(std::string_view message);

}  // namespace holdfast::cli
