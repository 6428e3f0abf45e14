#include <string>

#include <doctest/doctest.h>

#include "worker/timers.h"

namespace holdfast::worker {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr Clock::time_point kStart{};
const auto kCopy = [](const std::string& action) { return action; };
const auto kAsItIs = [](Clock::time_point due) { return due; };

TEST_CASE("timers are taken in the order in which they are due, and of those in which they were set") {
  Timers<std::string> timers;
  timers.set(kStart + 2ms, std::nullopt, "third");
  timers.set(kStart + 1ms, std::nullopt, "first");
  timers.set(kStart + 1ms, std::nullopt, "second");
  CHECK(timers.next_due() == kStart + 1ms);
  CHECK_FALSE(timers.take_due(kStart, kCopy, kAsItIs));
  CHECK(timers.take_due(kStart + 2ms, kCopy, kAsItIs) == "first");
  CHECK(timers.take_due(kStart + 2ms, kCopy, kAsItIs) == "second");
  CHECK(timers.take_due(kStart + 2ms, kCopy, kAsItIs) == "third");
  CHECK_FALSE(timers.take_due(kStart + 1h, kCopy, kAsItIs));
  CHECK_FALSE(timers.next_due());
}

TEST_CASE("a repeating timer that is late is due once, and then at the aligned time that comes after its interval") {
  Timers<std::string> timers;
  timers.set(kStart + 10ms, 10ms, "tick");
  const auto align = [](Clock::time_point due) {
    const auto past = due.time_since_epoch() % 50ms;
    return past == 0ms ? due : due + (50ms - past);
  };
  CHECK(timers.take_due(kStart + 95ms, kCopy, align) == "tick");
  CHECK(timers.next_due() == kStart + 150ms);
  CHECK_FALSE(timers.take_due(kStart + 149ms, kCopy, align));
}

TEST_CASE("a timer that was cleared is never taken, one that repeats neither") {
  Timers<std::string> timers;
  const auto once = timers.set(kStart, std::nullopt, "once");
  const auto ever = timers.set(kStart, 1ms, "ever");
  CHECK(once != ever);
  timers.clear(once);
  CHECK(timers.take_due(kStart, kCopy, kAsItIs) == "ever");
  timers.clear(ever);
  timers.clear(0);
  CHECK(timers.size() == 0);
  CHECK_FALSE(timers.take_due(kStart + 1h, kCopy, kAsItIs));
}

}  // namespace
}  // namespace holdfast::worker
