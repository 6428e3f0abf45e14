// Helpers of the tests of settings files.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <utility>

#include "supervisor/settings/settings.h"

namespace holdfast::supervisor {

// Parses a file that must have no mistakes.
inline Settings settings(std::string_view text, const ModuleSettings& flags = {}) {
  auto parsed = Settings::parse(text, "s.toml", flags);
  REQUIRE_MESSAGE(parsed.has_value(), parsed.error().front());
  return std::move(*parsed);
}

// Parses a file that must have mistakes, and returns them.
inline Settings::Errors mistakes(std::string_view text, const std::string& file = "s.toml") {
  const auto parsed = Settings::parse(text, file, {});
  const std::string_view beginning = text.substr(0, 500);
  CAPTURE(beginning);
  REQUIRE_FALSE(parsed.has_value());
  CHECK_FALSE(parsed.error().empty());
  return parsed.error();
}

// Parses a file that must have exactly one mistake, and returns it.
inline std::string mistake(std::string_view text) {
  const Settings::Errors all = mistakes(text);
  CHECK(all.size() == 1);
  return all.front();
}

inline bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

}  // namespace holdfast::supervisor
