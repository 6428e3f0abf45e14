// How a module is named on the command line.
#pragma once

#include <string>
#include <string_view>

#include <tl/expected.hpp>

namespace holdfast::cli {

struct Target {
  std::string module;
  std::string version;
};

// Parses "MODULE@VERSION". Both parts must be names as protocol.capnp defines them: 1 to 64 characters of A-Z a-z 0-9
// . _ - +, not beginning with a dot. The error says which part is wrong and why.
tl::expected<Target, std::string> parse_target(std::string_view text);

// The name under which `holdfast run FILE` serves its module: the file's stem, with every byte that a name cannot
// have replaced by "_", a leading dot too, cut to 64 characters. Always a valid name.
std::string module_name_for_file(const std::string& path);

}  // namespace holdfast::cli
