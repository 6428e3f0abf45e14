// The loaded segments of the program and its libraries in this process (elf(5), dl_iterate_phdr(3)).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace holdfast::sandbox {

// A segment of code or constants, as whole pages.
struct LoadedSegment {
  std::string_view path;  // of its object, valid while that is loaded; empty for the program itself
  std::uintptr_t object;  // the object's load address
  std::uintptr_t begin, end;
  bool is_executable;
  bool is_first;  // the first loaded segment of its object
};

// All segments whose program headers do not allow writing, including those of the kernel's own object (vdso(7)).
std::vector<LoadedSegment> constant_segments();

}  // namespace holdfast::sandbox
