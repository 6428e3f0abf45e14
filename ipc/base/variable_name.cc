#include "ipc/base/variable_name.h"

#include <fmt/format.h>

#include <algorithm>

#include "ipc/base/text.h"

namespace holdfast::ipc {

std::optional<std::string> variable_name_problem(std::string_view name) {
  constexpr std::size_t kMostNameBytes = 128;
  const auto is_letter = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_'; };
  const auto is_letter_or_digit = [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); };
  if (!name.empty() && name.size() <= kMostNameBytes && is_letter(name.front()) &&
      std::ranges::all_of(name, is_letter_or_digit)) {
    return std::nullopt;
  }
  return fmt::format("\"{}\" is not a variable name; expected 1 to {} of A-Z a-z 0-9 _, not beginning with a digit",
                     shown(name), kMostNameBytes);
}

}  // namespace holdfast::ipc
