// Aborts the process when an invariant is broken: to go on would mean to guess. `what` completes the sentence "expected
// that …" on standard error.
#pragma once

#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace holdfast {

// Out of line, so that a check costs its caller a compare and a jump.
[[noreturn, gnu::cold, gnu::noinline]] inline void abort_because_expected(const char* what) {
  char text[256];
  std::snprintf(text, sizeof text, "broken invariant: expected that %s\n", what);
  // If nothing reads the log, do not wait for it longer than this.
  constexpr int kPatienceMillis = 1000;
  pollfd wanted = {STDERR_FILENO, POLLOUT, 0};
  if (::poll(&wanted, 1, kPatienceMillis) > 0) (void)!::write(STDERR_FILENO, text, std::strlen(text));
  std::abort();
}

inline void expect(bool condition, const char* what) {
  if (!condition) abort_because_expected(what);
}

}  // namespace holdfast
