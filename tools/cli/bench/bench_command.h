// `holdfast bench`: how fast calls are on this machine, beside the floor that the kernel sets.
#pragma once

#include <optional>
#include <string>

#include "ipc/module_name.h"
#include "tools/cli/answer_output.h"
#include "tools/cli/file_module.h"

namespace holdfast::cli {

struct BenchOptions {
  unsigned calls = 20'000;   // hot calls in all
  unsigned rounds = 10;      // that they are made in, taking turns with the floor; at least 1
  unsigned cold_calls = 30;  // of each kind
  double seconds = 1;        // for each number of calls in flight
  // A running supervisor and a module there whose `add` answers {"a":1,"b":2} with 3; neither: private supervisors.
  std::optional<std::string> socket;
  std::optional<ipc::ModuleName> target;
  // Of the private supervisors, as holdfastd's flags of these names.
  std::string profile = "jit";
  std::string isolation = "fork";
  std::string speculation = "restricted";
  std::string worker;  // empty: holdfastd's own
  Format format = Format::text;
};

// Measures, prints the report and returns the program's exit code. Progress goes to standard error if that is a
// terminal.
int bench_command(const BenchOptions& options);

}  // namespace holdfast::cli
