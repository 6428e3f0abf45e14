// holdfastd's command line. Start at option_table.h, which says how each option is written.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "sandbox/seccomp_policy.h"
#include "supervisor/log/log_output.h"
#include "supervisor/modules/module_source.h"
#include "supervisor/scheduler/module_settings.h"
#include "supervisor/scheduler/scheduler.h"
#include "supervisor/settings/allowed_users.h"
#include "supervisor/settings/code_from_strings.h"
#include "supervisor/workers/zygotes.h"

namespace holdfast::supervisor {

// Each member is initialised to the value that holds if its option is not given. Where a part of the supervisor has a
// default of its own, that default is used.
struct Options {
  std::string socket;
  mode_t socket_mode = 0600;
  std::filesystem::path modules;
  std::vector<std::pair<ModuleName, std::filesystem::path>> module_files;
  std::optional<std::size_t> max_workers;      // none: as the available memory allows
  std::optional<std::uint64_t> memory_budget;  // of all workers together; none: half of what is available; 0: any
  std::size_t standby = SchedulerOptions{}.standby;
  std::optional<std::size_t> max_clients;  // none: as the limit of open files allows
  // The limit for each of open calls, incoming frames and unread answers.
  std::uint64_t client_memory_bytes = std::uint64_t{512} << 20;
  std::filesystem::path config;    // the settings file; empty: none
  ModuleSettings module_defaults;  // where the settings file sets nothing else
  // How long a busy module keeps its place while others wait.
  std::chrono::nanoseconds slice = SchedulerOptions{}.slice;
  // How long a module whose calls only wait keeps its place while others wait.
  std::chrono::nanoseconds waiting_grace = SchedulerOptions{}.waiting_grace;
  std::chrono::nanoseconds busy_poll = std::chrono::microseconds(50);      // 0: the supervisor never busy-polls
  std::size_t client_queue_limit = SchedulerOptions{}.client_queue_limit;  // calls of one client that may wait
  std::size_t total_queue_limit = SchedulerOptions{}.total_queue_limit;    // calls that may wait, of all modules
  std::size_t standby_max = SchedulerOptions{}.max_standby;                // at least `standby`
  double standby_memory_share = 0.05;                                  // of the available memory, for standbys; 0 to 1
  std::chrono::nanoseconds longest_timeout = std::chrono::hours(1);    // the longest that a call may ask for
  std::chrono::nanoseconds hold_off = HoldOffOptions{}.longest_delay;  // the longest one; 0: never hold off
  AllowedUsers loaders;
  AllowedUsers log_readers;                                           // in addition to holdfastd's own user and root
  std::chrono::nanoseconds loader_timeout = std::chrono::seconds(5);  // for a loader's answer
  std::chrono::nanoseconds shutdown_grace = std::chrono::seconds(10);
  Isolation isolation = ZygotesOptions{}.isolation;
  sandbox::Profile profile = sandbox::Profile::jit;
  std::size_t zygote_forks = ZygotesOptions{}.max_forks;
  std::chrono::nanoseconds zygote_age = ZygotesOptions{}.max_age;
  std::chrono::nanoseconds cpu_limit = std::chrono::hours(1);
  bool restrict_speculation = true;
  bool direct_line = false;  // clients may have sockets that lead straight to workers
  std::vector<std::string> allow_missing;
  std::string log_level = "info";
  std::optional<std::string> module_log_level;  // none: as log_level
  LogFormat log_format = LogFormat::text;
  std::chrono::nanoseconds clock_resolution = std::chrono::microseconds(100);
  CodeFromStringsPermission code_from_strings;
  std::filesystem::path worker_program;
  std::optional<int> client_fd;
  std::optional<int> ready_fd;
};

// The options, or the status with which the program must end at once: 0 after --help, --version and --print-policy; 2
// after an error, which has been printed.
std::variant<Options, int> parse_options(int argc, char** argv);

}  // namespace holdfast::supervisor
