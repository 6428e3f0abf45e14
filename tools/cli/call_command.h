// `holdfast run` and `holdfast invoke`: each makes one call, `run` through a private supervisor and `invoke` through
// one that is running.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "ipc/base/module_name.h"
#include "tools/cli/answer_output.h"
#include "tools/cli/connection.h"
#include "tools/cli/file_module.h"

namespace holdfast::cli {

struct CallOptions {
  std::string function{ipc::kDefaultFunction};
  std::optional<std::string> payload;  // in `encoding`; "-": standard input; nullopt: null, or no bytes
  ipc::Encoding encoding = ipc::Encoding::json;
  ipc::ResultEncoding result_encoding = ipc::ResultEncoding::automatic;
  std::optional<std::string> arguments;  // a JSON array of positional arguments, instead of a payload
  std::chrono::nanoseconds timeout{0};   // 0: the supervisor's default
  bool idempotent = false;               // running the call twice does no harm
  bool show_logs = false;                // print what the module logs in the call on standard error
  bool show_usage = false;               // print the usage on standard error
  Format format = Format::text;
};

struct RunOptions {
  std::string file;
  std::optional<std::string> memory;  // in holdfastd's form, already checked; so is `stretch`
  std::optional<std::string> stretch;
  std::string profile = "jit";
  std::string results = "strict";
  std::map<std::string, std::string> environment;
  bool allow_eval = false;
  CallOptions call;
};

struct InvokeOptions {
  ipc::ModuleName target;
  SupervisorAddress supervisor;
  CallOptions call;
};

// Both print the answer and return the program's exit code.
int run_command(const RunOptions& options);
int invoke_command(const InvokeOptions& options);

}  // namespace holdfast::cli
