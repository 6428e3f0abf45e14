// holdfastd's command line.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <sys/types.h>

#include "sandbox/seccomp_policy.h"
#include "supervisor/module_source.h"
#include "supervisor/zygotes.h"

namespace holdfast::supervisor {

struct Options {
  std::string socket;
  mode_t socket_mode = 0600;
  std::filesystem::path modules;
  std::vector<std::pair<ModuleName, std::filesystem::path>> module_files;
  std::optional<std::size_t> max_workers;  // none: from the memory that is available
  std::size_t standby = 1;
  std::optional<std::size_t> max_clients;  // none: from the limit of open files
  std::size_t queue_limit = 10'000;
  std::chrono::nanoseconds timeout = std::chrono::seconds(30);
  std::chrono::nanoseconds stretch = std::chrono::seconds(1);
  std::uint64_t memory_bytes = std::uint64_t{128} << 20;
  std::chrono::nanoseconds idle_timeout = std::chrono::minutes(1);
  std::chrono::nanoseconds shutdown_grace = std::chrono::seconds(10);
  Isolation isolation = Isolation::fork;
  sandbox::Profile profile = sandbox::Profile::jit;
  std::size_t zygote_forks = 1000;
  std::chrono::nanoseconds zygote_age = std::chrono::minutes(10);
  std::chrono::nanoseconds cpu_limit = std::chrono::hours(1);
  bool restrict_speculation = true;
  std::vector<std::string> allow_missing;
  std::string log_level = "info";
  std::filesystem::path worker_program;
  std::optional<int> client_fd;
  std::optional<int> ready_fd;
};

// The options, or the status with which the program is to end at once: 0 after --help and --version, 2 after an error,
// which has been printed.
std::variant<Options, int> parse_options(int argc, char** argv);

}  // namespace holdfast::supervisor
