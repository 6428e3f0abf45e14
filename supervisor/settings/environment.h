// The environment that an operator gives a module: what it reads as context.env and process.env. Pure.
#pragma once

#include <cstddef>
#include <map>
#include <string>

namespace holdfast::supervisor {

using Environment = std::map<std::string, std::string, std::less<>>;

// The limit for all names and values together; a frame holds many times as much.
constexpr std::size_t kMostEnvironmentBytes = std::size_t{64} << 10;

inline std::size_t size_bytes(const Environment& environment) {
  std::size_t bytes = 0;
  for (const auto& [name, value] : environment) bytes += name.size() + value.size();
  return bytes;
}

}  // namespace holdfast::supervisor
