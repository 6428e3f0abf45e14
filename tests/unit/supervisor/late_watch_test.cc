// When a worker that is late to give up a call counts as stuck. It is looked at once in each 100 ms; its JavaScript may
// run for 1 s without a break, so the patience is 3 s.
#include "supervisor/late_watch.h"

#include <doctest/doctest.h>

namespace holdfast::supervisor {
namespace {

using namespace std::chrono_literals;

struct LateWorker {
  // How many looks it takes until the worker is stuck; 0: it is not within `most` looks. `goes_on` is called between
  // two looks.
  template <typename GoesOn>
  int looks_until_stuck(int most, GoesOn goes_on) {
    for (int look = 1; look <= most; ++look) {
      if (watch.is_stuck(state, 100ms, 1s)) return look;
      goes_on();
    }
    return 0;
  }

  LateWatch watch;
  LateWatch::Look state{.runs = true, .stretches = 5, .answers = 7, .told = 1s, .untold = 10ms};
};

TEST_CASE("a worker that does nothing is stuck at the second look, one that began another stretch is not") {
  LateWorker worker;
  worker.state.runs = false;
  SUBCASE("nothing") {
    CHECK(worker.looks_until_stuck(10, [] {}) == 2);
  }
  SUBCASE("another stretch, with news of its work") {
    CHECK(worker.looks_until_stuck(10, [&] {
      ++worker.state.stretches;
      worker.state.told += 1ms;
    }) == 0);
  }
}

TEST_CASE("a worker that runs and tells of no work is stuck after the patience") {
  LateWorker worker;
  CHECK(worker.looks_until_stuck(100, [] {}) == 31);
}

TEST_CASE("a worker that uses the CPU for more than two stretches and tells of no work for that is stuck") {
  LateWorker worker;
  CHECK(worker.looks_until_stuck(100, [&] {
    worker.state.untold += 500ms;
    worker.state.told += 1ms;
  }) == 6);
}

TEST_CASE("a worker that answers other calls is stuck only after ten times the patience") {
  LateWorker worker;
  CHECK(worker.looks_until_stuck(1000, [&] {
    ++worker.state.answers;
    worker.state.untold += 500ms;
  }) == 300);
}

TEST_CASE("a worker that is late for another reason has all its time again") {
  LateWorker worker;
  const auto answers = [&] { ++worker.state.answers; };
  CHECK(worker.looks_until_stuck(299, answers) == 0);
  worker.watch.begin_again();
  CHECK(worker.looks_until_stuck(1000, answers) == 300);
}

}  // namespace
}  // namespace holdfast::supervisor
