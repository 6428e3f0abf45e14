#include "supervisor/event_loop.h"

#include <doctest/doctest.h>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

namespace holdfast::supervisor {
namespace {

using namespace std::chrono_literals;

TEST_CASE("the loop runs all handlers and comes back, with looking and without") {
  for (const auto busy_poll : {0us, 1000us}) {
    CAPTURE(busy_poll.count());
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
    run(io, busy_poll, [] { return WaitFor::answers; });
    CHECK(left == 0);
  }
}

TEST_CASE("the loop comes back when it is stopped, though there is more to wait for") {
  boost::asio::io_context io(1);
  boost::asio::steady_timer never(io, 1h);
  never.async_wait([](const boost::system::error_code&) {});
  boost::asio::post(io, [&] { io.stop(); });
  run(io, 50us, [] { return WaitFor::calls; });
  CHECK(io.stopped());
}

}  // namespace
}  // namespace holdfast::supervisor
