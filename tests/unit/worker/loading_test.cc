// What loading a module and its timers is decided by without V8: deadlines, delays, places in the text.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>

#include "worker/plain/line_starts.h"
#include "worker/plain/load_deadline.h"
#include "worker/plain/timer_delay.h"

namespace holdfast::worker {
namespace {

using namespace std::chrono_literals;
using WakeUp = LoadDeadline::WakeUp;

const auto kStartOfLoad = std::chrono::steady_clock::now();

TEST_CASE("a top level may await something until the deadline") {
  LoadDeadline deadline;
  deadline.begin(kStartOfLoad);
  CHECK(deadline.at() == kStartOfLoad + kLongestTopLevelAwait);
  CHECK_FALSE(deadline.failure(kStartOfLoad, WakeUp::possible));
  CHECK_FALSE(deadline.failure(deadline.at() - 1ns, WakeUp::possible));
  CHECK(deadline.failure(deadline.at(), WakeUp::possible) == "the module's top-level await has not settled within 30s");
}

TEST_CASE("a top level that nothing can wake fails at once") {
  LoadDeadline deadline;
  deadline.begin(kStartOfLoad);
  CHECK(deadline.failure(kStartOfLoad, WakeUp::impossible) ==
        "the module's top-level await never settles: no timer is set, and nothing else can wake it");
}

TEST_CASE("a timer's delay is a whole number of milliseconds, from 0 to the largest signed 32-bit number") {
  const auto once = [](double millis) { return timer_delay(millis, TimerKind::once).count(); };
  CHECK(once(0) == 0);
  CHECK(once(0.999) == 0);
  CHECK(once(1) == 1);
  CHECK(once(1.999) == 1);
  CHECK(once(-5) == 0);
  CHECK(once(std::nan("")) == 0);
  CHECK(once(2147483647) == 2147483647);
  CHECK(once(2147483648.0) == 2147483647);
  CHECK(once(std::numeric_limits<double>::infinity()) == 2147483647);
}

TEST_CASE("an interval is at least a millisecond long, so that other work has its turns") {
  CHECK(timer_delay(0, TimerKind::repeating) == 1ms);
  CHECK(timer_delay(std::nan(""), TimerKind::repeating) == 1ms);
  CHECK(timer_delay(2, TimerKind::repeating) == 2ms);
}

std::span<const std::uint16_t> units(std::u16string_view text) {
  return {reinterpret_cast<const std::uint16_t*>(text.data()), text.size()};
}

TEST_CASE("lines begin at the start of the text and behind each line feed, however the text is cut into parts") {
  LineStarts starts;
  starts.add(units(u"ab\nc"));
  starts.add(units(u"\n"));
  starts.add(units(u""));
  starts.add(units(u"\nd"));
  CHECK(starts.start_of(1) == 0);
  CHECK(starts.start_of(2) == 3);
  CHECK(starts.start_of(3) == 5);
  CHECK(starts.start_of(4) == 6);
  CHECK_FALSE(starts.start_of(0));
  CHECK_FALSE(starts.start_of(5));
}

TEST_CASE("the place of an offset counts lines and columns from 1; a line feed ends its line") {
  LineStarts starts;
  starts.add(units(u"ab\nc\n\nd"));
  const auto place = [&](std::uint32_t offset) {
    const auto found = starts.place_of(offset);
    return std::to_string(found.line) + ":" + std::to_string(found.column);
  };
  CHECK(place(0) == "1:1");
  CHECK(place(2) == "1:3");
  CHECK(place(3) == "2:1");
  CHECK(place(5) == "3:1");
  CHECK(place(6) == "4:1");
  CHECK(starts.start_of(1) == 0);
}

TEST_CASE("an empty text has one line") {
  const LineStarts starts;
  CHECK(starts.start_of(1) == 0);
  CHECK_FALSE(starts.start_of(2));
}

}  // namespace
}  // namespace holdfast::worker
