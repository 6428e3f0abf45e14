// How modules are named: by a module and a version, with the same rules everywhere (protocol.capnp, Call.module).
#pragma once

#include <compare>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace holdfast::ipc {

constexpr std::size_t kMaxNameBytes = 64;

struct ModuleName {
  std::string module;
  std::string version;
  auto operator<=>(const ModuleName&) const = default;
};

// "calculator@v1.0.0", as people write it.
std::string to_string(const ModuleName& name);

// Splits "MODULE@VERSION" and checks both; the error says what is wrong and what was expected.
tl::expected<ModuleName, std::string> parse_module_name(std::string_view text);

// nullopt if `part` can be a module's name or version: 1 to 64 characters of A-Z a-z 0-9 . _ - +, the first not a
// dot, so that it cannot be a path. Otherwise a message that says what is wrong and calls the part `what`.
std::optional<std::string> name_problem(std::string_view part, std::string_view what);

bool is_name_character(char c);

}  // namespace holdfast::ipc
