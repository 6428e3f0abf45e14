#include "tools/cli/bench/process_memory.h"

#include <fmt/format.h>

#include <charconv>
#include <fstream>
#include <string>
#include <string_view>

namespace holdfast::cli::bench {
namespace {

// The number after a field's name and the space behind it; nullopt if the line has another field.
std::optional<std::uint64_t> number_of(std::string_view line, std::string_view field) {
  if (!line.starts_with(field)) return std::nullopt;
  const std::size_t begin = line.find_first_not_of(" \t", field.size());
  std::uint64_t number = 0;
  if (begin == std::string_view::npos) return std::nullopt;
  if (std::from_chars(line.data() + begin, line.data() + line.size(), number).ec != std::errc()) return std::nullopt;
  return number;
}

}  // namespace

std::optional<ProcessMemory> memory_of(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/smaps_rollup", pid));
  ProcessMemory memory = {};
  bool has_pss = false;
  for (std::string line; std::getline(file, line);) {
    if (const auto pss = number_of(line, "Pss:")) {
      memory.proportional_bytes = *pss * 1024;
      has_pss = true;
    }
    for (const std::string_view field : {"Private_Clean:", "Private_Dirty:"}) {
      if (const auto size = number_of(line, field)) memory.private_bytes += *size * 1024;
    }
  }
  return has_pss ? std::optional(memory) : std::nullopt;
}

std::optional<ProcessMemory> total_memory_of(const std::vector<pid_t>& processes) {
  ProcessMemory total{};
  for (const pid_t pid : processes) {
    const auto memory = memory_of(pid);
    if (!memory) return std::nullopt;
    total.private_bytes += memory->private_bytes;
    total.proportional_bytes += memory->proportional_bytes;
  }
  return total;
}

std::optional<pid_t> parent_of(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(file, line);) {
    if (const auto parent = number_of(line, "PPid:")) return static_cast<pid_t>(*parent);
  }
  return std::nullopt;
}

}  // namespace holdfast::cli::bench
