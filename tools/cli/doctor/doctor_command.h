// `holdfast doctor`: whether each layer of the sandbox is in place on this host.
#pragma once

#include <string>
#include <vector>

#include "tools/cli/answer_output.h"

namespace holdfast::cli {

struct DoctorOptions {
  std::string profile = "jit";  // as holdfastd's flags of these names
  std::string isolation = "fork";
  std::string speculation = "restricted";
  std::vector<std::string> allow_missing;
  Format format = Format::text;
};

// Starts a supervisor with these settings, looks at a worker of it and at itself from outside, prints what it found and
// the verdict on it, and returns the exit code that follows from the verdict: 0 if holdfastd starts here and nothing is
// missing but what may be, 1 if something is missing, 3 if no worker can be had.
int doctor_command(const DoctorOptions& options);

}  // namespace holdfast::cli
