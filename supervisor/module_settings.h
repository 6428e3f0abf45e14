// What an operator may set for each module: the flags of holdfastd give the defaults, the settings file (settings.h)
// what differs from them.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace holdfast::supervisor {

struct ModuleSettings {
  // Processes that may serve the module at a time. 1: its calls share one process, and so one state.
  std::size_t max_instances = 1;
  // Calls in flight on one worker.
  std::size_t concurrency = 128;
  // Calls that may wait for a worker; more are refused.
  std::size_t queue_limit = 10'000;
  // How often a call that says it is idempotent is run again after a worker died under it through no fault of the call.
  std::size_t max_retries = 2;
  // Workers that are kept with the module loaded, called or not; at most max_instances.
  std::size_t min_warm = 0;
  // The module's share of a full pool, against that of others: its time slice is so many times as long. 1 to 1000.
  std::size_t weight = 1;
  // After this long without a call a worker of the module is removed.
  std::chrono::nanoseconds idle_timeout = std::chrono::minutes(1);
  // A call's time, waiting included, where the call sets none.
  std::chrono::nanoseconds timeout = std::chrono::seconds(30);
  // The longest that JavaScript may run without a break.
  std::chrono::nanoseconds stretch = std::chrono::seconds(1);
  std::uint64_t memory_bytes = std::uint64_t{128} << 20;
  // What becomes of a result as JSON that JSON would lose or change a part of: it is refused, or sent as it comes.
  bool lenient_results = false;
  // What the lines that it logs may take in a second, and at once (supervisor/log_budget.h); the rest is dropped.
  std::uint64_t log_rate_bytes = 64 << 10;
  std::uint64_t log_burst_bytes = 256 << 10;

  bool operator==(const ModuleSettings&) const = default;
};

}  // namespace holdfast::supervisor
