#include "worker/plain/timers.h"

#include <doctest/doctest.h>

#include <optional>
#include <string>

namespace holdfast::worker {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr Clock::time_point kStart{};
const auto kCopy = [](const std::string& action) { return action; };
const auto kAsItIs = [](Clock::time_point due) { return due; };

// Takes the next due timer.
template <typename Align>
std::optional<std::string> take_due(Timers<std::string>& timers, Clock::time_point now, Align align) {
  const auto due = timers.next_due_at(now);
  if (!due) return std::nullopt;
  return timers.take(due->first, now, kCopy, align);
}

TEST_CASE("timers are taken in the order in which they are due, and of those in which they were set") {
  Timers<std::string> timers;
  timers.set(kStart + 2ms, std::nullopt, "third");
  timers.set(kStart + 1ms, std::nullopt, "first");
  timers.set(kStart + 1ms, std::nullopt, "second");
  CHECK(timers.next_due() == kStart + 1ms);
  CHECK_FALSE(take_due(timers, kStart, kAsItIs));
  CHECK(take_due(timers, kStart + 2ms, kAsItIs) == "first");
  CHECK(take_due(timers, kStart + 2ms, kAsItIs) == "second");
  CHECK(take_due(timers, kStart + 2ms, kAsItIs) == "third");
  CHECK_FALSE(take_due(timers, kStart + 1h, kAsItIs));
  CHECK_FALSE(timers.next_due());
}

TEST_CASE("a repeating timer that is late is due once, and then at the aligned time that comes after its interval") {
  Timers<std::string> timers;
  timers.set(kStart + 10ms, 10ms, "tick");
  const auto align = [](Clock::time_point due) {
    const auto past = due.time_since_epoch() % 50ms;
    return past == 0ms ? due : due + (50ms - past);
  };
  CHECK(take_due(timers, kStart + 95ms, align) == "tick");
  CHECK(timers.next_due() == kStart + 150ms);
  CHECK_FALSE(take_due(timers, kStart + 149ms, align));
}

TEST_CASE("a timer that was cleared is never taken, one that repeats neither") {
  Timers<std::string> timers;
  const auto once = timers.set(kStart, std::nullopt, "once");
  const auto ever = timers.set(kStart, 1ms, "ever");
  CHECK(once != ever);
  timers.clear(once);
  CHECK(take_due(timers, kStart, kAsItIs) == "ever");
  timers.clear(ever);
  timers.clear(0);
  CHECK(timers.size() == 0);
  CHECK_FALSE(take_due(timers, kStart + 1h, kAsItIs));
}

TEST_CASE("a due timer can be cleared until it runs and is not returned twice") {
  Timers<std::string> timers;
  const auto once = timers.set(kStart, std::nullopt, "once");
  const auto ever = timers.set(kStart, 1ms, "ever");
  const auto first = timers.next_due_at(kStart);
  CHECK(first->first == once);
  CHECK(*first->second == "once");
  CHECK(timers.next_due_at(kStart)->first == ever);
  CHECK_FALSE(timers.next_due_at(kStart));
  CHECK_FALSE(timers.next_due());
  timers.clear(once);
  CHECK_FALSE(timers.take(once, kStart, kCopy, kAsItIs));
  CHECK(timers.take(ever, kStart, kCopy, kAsItIs) == "ever");
  CHECK_FALSE(timers.take(ever, kStart, kCopy, kAsItIs));  // the timer waits again
  CHECK(timers.next_due() == kStart + 1ms);
}

}  // namespace
}  // namespace holdfast::worker
