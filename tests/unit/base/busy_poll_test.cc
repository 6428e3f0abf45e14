#include "ipc/base/busy_poll.h"

#include <doctest/doctest.h>

namespace holdfast::ipc {
namespace {

using namespace std::chrono_literals;

BusyPoll after_short_sleeps(int count) {
  BusyPoll poll(50us);
  for (int i = 0; i < count; ++i) poll.slept(100us);
  return poll;
}

// A BusyPoll that has polled a few times and found something each time.
BusyPoll successful() {
  BusyPoll poll = after_short_sleeps(4);
  for (int i = 0; i < 4; ++i) poll.found(1us);
  return poll;
}

TEST_CASE("busy-polling pays after a few sleeps in a row that were hardly longer than going to sleep and waking up") {
  CHECK_FALSE(BusyPoll(50us).pays());
  CHECK_FALSE(after_short_sleeps(3).pays());
  CHECK(after_short_sleeps(4).pays());
}

TEST_CASE("busy-polling does not pay if one sleep in four is longer") {
  BusyPoll poll(50us);
  for (int i = 0; i < 100; ++i) {
    for (int k = 0; k < 3; ++k) poll.slept(30us);
    CHECK_FALSE(poll.pays());
    poll.slept(101us);
    CHECK_FALSE(poll.pays());
  }
}

TEST_CASE("busy-polling does not pay where sleeping costs next to nothing") {
  BusyPoll poll(50us);
  for (int i = 0; i < 100; ++i) poll.slept(24us);
  CHECK_FALSE(poll.pays());
}

TEST_CASE("the caller sets which sleeps cost next to nothing") {
  BusyPoll poll(50us, 10us);
  for (int i = 0; i < 100; ++i) poll.slept(9us);
  CHECK_FALSE(poll.pays());
  for (int i = 0; i < 4; ++i) poll.slept(10us);
  CHECK(poll.pays());
}

TEST_CASE("busy-polling pays as long as four polls succeed for each one in vain") {
  BusyPoll poll = successful();
  for (int i = 0; i < 1000; ++i) {
    poll.slept(51us);  // after polling in vain
    REQUIRE(poll.pays());
    for (int k = 0; k < 4; ++k) poll.found(50us);
  }
  poll.slept(51us);
  poll.slept(51us);
  CHECK_FALSE(poll.pays());
}

TEST_CASE("a poll that succeeds only after others had the core counts as in vain") {
  BusyPoll poll = successful();
  poll.found(51us);
  CHECK(poll.pays());
  poll.found(3ms);
  CHECK_FALSE(poll.pays());
}

TEST_CASE("now and then a wait sleeps at once and busy-polling ends if that costs next to nothing") {
  BusyPoll poll = successful();
  const auto look_until_it_sleeps = [&] {
    int looks = 0;
    for (; poll.pays() && looks < 100'000; ++looks) poll.found(1us);
    return looks;
  };
  CHECK(look_until_it_sleeps() == 124);
  poll.slept(80us);
  CHECK(look_until_it_sleeps() == 128);
  poll.slept(5us);
  CHECK_FALSE(poll.pays());
  for (int i = 0; i < 3; ++i) poll.slept(80us);
  CHECK_FALSE(poll.pays());
}

TEST_CASE("busy-polling never pays if its limit is zero") {
  BusyPoll poll(0us);
  for (int i = 0; i < 100; ++i) poll.slept(1ns);
  CHECK_FALSE(poll.pays());
}

}  // namespace
}  // namespace holdfast::ipc
