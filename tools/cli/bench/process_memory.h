// What /proc tells of other processes' memory and parents (proc(5)).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <sys/types.h>

namespace holdfast::cli::bench {

struct ProcessMemory {
  std::uint64_t private_bytes;       // that it alone has: Private_Clean and Private_Dirty
  std::uint64_t proportional_bytes;  // Pss: what it shares is divided by those who share it
};

// From /proc/PID/smaps_rollup; nothing if that cannot be read: processes that are not dumpable are for root to look at.
std::optional<ProcessMemory> memory_of(pid_t pid);

// Of all of them together; nothing if one cannot be read.
std::optional<ProcessMemory> total_memory_of(const std::vector<pid_t>& processes);

// Nothing if it is gone.
std::optional<pid_t> parent_of(pid_t pid);

}  // namespace holdfast::cli::bench
