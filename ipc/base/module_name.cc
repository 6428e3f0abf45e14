#include "ipc/base/module_name.h"

#include <fmt/format.h>

#include <algorithm>

#include "ipc/base/text.h"

namespace holdfast::ipc {

std::string to_string(const ModuleName& name) { return name.module + "@" + name.version; }

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
         c == '-' || c == '+';
}

std::optional<std::string> name_problem(std::string_view part, std::string_view what) {
  if (part.empty()) return fmt::format("the {} is empty", what);
  if (part.size() > kMaxNameBytes) {
    return fmt::format("the {} has {} characters; at most {} are allowed", what, part.size(), kMaxNameBytes);
  }
  if (part.front() == '.') return fmt::format("the {} begins with a dot", what);
  if (!std::ranges::all_of(part, is_name_character)) {
    return fmt::format("the {} has characters other than A-Z a-z 0-9 . _ - +", what);
  }
  return std::nullopt;
}

tl::expected<ModuleName, std::string> parse_module_name(std::string_view text) {
  const auto fail = [&](std::string_view why) {
    return tl::unexpected(fmt::format(
        "\"{}\" does not name a module: {}; expected MODULE@VERSION, such as calculator@v1.0.0", shown(text), why));
  };
  const std::size_t at = text.find('@');
  if (at == std::string_view::npos) return fail("it has no version");
  ModuleName name{std::string(text.substr(0, at)), std::string(text.substr(at + 1))};
  if (auto problem = name_problem(name.module, "module's name")) return fail(*problem);
  if (auto problem = name_problem(name.version, "version")) return fail(*problem);
  return name;
}

}  // namespace holdfast::ipc
