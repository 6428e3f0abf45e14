// Aborts the process when an invariant is broken: to go on would mean to guess. `what` completes the sentence "expected
// that …" on standard error.
#pragma once

#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace holdfast::supervisor {

inline void expect(bool condition, const char* what) {
  if (condition) return;
  char text[256];
  std::snprintf(text, sizeof text, "broken invariant: expected that %s\n", what);
  // If nothing reads the log, do not wait for it longer than this.
  constexpr int kPatienceMillis = 1000;
  pollfd wanted = {STDERR_FILENO, POLLOUT, 0};
  if (::poll(&wanted, 1, kPatienceMillis) > 0) (void)!::write(STDERR_FILENO, text, std::strlen(text));
  std::abort();
}

}  // namespace holdfast::supervisor
