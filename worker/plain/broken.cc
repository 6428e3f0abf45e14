#include "worker/plain/broken.h"

#include <cstdio>
#include <utility>

namespace holdfast::worker {
namespace {

TellBroken way_to_tell = nullptr;

}  // namespace

void tell_broken_by(TellBroken tell) { way_to_tell = tell; }

void broken(std::string_view expected) {
  // If telling fails in the same way, the second word is not told by it.
  if (const TellBroken tell = std::exchange(way_to_tell, nullptr)) tell(expected);
  std::fprintf(stderr, "holdfast-worker: broken invariant: expected that %.*s\n", static_cast<int>(expected.size()),
               expected.data());
  __builtin_trap();  // abort(3) needs a system call that a locked worker has not
}

}  // namespace holdfast::worker
