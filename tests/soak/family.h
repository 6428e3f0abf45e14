// The processes below a holdfastd, as /proc shows them at the moment.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include <sys/types.h>

namespace holdfast::soak {

// Each may be empty for a moment, while one process takes another's place.
struct Family {
  pid_t supervisor = 0;
  std::vector<pid_t> brokers;    // at most one
  std::vector<pid_t> launchers;  // one for each zygote
  std::vector<pid_t> zygotes;
  std::vector<pid_t> workers;
};

Family family_of(pid_t supervisor);

// Waits for children of this process that have ended, but for `kept`: what falls to it as an orphan is nobody else's to
// wait for.
void reap_orphans(pid_t kept);

// In bytes. Nothing if the process is gone or may not be looked at.
struct Memory {
  std::uint64_t private_bytes = 0;       // Private_Clean and Private_Dirty of smaps_rollup: freed if it ended
  std::uint64_t proportional_bytes = 0;  // Pss: its share of shared pages counted
};
std::optional<Memory> memory_of(pid_t pid);

// Anonymous resident memory (proc_pid_status(5), RssAnon); 0 if the process is gone.
std::uint64_t anonymous_bytes(pid_t pid);

// What a process has used so far, of its own; nothing if it is gone.
struct Effort {
  std::chrono::milliseconds cpu_time{0};           // in the kernel's ticks, which are 10 ms long
  std::chrono::milliseconds cpu_time_of_ended{0};  // the same of its children that it has waited for, and of theirs
  std::uint64_t wakeups = 0;                       // times that it waited and went on (voluntary_ctxt_switches)
};
std::optional<Effort> effort_of(pid_t pid);

// The CPU time that holdfastd and all its processes have used, those included that have ended.
std::chrono::milliseconds cpu_time_of_all(const Family& family);

}  // namespace holdfast::soak
