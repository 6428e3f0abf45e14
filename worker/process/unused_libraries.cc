#include "worker/process/unused_libraries.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "sandbox/loaded_segments.h"

namespace holdfast::worker {
namespace {

// Those of libnode's libraries that only Node.js itself calls, and the library that compiled the filter.
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
    // Keep the first segment, with the headers and symbol names, and the writable one, with the dynamic section:
    // whatever looks for a symbol or an address in all libraries reads these.
    if (segment.is_first || !is_unused(segment.path)) continue;
    // If this fails, they stay: nothing depends on it.
    ::madvise(reinterpret_cast<void*>(segment.begin), segment.end - segment.begin, MADV_DONTFORK);
  }
}

}  // namespace holdfast::worker
