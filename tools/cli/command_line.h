// The command line of `holdfast`. The commands themselves are in *_command.cc.
#pragma once

#include <tl/expected.hpp>
#include <variant>

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

// Parses and checks the command line. If there is no command to run, because help was asked for or the command line
// is wrong, prints the help or the problem; the error is then the program's exit code.
tl::expected<Command, int> parse_command_line(int argc, char** argv);

}  // namespace holdfast::cli
