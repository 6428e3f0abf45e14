#include "supervisor/configuration.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <thread>

#include "ipc/base/units.h"
#include "supervisor/net/closer.h"
#include "supervisor/workers/host_memory.h"

namespace holdfast::supervisor {
namespace {

// Half of what is available: the host has other work to do.
std::uint64_t default_memory_budget() {
  const std::uint64_t available = available_memory();
  spdlog::info("--memory-budget {}: half of the {} available", ipc::format_size(available / 2),
               ipc::format_size(available));
  return available / 2;
}

// As many workers as fit into the budget, each with the most memory that it may take.
std::size_t default_max_workers(std::uint64_t memory_budget, std::uint64_t memory_bytes) {
  constexpr std::size_t kMost = 1000;
  const std::uint64_t budget = memory_budget == 0 ? available_memory() / 2 : memory_budget;
  const std::uint64_t each = memory_bytes + kNativeMemoryBytes;
  const std::size_t workers = std::clamp<std::size_t>(budget / each, 1, kMost);
  spdlog::info("--max-workers {}: {} of memory, at {} for each module, {} for native memory included", workers,
               ipc::format_size(budget), ipc::format_size(each), ipc::format_size(kNativeMemoryBytes));
  return workers;
}

// Descriptors for workers are set aside first: clients must not be able to keep the supervisor from starting a
// worker.
std::size_t default_max_clients(std::size_t descriptors, const SchedulerOptions& scheduler, const Options& options) {
  constexpr std::size_t kMost = 10'000;
  // pidfd, socket, statm, status, and the page while it arrives; without a zygote, each worker's control socket and
  // liveness pipe; the direct line until it is given away.
  const std::size_t for_each_worker = (options.isolation == Isolation::exec ? 7 : 5) + (options.direct_line ? 1 : 0);
  constexpr std::size_t kForTheRest = 64;
  const std::size_t reserved =
      for_each_worker * (scheduler.max_workers + scheduler.max_standby) + Closer::kMostWaiting + kForTheRest;
  if (descriptors < reserved + kForTheRest) {
    spdlog::warn(
        "the limit of open files, {}, is low for --max-workers {}; raise it (ulimit -n), or lower --max-workers",
        descriptors, scheduler.max_workers);
  }
  return std::clamp<std::size_t>(descriptors - std::min(descriptors, reserved), 1, kMost);
}

SchedulerOptions scheduler_options(const Options& options, std::uint64_t memory_budget) {
  SchedulerOptions result;
  result.max_workers = options.max_workers ? *options.max_workers
                                           : default_max_workers(memory_budget, options.module_defaults.memory_bytes);
  result.standby = options.standby;
  result.max_standby = std::max(options.standby_max, options.standby);
  result.cores = std::max(std::thread::hardware_concurrency(), 1u);
  result.client_queue_limit = options.client_queue_limit;
  result.total_queue_limit = options.total_queue_limit;
  result.slice = options.slice;
  result.waiting_grace = options.waiting_grace;
  result.replenish_after = std::chrono::milliseconds(1);
  result.module = options.module_defaults;
  result.hold_off.longest_delay = options.hold_off;
  result.offences.longest_pause = options.hold_off;
  return result;
}

// On a single core, busy-polling would starve the processes that the supervisor waits for.
std::chrono::nanoseconds busy_poll(const Options& options, const SchedulerOptions& scheduler) {
  return scheduler.cores > 1 ? options.busy_poll : std::chrono::nanoseconds(0);
}

SupervisorOptions supervisor_options(const Options& options, const SchedulerOptions& scheduler,
                                     const Settings& settings, std::size_t descriptors, std::uint64_t memory_budget) {
  SupervisorOptions result;
  result.scheduler = scheduler;
  result.workers.memory_budget_bytes = memory_budget;
  result.workers.zygotes = {options.isolation, options.zygote_forks, options.zygote_age};
  result.workers.largest_memory_bytes = settings.largest_memory();
  result.workers.cpu_time = std::chrono::ceil<std::chrono::seconds>(options.cpu_limit);
  result.workers.direct_line = result.direct_line = options.direct_line;
  result.busy_poll = busy_poll(options, scheduler);
  result.settings = settings;
  result.clock_resolution = options.clock_resolution;
  result.code_from_strings = options.code_from_strings;
  result.longest_timeout = options.longest_timeout;
  result.loaders = options.loaders;
  result.log_readers = options.log_readers;
  // Whoever started the supervisor sees its log anyway, and root sees everything.
  result.log_readers.add(::geteuid());
  result.log_readers.add(0);
  result.loader_timeout = options.loader_timeout;
  result.standby_memory_bytes =
      static_cast<std::uint64_t>(static_cast<double>(available_memory()) * options.standby_memory_share);
  result.shutdown_grace = options.shutdown_grace;
  result.client_memory_bytes = options.client_memory_bytes;
  result.max_clients =
      options.max_clients ? *options.max_clients : default_max_clients(descriptors, scheduler, options);
  return result;
}

}  // namespace

tl::expected<Configuration, Settings::Errors> configure(const Options& options, std::size_t descriptors) {
  const std::uint64_t memory_budget = options.memory_budget ? *options.memory_budget : default_memory_budget();
  const SchedulerOptions scheduler = scheduler_options(options, memory_budget);
  SettingsFile file(options.config, options.module_defaults, scheduler.max_workers);
  const auto settings = options.config.empty() ? Settings(options.module_defaults) : file.read(file.open());
  if (!settings) return tl::unexpected(settings.error());
  SupervisorOptions supervisor = supervisor_options(options, scheduler, *settings, descriptors, memory_budget);
  return Configuration{options, std::move(file), std::move(supervisor)};
}

std::vector<std::string> worker_arguments(const Configuration& configuration) {
  const Options& options = configuration.options;
  std::vector<std::string> arguments = {
      fmt::format("--memory={}", configuration.supervisor.settings.largest_memory()),
      fmt::format("--profile={}", options.profile == sandbox::Profile::strict ? "strict" : "jit"),
      fmt::format("--cpu-seconds={}", std::chrono::ceil<std::chrono::seconds>(options.cpu_limit).count())};
  if (!options.restrict_speculation) arguments.push_back("--leave-speculation");
  if (options.direct_line) arguments.push_back("--direct-line");
  for (const std::string& layer : options.allow_missing) arguments.push_back("--allow-missing=" + layer);
  return arguments;
}

}  // namespace holdfast::supervisor
