#include "supervisor/host_memory.h"

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

}  // namespace holdfast::supervisor
