// Describes the machine on which a figure was measured.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace holdfast::cli::bench {

struct Machine {
  std::string cpu;
  unsigned cores = 0;  // cores that this process may use
  std::string kernel;
  std::uint64_t memory_bytes = 0;
};

Machine this_machine();

// Memory that processes can get without swapping (MemAvailable in proc(5)); nullopt if the kernel does not report it.
std::optional<std::uint64_t> available_memory_bytes();

}  // namespace holdfast::cli::bench
