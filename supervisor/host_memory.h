// What the kernel says of memory: how much the host can still give, and how much a process holds.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "ipc/unique_fd.h"

namespace holdfast::supervisor {

// Bytes that this process and its children can still take without others being swapped out: MemAvailable of
// /proc/meminfo (proc(5)), or what the limits of its cgroup and of those above it leave where that is less (memory.max
// and memory.high, with version 1 memory.limit_in_bytes). 0 if none of these can be read.
std::uint64_t available_memory();
// The same of other files, for tests: `proc` and `cgroups` are where /proc and /sys/fs/cgroup are.
std::uint64_t available_memory(const std::filesystem::path& proc, const std::filesystem::path& cgroups);

// What a process has for itself, from its smaps_rollup; nothing if that cannot be read.
std::optional<std::uint64_t> private_memory(const UniqueFd& smaps_rollup);

// A process's memory that no file stands behind, from its statm; of a worker, that includes what it shares with its
// zygote. 0 if the process is gone.
std::uint64_t anonymous_memory(const UniqueFd& statm);

// What a process makes the host hold, from its status: the same, what of it is swapped out, and page tables. Ten times
// as much work as anonymous_memory(). 0 if the process is gone.
std::uint64_t held_memory(const UniqueFd& status);

}  // namespace holdfast::supervisor
