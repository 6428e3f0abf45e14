// Waits for events without a descriptor: the end of a process, a line in a log.
#pragma once

#include <chrono>
#include <functional>

namespace holdfast::test {

// Far longer than anything here takes on a busy machine: a wait of this length is a hang.
constexpr std::chrono::minutes kHangGuard{2};

// Checks `condition` every few milliseconds; false if it still does not hold after the guard's time.
[[nodiscard]] bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds guard = kHangGuard);

}  // namespace holdfast::test
