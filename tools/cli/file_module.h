// The name under which `holdfast run` serves a file.
#pragma once

#include <string>

namespace holdfast::cli {

// The file's stem, with every byte that a module's name cannot have replaced by "_", a leading dot too, cut to
// ipc::kMaxNameBytes. Always a valid name.
std::string module_name_for_file(const std::string& path);

}  // namespace holdfast::cli
