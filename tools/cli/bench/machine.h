// The machine on which something is measured: figures mean nothing without it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace holdfast::cli::bench {

struct Machine {
  std::string cpu;
  unsigned cores = 0;  // that this process may use
  std::string kernel;
  std::uint64_t memory_bytes = 0;
};

Machine this_machine();

// That processes can have without anything being swapped out (MemAvailable in proc(5)); nothing if the kernel does not
// tell.
std::optional<std::uint64_t> available_memory_bytes();

}  // namespace holdfast::cli::bench
