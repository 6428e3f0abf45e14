// The files that a module's text may be in.
#pragma once

#include <array>
#include <bit>
#include <string>
#include <string_view>
#include <utility>

#include "ipc/module_name.h"
#include "ipc/unique_fd.h"

namespace holdfast::supervisor {

// After MODULE-VERSION; what a worker takes the text for depends on it, see docs/modules.md.
constexpr std::array<std::string_view, 3> kModuleFileEndings = {".js", ".mjs", ".cjs"};

inline std::string module_file_name(const ipc::ModuleName& name, std::string_view ending) {
  return name.module + "-" + name.version + std::string(ending);
}

// A module's file, opened for reading. With several, which of them is meant nobody knows, and none is opened.
struct ModuleFile {
  ModuleFile() = default;
  // Implicit, for a file of which there can be only one.
  ModuleFile(UniqueFd opened) : file(std::move(opened)) {}
  ModuleFile(UniqueFd opened, unsigned found_endings) : file(std::move(opened)), endings(found_endings) {}

  bool is_one_of_several() const { return std::popcount(endings) > 1; }

  UniqueFd file;
  unsigned endings = 1;  // bit i: there is one with kModuleFileEndings[i]
};

}  // namespace holdfast::supervisor
