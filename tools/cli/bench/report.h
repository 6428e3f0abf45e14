// The results of `holdfast bench`, and their output formats.
#pragma once

#include <string>
#include <vector>

#include "tools/cli/bench/machine.h"
#include "tools/cli/bench/results.h"

namespace holdfast::cli::bench {

struct Report {
  Machine machine;
  std::string client_version;
  std::string supervisor_version;
  std::vector<Value> parameters;  // of the whole run, as given on the command line
  std::vector<Section> sections;
};

// Tables for people.
std::string report_as_table(const Report& report);

// One line: an object with every figure. Durations are whole nanoseconds; their keys end in _ns. A section with a key
// is an array under that key; in a section without one, each row is an object under its own key. A value that could
// not be measured is null.
std::string report_as_json(const Report& report);

}  // namespace holdfast::cli::bench
