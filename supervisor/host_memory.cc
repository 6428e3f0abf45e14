#include "supervisor/host_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::supervisor {
namespace {

// The sum of the lines "KEY:  N kB" of such a file; nothing if there is none.
std::optional<std::uint64_t> sum_of(const std::string& path, std::initializer_list<std::string_view> keys) {
  std::ifstream file(path);
  std::string key, unit;
  std::optional<std::uint64_t> sum;
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    if (std::find(keys.begin(), keys.end(), std::string_view(line).substr(0, colon)) == keys.end()) continue;
    sum = sum.value_or(0) + std::stoull(line.substr(colon + 1)) * 1024;
  }
  return sum;
}

std::optional<std::uint64_t> number_in(const std::string& path) {
  std::ifstream file(path);
  std::uint64_t number;
  if (file >> number) return number;
  return std::nullopt;  // no file, or "max"
}

}  // namespace

std::uint64_t available_memory() {
  std::uint64_t available = sum_of("/proc/meminfo", {"MemAvailable"}).value_or(0);
  // Where this process's cgroup is the root of what it sees, as in containers.
  const auto limit = number_in("/sys/fs/cgroup/memory.max");
  const auto used = number_in("/sys/fs/cgroup/memory.current");
  if (limit && used) available = std::min(available, *limit - std::min(*used, *limit));
  return available;
}

std::uint64_t process_memory(pid_t pid) {
  if (auto bytes = sum_of(fmt::format("/proc/{}/smaps_rollup", pid), {"Private_Clean", "Private_Dirty"})) return *bytes;
  return sum_of(fmt::format("/proc/{}/status", pid), {"RssAnon"}).value_or(0);
}

}  // namespace holdfast::supervisor
