#include "tools/cli/bench/machine.h"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <charconv>
#include <fstream>
#include <string_view>
#include <thread>

namespace holdfast::cli::bench {
namespace {

// The text after `name`, a colon and space, on the first line that begins with `name`.
std::optional<std::string> field(const char* path, std::string_view name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(name)) continue;
    const std::size_t colon = line.find(':');
    const std::size_t begin = line.find_first_not_of(" \t", colon + 1);
    if (colon != std::string::npos && begin != std::string::npos) return line.substr(begin);
  }
  return std::nullopt;
}

std::optional<std::uint64_t> memory_field(std::string_view name) {
  const auto text = field("/proc/meminfo", name);
  std::uint64_t kibibytes = 0;
  if (!text || std::from_chars(text->data(), text->data() + text->size(), kibibytes).ec != std::errc()) {
    return std::nullopt;
  }
  return kibibytes * 1024;
}

}  // namespace

Machine this_machine() {
  utsname name = {};
  ::uname(&name);
  return {.cpu = field("/proc/cpuinfo", "model name").value_or("unknown"),
          .cores = std::thread::hardware_concurrency(),
          .kernel = fmt::format("{} {}", name.sysname, name.release),
          .memory_bytes = memory_field("MemTotal:").value_or(0)};
}

std::optional<std::uint64_t> available_memory_bytes() { return memory_field("MemAvailable:"); }

}  // namespace holdfast::cli::bench
