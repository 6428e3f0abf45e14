// `holdfast doctor`: checks whether each layer of the sandbox is in place on this host.
#pragma once

#include <string>
#include <vector>

#include "tools/cli/answer_output.h"

namespace holdfast::cli {

struct DoctorOptions {
  std::string profile = "jit";  // values of holdfastd's flags of the same names
  std::string isolation = "fork";
  std::string speculation = "restricted";
  std::vector<std::string> allow_missing;
  Format format = Format::text;
};

// Starts a supervisor with these settings, examines it and one of its workers from outside, and prints the findings
// and a verdict. Returns the exit code: 0 if holdfastd starts here and no layer is missing except those that may be,
// 1 if another layer is missing, 3 if no worker can be started.
int doctor_command(const DoctorOptions& options);

}  // namespace holdfast::cli
