// A supervisor's statistics as plain C++ values; protocol.capnp (Stats) defines each field.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "ipc/error.h"

namespace holdfast::ipc {

struct ErrorCount {
  ErrorCode code = ErrorCode::unavailable;
  std::uint64_t count = 0;
};

// Statistics of one module since the supervisor was started.
struct ModuleStats {
  std::string module;
  std::string version;
  std::uint64_t calls = 0;  // accepted
  std::uint64_t results = 0;
  std::vector<ErrorCount> errors;  // one for each code with which calls were answered
  std::uint64_t refused = 0;
  std::uint64_t retries = 0;
  std::uint64_t cold_starts = 0;
  std::uint64_t evictions = 0;
  std::uint64_t drains = 0;
  std::uint32_t queued = 0;           // now
  std::uint32_t calls_in_flight = 0;  // now
  std::uint32_t instances = 0;        // now
  // Sums over all answered calls; see Usage.
  std::chrono::nanoseconds queue{0};
  std::chrono::nanoseconds load{0};
  std::chrono::nanoseconds run{0};
  std::chrono::nanoseconds cpu{0};
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  std::uint64_t peak_memory_bytes = 0;   // the largest
  std::chrono::nanoseconds held_off{0};  // until the module is tried again; 0: it is not held off
  std::string held_off_reason;

  std::uint64_t error_count() const {
    std::uint64_t sum = 0;
    for (const ErrorCount& error : errors) sum += error.count;
    return sum;
  }
};

// Totals of the supervisor, now.
struct StatsTotals {
  std::string version;  // of holdfastd
  std::chrono::nanoseconds uptime{0};
  std::uint32_t clients = 0;
  std::uint32_t workers = 0;  // with a module
  std::uint32_t max_workers = 0;
  std::uint32_t standbys = 0;
  std::uint32_t standby_target = 0;
  std::uint32_t queued = 0;
  std::uint32_t calls_in_flight = 0;
  std::uint32_t waiting_modules = 0;
  std::uint64_t modules = 0;  // modules with statistics; may be more than `Stats::modules` lists
  std::uint64_t forks = 0;    // since the start
  std::uint64_t memory_bytes = 0;
};

struct Stats {
  std::uint64_t id = 0;
  std::vector<ModuleStats> modules;
  StatsTotals totals;
};

}  // namespace holdfast::ipc
