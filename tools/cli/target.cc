#include "tools/cli/target.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include <fmt/format.h>

#include "ipc/text.h"

namespace holdfast::cli {
namespace {

constexpr std::size_t kMaxNameBytes = 64;  // protocol.capnp, Call.module

bool is_name_character(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
         c == '-' || c == '+';
}

std::optional<std::string> problem_with(std::string_view part, std::string_view name) {
  if (name.empty()) return fmt::format("the {} is empty", part);
  if (name.size() > kMaxNameBytes) {
    return fmt::format("the {} has {} characters; at most {} are possible", part, name.size(), kMaxNameBytes);
  }
  if (name.front() == '.') return fmt::format("the {} begins with a dot", part);
  if (!std::ranges::all_of(name, is_name_character)) {
    return fmt::format("the {} has characters other than A-Z a-z 0-9 . _ - +", part);
  }
  return std::nullopt;
}

}  // namespace

tl::expected<Target, std::string> parse_target(std::string_view text) {
  const auto fail = [&](std::string_view why) {
    const std::string shown = ipc::printable(ipc::clean_utf8(text, 200), ipc::Newlines::escape);
    return tl::unexpected(
        fmt::format("\"{}\" does not name a module: {}; expected MODULE@VERSION, such as "
                    "calculator@v1.0.0",
                    shown, why));
  };
  const std::size_t at = text.find('@');
  if (at == std::string_view::npos) return fail("it has no version");
  const std::string_view module = text.substr(0, at);
  const std::string_view version = text.substr(at + 1);
  if (auto problem = problem_with("module's name", module)) return fail(*problem);
  if (auto problem = problem_with("version", version)) return fail(*problem);
  return Target{std::string(module), std::string(version)};
}

std::string module_name_for_file(const std::string& path) {
  std::string name = std::filesystem::path(path).stem().string();
  if (name.size() > kMaxNameBytes) name.resize(kMaxNameBytes);
  std::ranges::replace_if(
      name, [](char c) { return !is_name_character(c); }, '_');
  if (name.empty()) return "module";
  if (name.front() == '.') name.front() = '_';
  return name;
}

}  // namespace holdfast::cli
