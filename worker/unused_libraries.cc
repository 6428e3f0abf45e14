#include "worker/unused_libraries.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "sandbox/loaded_segments.h"

namespace holdfast::worker {
namespace {

// Of libnode's libraries those that only Node.js itself calls, and what compiled the filter.
constexpr std::array<std::string_view, 8> kUnused = {"libbrotlicommon.so", "libbrotlidec.so", "libbrotlienc.so",
                                                     "libcares.so",        "libnghttp2.so",   "libseccomp.so",
                                                     "libssl.so",          "libuv.so"};

bool is_unused(std::string_view path) {
  const auto name = path.substr(path.rfind('/') + 1);
  return std::ranges::any_of(kUnused, [&](auto unused) { return name.starts_with(unused); });
}

}  // namespace

void leave_unused_libraries_behind() {
  for (const sandbox::LoadedSegment& segment : sandbox::constant_segments()) {
    // The first segment, with the headers and the names of symbols, and what is written to, with the dynamic section,
    // are read of each library by whoever looks for a symbol or an address in all of them.
    if (segment.is_first || !is_unused(segment.path)) continue;
    // Where it fails, they stay: nothing depends on it.
    ::madvise(reinterpret_cast<void*>(segment.begin), segment.end - segment.begin, MADV_DONTFORK);
  }
}

}  // namespace holdfast::worker
