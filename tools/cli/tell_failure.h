// How a command that makes no call tells that it failed.
#pragma once

#include "ipc/error.h"

namespace holdfast::cli {

// Prints the error on standard error, always as text: with --json such a command prints a list or an object of its own,
// and an error's object in its place would only mislead. Returns the program's exit code.
int tell_failure(const ipc::Error& error);

}  // namespace holdfast::cli
