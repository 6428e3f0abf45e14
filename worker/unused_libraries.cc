#include "worker/unused_libraries.h"

#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace holdfast::worker {
namespace {

// Of libnode's libraries those that only Node.js itself calls, and what compiled the filter.
constexpr std::array<std::string_view, 8> kUnused = {"libbrotlicommon.so", "libbrotlidec.so", "libbrotlienc.so",
                                                     "libcares.so",        "libnghttp2.so",   "libseccomp.so",
                                                     "libssl.so",          "libuv.so"};

int leave_behind(dl_phdr_info* info, std::size_t, void*) {
  const std::string_view path = info->dlpi_name;
  const auto name = path.substr(path.rfind('/') + 1);
  if (std::none_of(kUnused.begin(), kUnused.end(), [&](auto unused) { return name.starts_with(unused); })) return 0;
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  // The first segment, with the headers and the names of symbols, and what is written to, with the dynamic section, are
  // read of each library by whoever looks for a symbol or an address in all of them.
  bool is_first = true;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& header = info->dlpi_phdr[i];
    if (header.p_type != PT_LOAD || std::exchange(is_first, false) || (header.p_flags & PF_W) != 0) continue;
    const std::uintptr_t begin = (info->dlpi_addr + header.p_vaddr) / page * page;
    const std::uintptr_t end = info->dlpi_addr + header.p_vaddr + header.p_memsz;
    // Where it fails, they stay: nothing depends on it.
    ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTFORK);
  }
  return 0;
}

}  // namespace

void leave_unused_libraries_behind() { ::dl_iterate_phdr(leave_behind, nullptr); }

}  // namespace holdfast::worker
