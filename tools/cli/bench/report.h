// What `holdfast bench` found, and how it is shown.
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
  std::vector<Value> parameters;  // of the whole run, as given
  std::vector<Section> sections;
};

// For people, in many lines.
std::string report_as_table(const Report& report);

// One line: an object with every figure; durations are whole nanoseconds, their keys end in _ns. A section with a key
// is an array under it; of one without, each row is an object under its own. What could not be had is null.
std::string report_as_json(const Report& report);

}  // namespace holdfast::cli::bench
