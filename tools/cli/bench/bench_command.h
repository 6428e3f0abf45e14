// `holdfast bench`: how fast calls are on this machine, beside the floor that the kernel sets.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "ipc/base/module_name.h"
#include "tools/cli/answer_output.h"
#include "tools/cli/file_module.h"

namespace holdfast::cli {

struct BenchOptions {
  std::vector<std::string> suites;  // of bench_suites(); empty: the quick ones
  unsigned calls = 20'000;          // hot calls of each kind
  unsigned rounds = 10;             // that they are made in, taking turns with the floors; at least 1
  unsigned cold_calls = 30;         // of each kind
  double seconds = 1;               // for each number of calls in flight, and the like
  unsigned workers = 1000;          // the most that are alive at once
  std::string bundle;               // a CommonJS file that is measured as a module, too; empty: none
  std::string fork_call;            // the program of fork_floor.h; empty: that floor is left out
  std::string plots;                // the folder for SVG files; empty: none are written
  std::string figures;              // the file for the JSON, besides what is printed; empty: none is written
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

// What --suite takes: a list, separated by commas, of known suites, or "all" of them. The error names
// them.
tl::expected<std::vector<std::string>, std::string> parse_suites(const std::string& text);

// Nothing if all of the suites can be run with a supervisor that runs already; else what cannot.
std::optional<std::string> problem_with_running_supervisor(const std::vector<std::string>& suites);

// Measures, writes what is to be in files, prints the report and returns the program's exit code. Progress goes to
// standard error if that is a terminal.
int bench_command(const BenchOptions& options);

}  // namespace holdfast::cli
