// The environment that an operator gives a module: what it reads as context.env and process.env. Pure.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::supervisor {

using Environment = std::map<std::string, std::string, std::less<>>;

// Of all names and values together; a frame holds it many times over.
constexpr std::size_t kMostEnvironmentBytes = std::size_t{64} << 10;

std::size_t size_bytes(const Environment& environment);

// Nothing if a variable may have this name: a letter or an underscore, then letters, digits and underscores, at most
// 128 of them. Else what is wrong with it.
std::optional<std::string> variable_name_problem(std::string_view name);

}  // namespace holdfast::supervisor
