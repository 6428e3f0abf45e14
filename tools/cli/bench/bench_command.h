// `holdfast bench`: measures how fast calls are on this machine, and compares them with the floor that the kernel
// sets.
#pragma once

#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "ipc/base/module_name.h"
#include "tools/cli/answer_output.h"
#include "tools/cli/file_module.h"

namespace holdfast::cli {

struct BenchOptions {
  std::vector<std::string> suites;  // names of suites; empty: the quick ones
  unsigned calls = 20'000;          // hot calls of each kind
  unsigned rounds = 10;             // rounds of hot calls, alternating with the floors; at least 1
  unsigned cold_calls = 30;         // cold calls of each kind
  double seconds = 1;               // duration of each measurement under load
  unsigned workers = 1000;          // the largest number of workers alive at once
  std::string bundle;               // a CommonJS file that is also measured as a module; empty: none
  std::string fork_call;            // path of a ForkCallProgram (fork_floor.h); empty: that floor is left out
  std::string plots;                // folder for SVG files; empty: none are written
  std::string figures;              // file to which the JSON is also written; empty: none
  // A running supervisor, and a module of it whose `add` answers {"a":1,"b":2} with 3. Without both, private
  // supervisors are measured.
  std::optional<std::string> socket;
  std::optional<ipc::ModuleName> target;
  // Values of holdfastd's flags of the same names, for private supervisors.
  std::string profile = "jit";
  std::string isolation = "fork";
  std::string speculation = "restricted";
  std::string worker;  // empty: holdfastd's own
  Format format = Format::text;
};

// Parses --suite: a comma-separated list of suites, or "all". The error names the known suites.
tl::expected<std::vector<std::string>, std::string> parse_suites(const std::string& text);

// nullopt if all of the suites can use a running supervisor; otherwise says which suite cannot.
std::optional<std::string> problem_with_running_supervisor(const std::vector<std::string>& suites);

// Measures, writes the files that the options ask for, prints the report and returns the program's exit code.
// Progress goes to standard error if that is a terminal.
int bench_command(const BenchOptions& options);

}  // namespace holdfast::cli
