// For how long a worker was halted in the stretch that it is in.
#include "supervisor/workers/halted_time.h"

#include <doctest/doctest.h>

namespace holdfast::supervisor {
namespace {

using namespace std::chrono_literals;

constexpr HaltedTime::TimePoint kNow{1000s};

StretchView stretch(std::uint64_t count) { return {.running = 1, .count = count, .start = kNow}; }

TEST_CASE("a worker is halted from a halt until it goes on") {
  HaltedTime halts;
  CHECK_FALSE(halts.is_halted());
  halts.halt(3, kNow);
  CHECK(halts.is_halted());
  halts.go_on(3, kNow + 1s);
  CHECK_FALSE(halts.is_halted());
}

TEST_CASE("a stretch starts later by all the time that the worker was halted in it") {
  HaltedTime halts;
  halts.halt(3, kNow);
  CHECK(halts.go_on(3, kNow + 1s) == 1s);
  halts.halt(3, kNow + 5s);
  CHECK(halts.go_on(3, kNow + 7s) == 2s);
  CHECK(halts.without(stretch(3)).start == kNow + 3s);
}

TEST_CASE("another stretch starts when it says") {
  HaltedTime halts;
  halts.halt(3, kNow);
  halts.go_on(3, kNow + 1s);
  CHECK(halts.without(stretch(4)).start == kNow);
}

TEST_CASE("a halt in another stretch starts to count anew") {
  HaltedTime halts;
  halts.halt(3, kNow);
  halts.go_on(3, kNow + 1s);
  halts.halt(4, kNow + 5s);
  halts.go_on(4, kNow + 7s);
  CHECK(halts.without(stretch(4)).start == kNow + 2s);
  CHECK(halts.without(stretch(3)).start == kNow);
}

TEST_CASE("a worker that is in another stretch when it goes on was halted in none") {
  HaltedTime halts;
  halts.halt(3, kNow);
  CHECK(halts.go_on(4, kNow + 1s) == 0s);
  CHECK(halts.without(stretch(3)).start == kNow);
  CHECK(halts.without(stretch(4)).start == kNow);
}

TEST_CASE("of a view, only the start changes") {
  HaltedTime halts;
  halts.halt(3, kNow);
  halts.go_on(3, kNow + 1s);
  const StretchView view = halts.without({.running = 7, .count = 3, .start = kNow, .number = 9});
  CHECK(view.running == 7);
  CHECK(view.count == 3);
  CHECK(view.number == 9);
}

}  // namespace
}  // namespace holdfast::supervisor
