#include "supervisor/net/event_loop.h"

#include <doctest/doctest.h>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>

namespace holdfast::supervisor {
namespace {

using namespace std::chrono_literals;

TEST_CASE("the loop runs all handlers and comes back, with looking and without") {
  for (const auto busy_poll : {0us, 1000us}) {
    CAPTURE(busy_poll.count());
    boost::asio::io_context io(1);
    Turn turn;
    boost::asio::steady_timer timer(io);
    int left = 100;
    std::function<void()> next = [&] {
      timer.expires_after(10us);
      timer.async_wait([&](const boost::system::error_code&) {
        if (--left > 0) boost::asio::post(io, next);
      });
    };
    next();
    run(io, turn, busy_poll, [] { return WaitFor::answers; });
    CHECK(left == 0);
  }
}

// Records, when its frames are handled, whether the turn says that everything before has been handled.
class Client final : public Turn::Participant {
 public:
  explicit Client(Turn& turn) : turn_(turn) {}
  void at_end_of_turn() override {}
  void handle_more_frames() override { was_told = turn_.has_handled_what_was_before(); }
  std::optional<bool> was_told;

 private:
  Turn& turn_;
};

TEST_CASE("events from before a frame was sent are handled before the frame even if they became ready later") {
  boost::asio::io_context io(1);
  Turn turn;
  const auto client = std::make_shared<Client>(turn);
  bool has_happened = false;
  boost::asio::post(io, [&] { turn.wait_for_frames(kUnknownUser, client); });
  boost::asio::post(io, [&] { boost::asio::post(io, [&] { has_happened = true; }); });
  CHECK(run_ready(io, turn));
  CHECK(client->was_told == true);
  CHECK(has_happened);
}

TEST_CASE("a turn that ends while more is ready says so, and the rest runs in further turns") {
  boost::asio::io_context io(1);
  Turn turn;
  const auto client = std::make_shared<Client>(turn);
  turn.wait_for_frames(kUnknownUser, client);
  constexpr int kMany = 1000;
  int left = kMany;
  std::optional<int> left_at_end;
  turn.set_last([&] { left_at_end = left_at_end.value_or(left); });
  for (int i = 0; i < kMany; ++i) boost::asio::post(io, [&] { --left; });
  CHECK(run_ready(io, turn));
  CHECK(client->was_told == false);
  CHECK(left_at_end.value_or(0) > 0);
  while (run_ready(io, turn)) {
  }
  CHECK(left == 0);
}

TEST_CASE("the loop comes back when it is stopped, though there is more to wait for") {
  boost::asio::io_context io(1);
  Turn turn;
  boost::asio::steady_timer never(io, 1h);
  never.async_wait([](const boost::system::error_code&) {});
  boost::asio::post(io, [&] { io.stop(); });
  run(io, turn, 50us, [] { return WaitFor::calls; });
  CHECK(io.stopped());
}

}  // namespace
}  // namespace holdfast::supervisor
