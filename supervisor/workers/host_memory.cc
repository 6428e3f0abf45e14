#include "supervisor/workers/host_memory.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

namespace holdfast::supervisor {
namespace {

namespace fs = std::filesystem;

// The sum, in bytes, of the lines "KEY:  N kB" with these keys; nothing if there is none.
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

std::optional<std::uint64_t> number_in(const fs::path& path) {
  std::ifstream file(path);
  std::uint64_t number;
  if (file >> number) return number;
  return std::nullopt;  // no file, or "max"
}

// The number behind "KEY " in a file of such lines; 0 if there is none.
std::uint64_t number_in(const fs::path& path, std::string_view key) {
  std::ifstream file(path);
  std::string word;
  for (std::uint64_t number; file >> word >> number;) {
    if (word == key) return number;
  }
  return 0;
}

// The names of a cgroup version's files.
struct CgroupFiles {
  std::initializer_list<const char*> limits;
  const char* used;
  const char* reclaimable;  // in memory.stat: used, but given back when others need it
};
const CgroupFiles kVersion1 = {{"memory.limit_in_bytes"}, "memory.usage_in_bytes", "total_inactive_file"};
const CgroupFiles kVersion2 = {{"memory.max", "memory.high"}, "memory.current", "inactive_file"};

// What the limits of one cgroup leave; nothing if it has none.
std::optional<std::uint64_t> room_in(const fs::path& folder, const CgroupFiles& files) {
  const auto used = number_in(folder / files.used);
  if (!used) return std::nullopt;
  const std::uint64_t kept = *used - std::min(*used, number_in(folder / "memory.stat", files.reclaimable));
  std::optional<std::uint64_t> room;
  for (const char* name : files.limits) {
    const auto limit = number_in(folder / name);
    if (!limit) continue;
    const std::uint64_t left = *limit - std::min(kept, *limit);
    room = std::min(left, room.value_or(left));
  }
  return room;
}

// What the limits of a cgroup and of those above it leave. In a container, the files of its own cgroup are where
// those of the root cgroup are elsewhere. The path to the cgroup may then name folders that cannot be seen: they are
// left out.
std::optional<std::uint64_t> room_in_all(const fs::path& mount, const fs::path& cgroup, const CgroupFiles& files) {
  std::optional<std::uint64_t> room;
  for (fs::path at = cgroup.relative_path();; at = at.parent_path()) {
    if (const auto left = room_in(at.empty() ? mount : mount / at, files)) {
      room = std::min(*left, room.value_or(*left));
    }
    if (at.empty()) return room;
  }
}

// "4:memory:/path" is a line of version 1, "0::/path" that of version 2.
std::optional<std::uint64_t> room_in_cgroups(const fs::path& proc, const fs::path& cgroups) {
  std::optional<std::uint64_t> room;
  std::ifstream file(proc / "self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = fmt::format(",{},", line.substr(first + 1, second - first - 1));
    const fs::path path = line.substr(second + 1);
    std::optional<std::uint64_t> left;
    if (controllers == ",,") {
      left = room_in_all(cgroups, path, kVersion2);
    } else if (controllers.find(",memory,") != std::string::npos) {
      left = room_in_all(cgroups / "memory", path, kVersion1);
    }
    if (left) room = std::min(*left, room.value_or(*left));
  }
  return room;
}

// Such a file gives its content anew when it is read from the start.
using Content = std::array<char, 4096>;
std::string_view content_of(const UniqueFd& file, Content& content) {
  const ssize_t count = ::pread(file.get(), content.data(), content.size(), 0);
  return {content.data(), count < 0 ? 0 : static_cast<std::size_t>(count)};
}

// Takes the number off the front of the text, with the blanks before it; 0 if there is none.
std::uint64_t take_number(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

}  // namespace

std::uint64_t available_memory() { return available_memory("/proc", "/sys/fs/cgroup"); }

std::uint64_t available_memory(const fs::path& proc, const fs::path& cgroups) {
  std::ifstream meminfo(proc / "meminfo");
  const auto of_host = sum_of(meminfo, {"MemAvailable"});
  const auto of_cgroups = room_in_cgroups(proc, cgroups);
  if (!of_host) return of_cgroups.value_or(0);
  return std::min(*of_host, of_cgroups.value_or(*of_host));
}

std::optional<std::uint64_t> private_memory(const UniqueFd& smaps_rollup) {
  Content content;
  std::istringstream lines{std::string(content_of(smaps_rollup, content))};
  return sum_of(lines, {"Private_Clean", "Private_Dirty"});
}

std::uint64_t anonymous_memory(const UniqueFd& statm) {
  Content content;
  std::string_view numbers = content_of(statm, content);
  take_number(numbers);                                 // the size of all mappings
  const std::uint64_t resident = take_number(numbers);  // in pages
  const std::uint64_t shared = take_number(numbers);
  static const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return (resident - std::min(resident, shared)) * page;
}

std::uint64_t held_memory(const UniqueFd& status) {
  Content content;
  std::istringstream lines{std::string(content_of(status, content))};
  return sum_of(lines, {"RssAnon", "VmSwap", "VmPTE"}).value_or(0);
}

}  // namespace holdfast::supervisor
