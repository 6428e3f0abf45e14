#include "sandbox/loaded_segments.h"

#include <link.h>
#include <unistd.h>

#include <utility>

namespace holdfast::sandbox {
namespace {

int add_segments(dl_phdr_info* object, std::size_t, void* segments) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  bool is_first = true;
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& header = object->dlpi_phdr[i];
    if (header.p_type != PT_LOAD) continue;
    const bool first = std::exchange(is_first, false);
    if ((header.p_flags & PF_W) != 0) continue;
    const std::uintptr_t begin = object->dlpi_addr + header.p_vaddr;
    static_cast<std::vector<LoadedSegment>*>(segments)->push_back(
        {.path = object->dlpi_name,
         .object = object->dlpi_addr,
         .begin = begin & ~(page - 1),
         .end = (begin + header.p_memsz + page - 1) & ~(page - 1),
         .is_executable = (header.p_flags & PF_X) != 0,
         .is_first = first});
  }
  return 0;
}

}  // namespace

std::vector<LoadedSegment> constant_segments() {
  std::vector<LoadedSegment> segments;
  ::dl_iterate_phdr(add_segments, &segments);
  return segments;
}

}  // namespace holdfast::sandbox
