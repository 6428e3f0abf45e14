// What the kernel tells about memory: how much the host can still give, and how much a process holds.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "ipc/base/unique_fd.h"

namespace holdfast::supervisor {

// Bytes that this process and its children can still take without any memory being swapped out: MemAvailable of
// /proc/meminfo (proc(5)), or what the limits of its cgroup and of the cgroups above it leave, if that is less. The
// limits are memory.max and memory.high; with version 1, memory.limit_in_bytes. 0 if none of these can be read.
std::uint64_t available_memory();
// For tests: the bytes that can still be taken by the files under `proc` and `cgroups`, which stand for /proc and
// /sys/fs/cgroup.
std::uint64_t available_memory(const std::filesystem::path& proc, const std::filesystem::path& cgroups);

// Bytes of memory that a process shares with no other, from its smaps_rollup; nothing if that cannot be read.
std::optional<std::uint64_t> private_memory(const UniqueFd& smaps_rollup);

// Bytes of a process's resident memory that no file backs, from its statm. A worker's include what it shares with its
// zygote. 0 if the process is gone.
std::uint64_t anonymous_memory(const UniqueFd& statm);

// Bytes that a process makes the host hold, from its status: memory that no file backs, resident or swapped out, and
// page tables. Takes ten times as long as anonymous_memory(). 0 if the process is gone.
std::uint64_t held_memory(const UniqueFd& status);

}  // namespace holdfast::supervisor
