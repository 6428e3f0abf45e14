// Where the program and its libraries lie in this process (elf(5), dl_iterate_phdr(3)).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace holdfast::sandbox {

// Code or constants, as whole pages.
struct LoadedSegment {
  std::string_view path;  // of the object that it is of: as long as that is loaded; empty for the program itself
  std::uintptr_t object;  // where that was loaded
  std::uintptr_t begin, end;
  bool is_executable;
  bool is_first;  // of its object
};

// All that no one is to write to: their program headers grant no writing. With those of the kernel's own object
// (vdso(7)).
std::vector<LoadedSegment> constant_segments();

}  // namespace holdfast::sandbox
