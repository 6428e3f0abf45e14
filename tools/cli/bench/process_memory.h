// Memory and parents of other processes, from /proc (proc(5)).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace holdfast::cli::bench {

struct ProcessMemory {
  std::uint64_t private_bytes;       // not shared: Private_Clean plus Private_Dirty
  std::uint64_t proportional_bytes;  // Pss: shared pages are divided among the processes that share them
};

// From /proc/PID/smaps_rollup; nullopt if that cannot be read: only root can read it for a process that is not
// dumpable.
std::optional<ProcessMemory> memory_of(pid_t pid);

// Sum for all `processes`; nullopt if one cannot be read.
std::optional<ProcessMemory> total_memory_of(const std::vector<pid_t>& processes);

// The parent's pid; nullopt if the process is gone.
std::optional<pid_t> parent_of(pid_t pid);

}  // namespace holdfast::cli::bench
