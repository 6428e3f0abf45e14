// The exit codes of `holdfast`, which scripts rely on.
#pragma once

#include "ipc/error.h"

namespace holdfast::cli {

enum class ExitCode : int {
  result = 0,           // the call gave a result, or the command did what was asked
  function_failed = 1,  // the function or its module failed by its own fault: repeating the call will not help
  usage = 2,            // the command line, its JSON or a file that it names cannot be used; nothing was called
  stopped = 3,          // there is no supervisor, or the call was refused or stopped before its end
};

// Shells report a program that a signal ended as 128 plus the signal's number; `holdfast` exits with the same number
// after it cancelled its call because of a signal.
constexpr int exit_code_for_signal(int signal) { return 128 + signal; }

ExitCode exit_code(ipc::ErrorCode code);

}  // namespace holdfast::cli
