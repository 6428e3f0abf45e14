// The names of environment variables that a module can be given.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace holdfast::ipc {

// Nothing if a variable may have this name: a letter or an underscore, then letters, digits and underscores, at most
// 128 of them. Else what is wrong with it.
std::optional<std::string> variable_name_problem(std::string_view name);

}  // namespace holdfast::ipc
