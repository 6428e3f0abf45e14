#include "supervisor/net/turn_watch.h"

#include <doctest/doctest.h>

namespace holdfast::supervisor {
namespace {

using namespace std::chrono_literals;

constexpr TurnWatch::TimePoint kStart{1000s};

// How long it takes until a process counts as stuck that is always found in this state and uses this share of a
// processor; 0 if it does not within a minute.
std::chrono::milliseconds stuck_after(char state, double share, std::chrono::milliseconds interval = 500ms) {
  TurnWatch watch;
  const auto look = [&](std::chrono::milliseconds at) {
    return TurnWatch::Look{state, std::chrono::duration_cast<TurnWatch::Duration>(at * share)};
  };
  watch.asked(kStart, look(0ms));
  for (auto at = interval; at <= 60s; at += interval) {
    if (watch.is_stuck(kStart + at, look(at))) return at;
  }
  return 0ms;
}

TEST_CASE("a loop that sleeps or runs and does not answer is stuck after 5 seconds") {
  CHECK(stuck_after('S', 0) == 5s);
  CHECK(stuck_after('D', 0) == 5s);
  CHECK(stuck_after('R', 1) == 5s);
}

TEST_CASE("a loop that waits for a processor is stuck only once it has had one for 5 seconds") {
  CHECK(stuck_after('R', 0) == 0ms);
  CHECK(stuck_after('R', 0.1) >= 50s);
}

TEST_CASE("a process that was stopped is not stuck") {
  CHECK(stuck_after('T', 0) == 0ms);
  CHECK(stuck_after('t', 0) == 0ms);
  TurnWatch watch;
  watch.asked(kStart, {'S', 0s});
  CHECK_FALSE(watch.is_stuck(kStart + 500ms, {'S', 0s}));
  CHECK_FALSE(watch.is_stuck(kStart + 1s, {'T', 0s}));
  // The time counts from the first look that finds the process running again.
  for (int i = 1; i <= 10; ++i) CHECK_FALSE(watch.is_stuck(kStart + 1s + i * 500ms, {'S', 0s}));
  CHECK(watch.is_stuck(kStart + 6500ms, {'S', 0s}));
}

TEST_CASE("time without a look at the process counts little") {
  TurnWatch watch;
  watch.asked(kStart, {'S', 0s});
  CHECK_FALSE(watch.is_stuck(kStart + 1h, {'S', 0s}));
  CHECK(stuck_after('S', 0, 10s) == 50s);
}

TEST_CASE("a loop that answers is not watched until it is asked again") {
  TurnWatch watch;
  CHECK_FALSE(watch.owes_answer());
  watch.asked(kStart, {});
  CHECK(watch.owes_answer());
  watch.answered();
  CHECK_FALSE(watch.owes_answer());
  CHECK_FALSE(watch.is_stuck(kStart + 10s, {}));
  watch.asked(kStart + 20s, {});
  CHECK_FALSE(watch.is_stuck(kStart + 21s, {}));
}

}  // namespace
}  // namespace holdfast::supervisor
