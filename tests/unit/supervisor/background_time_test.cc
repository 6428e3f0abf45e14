#include "supervisor/workers/background_time.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace holdfast::supervisor {
namespace {

using namespace std::chrono_literals;
using TimePoint = BackgroundTime::TimePoint;

const TimePoint kStart{std::chrono::hours(1)};
constexpr WorkerId kOne{1}, kTwo{2};

TEST_CASE("a module may finish short work and is stopped if it goes on") {
  BackgroundTime background;
  TimePoint now = kStart;
  bool stopped = false;
  BackgroundTime::Duration used{};
  while (!stopped) {
    now += 50ms;
    used += 50ms;
    stopped = background.worked(kOne, 50ms, now);
    REQUIRE(used < 2s);
  }
  CHECK(used > BackgroundTime::kBurst);
  CHECK(background.any_stopped());
  CHECK_FALSE(background.next_turn(now + 100ms));
  CHECK(background.next_turn(now + 3s) == kOne);
  CHECK_FALSE(background.any_stopped());
}

TEST_CASE("a module that uses little is never stopped whatever others do") {
  BackgroundTime background;
  TimePoint now = kStart;
  for (int i = 0; i < 100'000; ++i) {
    now += 10ms;
    for (std::uint64_t hog = 10; hog < 20; ++hog) (void)background.worked(WorkerId{hog}, 2ms, now);
    if (i % 20 == 0) REQUIRE_FALSE(background.worked(kOne, 1ms, now));
    if (const auto worker = background.next_turn(now)) CHECK(*worker != kOne);
  }
}

TEST_CASE("a module that is called goes on at once and its earlier use still counts") {
  BackgroundTime background;
  CHECK(background.worked(kOne, 600ms, kStart));
  background.called(kOne);
  CHECK_FALSE(background.any_stopped());
  CHECK_FALSE(background.next_turn(kStart + 1h));
  CHECK(background.worked(kOne, 1ms, kStart + 10ms));
  background.forget(kOne);
  CHECK_FALSE(background.worked(kOne, 1ms, kStart + 20ms));
}

TEST_CASE("stopped modules run one after the other") {
  BackgroundTime background;
  CHECK(background.worked(kOne, 600ms, kStart));
  CHECK(background.worked(kTwo, 600ms, kStart));
  CHECK(background.next_turn(kStart + 10s) == kOne);
  CHECK(background.worked(kOne, 700ms, kStart + 10s));
  CHECK(background.next_turn(kStart + 30s) == kTwo);
  CHECK(background.next_turn(kStart + 30s) == kOne);
}

// Hogs that work whenever they may. The test inspects them every 50 ms.
TEST_CASE("any number of hogs together run for a fifth of the time and each gets its share") {
  std::mt19937 random(7);
  for (const std::size_t hogs : {1, 2, 10, 50, 300}) {
    CAPTURE(hogs);
    BackgroundTime background;
    std::vector<bool> runs(hogs, true);
    std::vector<BackgroundTime::Duration> late(hogs);
    TimePoint now = kStart;
    for (int step = 0; step < 20 * 600; ++step) {
      now += 50ms;
      std::vector<std::size_t> order(hogs);
      for (std::size_t i = 0; i < hogs; ++i) order[i] = i;
      std::shuffle(order.begin(), order.end(), random);
      for (const std::size_t i : order) {
        if (!runs[i]) continue;
        if (step > 20 * 60) late[i] += 50ms;
        if (background.worked(WorkerId{i + 1}, 50ms, now)) runs[i] = false;
      }
      if (const auto worker = background.next_turn(now)) {
        REQUIRE_FALSE(runs[static_cast<std::size_t>(*worker) - 1]);
        runs[static_cast<std::size_t>(*worker) - 1] = true;
      }
    }
    BackgroundTime::Duration sum{};
    for (const auto one : late) sum += one;
    CHECK(sum <= 540s / BackgroundTime::kShareOfAll);
    CHECK(std::ranges::all_of(late, [](auto one) { return one > 50ms; }));
  }
}

}  // namespace
}  // namespace holdfast::supervisor
