// The module name under which `holdfast run` serves a file.
#pragma once

#include <string>

namespace holdfast::cli {

// The file's stem, cut to ipc::kMaxNameBytes. Every byte that a module's name cannot have, and a leading dot, becomes
// "_". Always a valid name.
std::string module_name_for_file(const std::string& path);

}  // namespace holdfast::cli
