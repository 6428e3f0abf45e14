#include "tools/cli/file_module.h"

#include <algorithm>
#include <filesystem>

#include "ipc/base/module_name.h"

namespace holdfast::cli {

std::string module_name_for_file(const std::string& path) {
  std::string name = std::filesystem::path(path).stem().string();
  if (name.size() > ipc::kMaxNameBytes) name.resize(ipc::kMaxNameBytes);
  std::ranges::replace_if(
      name, [](char c) { return !ipc::is_name_character(c); }, '_');
  if (name.empty()) return "module";
  if (name.front() == '.') name.front() = '_';
  return name;
}

}  // namespace holdfast::cli
