// `holdfast run` and `holdfast invoke`: one call each, by a supervisor of its own or by one that is running.
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
  std::optional<std::string> payload;  // as `encoding` says; "-": from standard input; nothing: null, or no bytes
  ipc::Encoding encoding = ipc::Encoding::json;
  ipc::ResultEncoding result_encoding = ipc::ResultEncoding::automatic;
  std::optional<std::string> arguments;  // a JSON array for positional arguments; then there is no payload
  std::chrono::nanoseconds timeout{0};   // 0: the supervisor's default
  bool idempotent = false;               // running it twice does no harm
  bool show_logs = false;                // what the module logs in it, on standard error as it comes
  bool show_usage = false;               // on standard error
  Format format = Format::text;
};

struct RunOptions {
  std::string file;
  std::optional<std::string> memory;  // as holdfastd takes them; checked already
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

// Both print what there is to print and return the program's exit code.
int run_command(const RunOptions& options);
int invoke_command(const InvokeOptions& options);

}  // namespace holdfast::cli
