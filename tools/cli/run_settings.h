// The settings file that `holdfast run` gives its supervisor.
#pragma once

#include <map>
#include <string>

namespace holdfast::cli {

// TOML, in which every module has this environment. The values are UTF-8.
std::string settings_with_environment(const std::map<std::string, std::string>& environment);

}  // namespace holdfast::cli
