// The processes below a holdfastd, as /proc shows them at the moment.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

namespace holdfast::soak {

// Each list may be empty for a moment while one process takes another's place.
struct Family {
  pid_t supervisor = 0;
  std::vector<pid_t> brokers;    // at most one
  std::vector<pid_t> launchers;  // one for each zygote
  std::vector<pid_t> zygotes;
  std::vector<pid_t> workers;
};

Family family_of(pid_t supervisor);

// Reaps children of this process that have ended, except `kept`. Orphans become children of this process, so nothing
// else would reap them.
void reap_orphans(pid_t kept);

// A process's memory, in bytes; nullopt if the process is gone or may not be inspected.
struct Memory {
  std::uint64_t private_bytes = 0;       // Private_Clean and Private_Dirty of smaps_rollup: what its end would free
  std::uint64_t proportional_bytes = 0;  // Pss: includes its share of shared pages
};
std::optional<Memory> memory_of(pid_t pid);

// Anonymous resident memory (proc_pid_status(5), RssAnon); 0 if the process is gone.
std::uint64_t anonymous_bytes(pid_t pid);

// What a process itself has used so far; nullopt if it is gone.
struct Effort {
  std::chrono::milliseconds cpu_time{0};           // counted in the kernel's ticks of 10 ms
  std::chrono::milliseconds cpu_time_of_ended{0};  // CPU time of descendants that were waited for
  std::uint64_t wakeups = 0;                       // waits that it came back from (voluntary_ctxt_switches)
};
std::optional<Effort> effort_of(pid_t pid);

// The CPU time that holdfastd and all its processes have used, including processes that have ended.
std::chrono::milliseconds cpu_time_of_all(const Family& family);

}  // namespace holdfast::soak
