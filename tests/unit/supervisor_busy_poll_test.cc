#include "supervisor/busy_poll.h"

#include <doctest/doctest.h>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

namespace holdfast::supervisor {
namespace {

using namespace std::chrono_literals;
using For = BusyPoll::For;

BusyPoll after_short_sleeps(int count) {
  BusyPoll poll(50us);
  for (int i = 0; i < count; ++i) poll.slept(For::answers, 100us);
  return poll;
}

TEST_CASE("it pays to look once a few sleeps in a row were hardly longer than the way into sleep and out of it") {
  CHECK_FALSE(BusyPoll(50us).pays(For::answers));
  CHECK_FALSE(after_short_sleeps(3).pays(For::answers));
  CHECK(after_short_sleeps(4).pays(For::answers));
}

TEST_CASE("what it is worth to look for answers says nothing of calls") {
  CHECK_FALSE(after_short_sleeps(8).pays(For::calls));
}

TEST_CASE("sleeps that were longer make it pay less, however short the ones between") {
  BusyPoll poll(50us);
  for (int i = 0; i < 100; ++i) {
    for (int k = 0; k < 3; ++k) poll.slept(For::answers, 20us);
    CHECK_FALSE(poll.pays(For::answers));
    poll.slept(For::answers, 101us);
    CHECK_FALSE(poll.pays(For::answers));
  }
}

TEST_CASE("it pays as long as four looks find something for each that is in vain, whatever came long before") {
  BusyPoll poll = after_short_sleeps(8);
  for (int i = 0; i < 1000; ++i) {
    poll.slept(For::answers, 51us);  // it had looked before it slept
    REQUIRE(poll.pays(For::answers));
    for (int k = 0; k < 4; ++k) poll.found(For::answers);
  }
  poll.slept(For::answers, 51us);
  poll.slept(For::answers, 51us);
  CHECK_FALSE(poll.pays(For::answers));
}

TEST_CASE("the loop runs all handlers and comes back, with looking and without") {
  for (const BusyPoll::Duration longest : {0us, 1000us}) {
    CAPTURE(longest);
    boost::asio::io_context io(1);
    boost::asio::steady_timer timer(io);
    int left = 100;
    std::function<void()> next = [&] {
      timer.expires_after(10us);
      timer.async_wait([&](const boost::system::error_code&) {
        if (--left > 0) boost::asio::post(io, next);
      });
    };
    next();
    run(io, BusyPoll(longest), [] { return For::answers; });
    CHECK(left == 0);
  }
}

TEST_CASE("the loop comes back when it is stopped, though there is more to wait for") {
  boost::asio::io_context io(1);
  boost::asio::steady_timer never(io, 1h);
  never.async_wait([](const boost::system::error_code&) {});
  boost::asio::post(io, [&] { io.stop(); });
  run(io, BusyPoll(50us), [] { return For::calls; });
  CHECK(io.stopped());
}

}  // namespace
}  // namespace holdfast::supervisor
