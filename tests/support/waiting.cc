#include "tests/support/waiting.h"

#include <poll.h>

namespace holdfast::test {

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds guard) {
  constexpr int kPauseMillis = 3;
  const auto end = std::chrono::steady_clock::now() + guard;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    ::poll(nullptr, 0, kPauseMillis);
  }
  return true;
}

}  // namespace holdfast::test
