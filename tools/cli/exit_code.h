// The exit codes of `holdfast`, which scripts rely on.
#pragma once

#include "ipc/error.h"

namespace holdfast::cli {

enum class ExitCode : int {
  result = 0,           // the call gave a result; the command did what was asked
  function_failed = 1,  // the function or its module failed by its own doing: repeating the call will not help
  usage = 2,            // the command line, its JSON or a file it names cannot be used; nothing was called
  stopped = 3,          // no supervisor, or the call was refused or stopped before it came to its end
};

// A program that a signal ended is reported by shells as 128 and the signal's number; `holdfast` does the same when
// it cancelled its call for a signal.
constexpr int exit_code_for_signal(int signal) { return 128 + signal; }

ExitCode exit_code(ipc::ErrorCode code);

}  // namespace holdfast::cli
