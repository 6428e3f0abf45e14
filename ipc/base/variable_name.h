// Names of the environment variables that a module can be given.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace holdfast::ipc {

// nullopt if a variable may have this name: a letter or an underscore, then letters, digits and underscores, at most
// 128 characters in all. Otherwise a message that says what is wrong.
std::optional<std::string> variable_name_problem(std::string_view name);

}  // namespace holdfast::ipc
