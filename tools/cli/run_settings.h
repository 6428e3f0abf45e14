// The settings file that `holdfast run` gives its supervisor.
#pragma once

#include <map>
#include <string>

namespace holdfast::cli {

// TOML settings that give every module this environment. The values must be UTF-8.
std::string settings_with_environment(const std::map<std::string, std::string>& environment);

}  // namespace holdfast::cli
