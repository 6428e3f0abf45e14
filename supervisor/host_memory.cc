#include "supervisor/host_memory.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

namespace holdfast::supervisor {
namespace {

// The sum of the lines "KEY:  N kB"; nothing if there is none.
std::optional<std::uint64_t> sum_of(std::istream& file, std::initializer_list<std::string_view> keys) {
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

// Such a file gives its content anew to whoever reads it from the start.
std::string content_of(const UniqueFd& file) {
  std::string content(4096, '\0');
  const ssize_t count = ::pread(file.get(), content.data(), content.size(), 0);
  content.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
  return content;
}

}  // namespace

std::uint64_t available_memory() {
  std::ifstream meminfo("/proc/meminfo");
  std::uint64_t available = sum_of(meminfo, {"MemAvailable"}).value_or(0);
  // Where this process's cgroup is the root of what it sees, as in containers.
  const auto limit = number_in("/sys/fs/cgroup/memory.max");
  const auto used = number_in("/sys/fs/cgroup/memory.current");
  if (limit && used) available = std::min(available, *limit - std::min(*used, *limit));
  return available;
}

std::optional<std::uint64_t> private_memory(const UniqueFd& smaps_rollup) {
  std::istringstream lines(content_of(smaps_rollup));
  return sum_of(lines, {"Private_Clean", "Private_Dirty"});
}

std::uint64_t anonymous_memory(const UniqueFd& statm) {
  std::istringstream numbers(content_of(statm));
  std::uint64_t size = 0, resident = 0, shared = 0;  // in pages
  numbers >> size >> resident >> shared;
  static const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return (resident - std::min(resident, shared)) * page;
}

}  // namespace holdfast::supervisor
