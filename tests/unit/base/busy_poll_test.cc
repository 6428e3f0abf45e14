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

// That has looked a few times, and each time found something.
BusyPoll successful() {
  BusyPoll poll = after_short_sleeps(4);
  for (int i = 0; i < 4; ++i) poll.found(1us);
  return poll;
}

TEST_CASE("it pays to look once a few sleeps in a row were hardly longer than the way into sleep and out of it") {
  CHECK_FALSE(BusyPoll(50us).pays());
  CHECK_FALSE(after_short_sleeps(3).pays());
  CHECK(after_short_sleeps(4).pays());
}

TEST_CASE("one sleep in four that was longer, and it does not pay to look") {
  BusyPoll poll(50us);
  for (int i = 0; i < 100; ++i) {
    for (int k = 0; k < 3; ++k) poll.slept(30us);
    CHECK_FALSE(poll.pays());
    poll.slept(101us);
    CHECK_FALSE(poll.pays());
  }
}

TEST_CASE("where sleeping takes next to nothing it does not pay to look") {
  BusyPoll poll(50us);
  for (int i = 0; i < 100; ++i) poll.slept(24us);
  CHECK_FALSE(poll.pays());
}

TEST_CASE("how long a sleep may be that takes next to nothing is the caller's to say") {
  BusyPoll poll(50us, 10us);
  for (int i = 0; i < 100; ++i) poll.slept(9us);
  CHECK_FALSE(poll.pays());
  for (int i = 0; i < 4; ++i) poll.slept(10us);
  CHECK(poll.pays());
}

TEST_CASE("it pays as long as four looks find something for each that is in vain, whatever came long before") {
  BusyPoll poll = successful();
  for (int i = 0; i < 1000; ++i) {
    poll.slept(51us);  // it had looked before it slept
    REQUIRE(poll.pays());
    for (int k = 0; k < 4; ++k) poll.found(50us);
  }
  poll.slept(51us);
  poll.slept(51us);
  CHECK_FALSE(poll.pays());
}

TEST_CASE("what a look finds after so long that others had the core is found in vain") {
  BusyPoll poll = successful();
  poll.found(51us);
  CHECK(poll.pays());
  poll.found(3ms);
  CHECK_FALSE(poll.pays());
}

TEST_CASE("now and then a wait sleeps at once, and where that takes next to nothing no more is looked") {
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

TEST_CASE("where nothing may be looked for, no sleep is so short that it would pay") {
  BusyPoll poll(0us);
  for (int i = 0; i < 100; ++i) poll.slept(1ns);
  CHECK_FALSE(poll.pays());
}

}  // namespace
}  // namespace holdfast::ipc
