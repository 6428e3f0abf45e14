// Waiting for what no descriptor tells of: a process that is gone, a line in a log.
#pragma once

#include <chrono>
#include <functional>

namespace holdfast::test {

// Far beyond what anything here takes on a busy machine: whoever waits this long hangs.
constexpr std::chrono::minutes kHangGuard{2};

// Looks every few milliseconds whether `condition` holds; false if it still does not after the guard's time.
[[nodiscard]] bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds guard = kHangGuard);

}  // namespace holdfast::test
