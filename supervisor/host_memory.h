// What the kernel says of memory: how much the host can still give, and how much a process holds.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace holdfast::supervisor {

// Bytes that processes can still take without others being swapped out: MemAvailable of /proc/meminfo (proc(5)), or
// what the cgroup's memory.max leaves where that is less. 0 if neither can be read.
std::uint64_t available_memory();

// Private memory of `pid` (smaps_rollup) where the kernel shows it, which needs root; else its anonymous resident
// memory (RssAnon of status), which counts pages shared with the zygote too. 0 if the process is gone.
std::uint64_t process_memory(pid_t pid);

}  // namespace holdfast::supervisor
