// What the tests of settings files share.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <doctest/doctest.h>

#include "supervisor/settings/settings.h"

namespace holdfast::supervisor {

// Of a file without mistakes.
inline Settings settings(std::string_view text, const ModuleSettings& flags = {}) {
  auto parsed = Settings::parse(text, "s.toml", flags);
  REQUIRE_MESSAGE(parsed.has_value(), parsed.error().front());
  return std::move(*parsed);
}

// Of a file that has some.
inline Settings::Errors mistakes(std::string_view text, const std::string& file = "s.toml") {
  const auto parsed = Settings::parse(text, file, {});
  const std::string_view beginning = text.substr(0, 500);
  CAPTURE(beginning);
  REQUIRE_FALSE(parsed.has_value());
  CHECK_FALSE(parsed.error().empty());
  return parsed.error();
}

// Of a file that has exactly one.
inline std::string mistake(std::string_view text) {
  const Settings::Errors all = mistakes(text);
  CHECK(all.size() == 1);
  return all.front();
}

inline bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

}  // namespace holdfast::supervisor
