// A timer that is only ever moved to an earlier time. So setting it again for each event usually takes no system call.
// In return, the timer may ring too early.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <utility>

namespace holdfast::supervisor {

// Belongs to the thread that runs `io`.
class Alarm {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  Alarm(boost::asio::io_context& io, std::function<void()> ring) : timer_(io), ring_(std::move(ring)) {}

  // Calls `ring` at this time at the latest, from the event loop. Once it has rung, it is not set any more.
  void set(TimePoint when) {
    if (rings_at_ && *rings_at_ <= when) return;
    rings_at_ = when;
    timer_.expires_at(when);
    timer_.async_wait([this](const boost::system::error_code& error) {
      if (error) return;
      rings_at_.reset();
      ring_();
    });
  }

  // The alarm does not ring any more.
  void cancel() { timer_.cancel(); }

 private:
  boost::asio::steady_timer timer_;
  std::function<void()> ring_;
  std::optional<TimePoint> rings_at_;
};

}  // namespace holdfast::supervisor
