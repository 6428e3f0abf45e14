// What the kernel says of memory: how much the host can still give, and how much a process holds.
#pragma once

#include <cstdint>
#include <optional>

#include "ipc/unique_fd.h"

namespace holdfast::supervisor {

// Bytes that processes can still take without others being swapped out: MemAvailable of /proc/meminfo (proc(5)), or
// what the cgroup's memory.max leaves where that is less. 0 if neither can be read.
std::uint64_t available_memory();

// What a process has for itself, from its smaps_rollup; nothing if that cannot be read.
std::optional<std::uint64_t> private_memory(const UniqueFd& smaps_rollup);

// A process's memory that no file stands behind, from its statm; of a worker, that includes what it shares with its
// zygote. 0 if the process is gone.
std::uint64_t anonymous_memory(const UniqueFd& statm);

}  // namespace holdfast::supervisor
