// What an operator may set for each module: holdfastd's flags give the defaults, the settings file (settings.h) the
// exceptions.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace holdfast::supervisor {

struct ModuleSettings {
  // How many processes may serve the module at a time. 1: all its calls share one process, and so one state.
  std::size_t max_instances = 1;
  // How many calls one worker may have in flight.
  std::size_t concurrency = 128;
  // How many calls may wait for a worker; further ones are refused.
  std::size_t queue_limit = 10'000;
  // How often an idempotent call is run again after a worker died under it through no fault of the call.
  std::size_t max_retries = 2;
  // How many workers are kept with the module loaded even if there are no calls; at most max_instances.
  std::size_t min_warm = 0;
  // The module's share of a full pool relative to other modules': its time slice is this many times as long. 1 to 1000.
  std::size_t weight = 1;
  // A worker of the module is removed after this long without a call.
  std::chrono::nanoseconds idle_timeout = std::chrono::minutes(1);
  // How long a call may take, waiting included, if it sets no timeout itself.
  std::chrono::nanoseconds timeout = std::chrono::seconds(30);
  // How long JavaScript may run without a break.
  std::chrono::nanoseconds stretch = std::chrono::seconds(1);
  std::uint64_t memory_bytes = std::uint64_t{128} << 20;
  // Whether a result that JSON would change or lose a part of is sent as JSON all the same; false: it is refused.
  bool lenient_results = false;
  // How much the module may log in bytes, per second and at once (supervisor/shares/log_budget.h); the rest is dropped.
  std::uint64_t log_rate_bytes = 64 << 10;
  std::uint64_t log_burst_bytes = 256 << 10;

  bool operator==(const ModuleSettings&) const = default;
};

}  // namespace holdfast::supervisor
