#include "worker/process/zygote_options.h"

#include <charconv>
#include <string_view>

namespace holdfast::worker {
namespace {

template <typename Number>
std::optional<Number> to_number(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// Returns false if there is no such option, or not with this value.
bool read_option(std::string_view name, std::string_view value, ZygoteOptions& into) {
  if (name == "--control-fd") {
    const auto number = to_number<int>(value);
    into.control_fd = number.value_or(-1);
    return number.has_value();
  }
  if (name == "--memory") {
    const auto number = to_number<std::uint64_t>(value);
    into.memory_bytes = number.value_or(0);
    return number.has_value();
  }
  if (name == "--single-worker") return (into.single_worker = to_number<std::uint64_t>(value)).has_value();
  if (name == "--cpu-seconds") {
    const auto number = to_number<std::uint32_t>(value);
    into.cpu_time = std::chrono::seconds(number.value_or(0));
    return number.has_value();
  }
  if (name == "--profile") {
    into.profile = value == "strict" ? sandbox::Profile::strict : sandbox::Profile::jit;
    return value == "strict" || value == "jit";
  }
  if (name == "--allow-missing") return into.allow_missing.emplace(value).second;
  if (name == "--direct-line") return into.direct_line = true;
  if (name == "--leave-speculation") return !(into.restrict_speculation = false);
  if (name == kInsideOption) return into.inside = true;
  return false;
}

}  // namespace

std::optional<ZygoteOptions> parse_zygote_options(std::span<char* const> arguments) {
  ZygoteOptions options;
  for (const std::string_view argument : arguments) {
    const std::size_t equals = argument.find('=');
    const std::string_view value = equals == argument.npos ? std::string_view() : argument.substr(equals + 1);
    if (!read_option(argument.substr(0, equals), value, options)) return std::nullopt;
  }
  return options;
}

}  // namespace holdfast::worker
