// The `holdfast` command's flags. What the commands do is in *_command.cc.
#pragma once

#include <variant>

#include <tl/expected.hpp>

#include "tools/cli/bench/bench_command.h"
#include "tools/cli/call_command.h"
#include "tools/cli/doctor/doctor_command.h"
#include "tools/cli/load_command.h"
#include "tools/cli/logs_command.h"
#include "tools/cli/ps_command.h"
#include "tools/cli/stats_command.h"

namespace holdfast::cli {

using Command = std::variant<RunOptions, InvokeOptions, PsOptions, StatsOptions, LogsOptions, LoadOptions, BenchOptions,
                             DoctorOptions>;

// The command that the program was called with, its words checked. Where there is none to carry out, because help was
// asked for or a word is wrong, that is printed, and the error is the program's exit code.
tl::expected<Command, int> parse_command_line(int argc, char** argv);

}  // namespace holdfast::cli
