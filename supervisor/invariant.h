// What cannot be, and is found to be nevertheless, ends the process at once: to go on would mean to guess.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace holdfast::supervisor {

inline void expect(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "broken invariant: expected that %s\n", what);
  std::abort();
}

}  // namespace holdfast::supervisor
