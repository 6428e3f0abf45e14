// The names that a module's file may have.
#pragma once

#include <array>
#include <bit>
#include <string>
#include <string_view>
#include <utility>

#include "ipc/base/module_name.h"
#include "ipc/base/unique_fd.h"

namespace holdfast::supervisor {

// What may follow MODULE-VERSION in a file name. Whether a worker treats the text as an ES module or as CommonJS
// depends on it; see docs/modules.md.
constexpr std::array<std::string_view, 3> kModuleFileEndings = {".js", ".mjs", ".cjs"};

inline std::string module_file_name(const ipc::ModuleName& name, std::string_view ending) {
  return name.module + "-" + name.version + std::string(ending);
}

// A module's file, opened for reading. If there are several files for the module, it is unknown which one is meant, and
// none is opened.
struct ModuleFile {
  ModuleFile() = default;
  // Implicit; for a file that is certainly the module's only one.
  ModuleFile(UniqueFd opened) : file(std::move(opened)) {}
  ModuleFile(UniqueFd opened, unsigned found_endings) : file(std::move(opened)), endings(found_endings) {}

  bool is_one_of_several() const { return std::popcount(endings) > 1; }

  UniqueFd file;
  unsigned endings = 1;  // bit i: there is a file with kModuleFileEndings[i]
};

}  // namespace holdfast::supervisor
