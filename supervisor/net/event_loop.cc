#include "supervisor/net/event_loop.h"

#include <array>

#include "ipc/base/busy_poll.h"

namespace holdfast::supervisor {
namespace {

// A turn ends after this many handlers, even if more handlers are ready.
constexpr std::size_t kMostHandlersInTurn = 128;

}  // namespace

bool run_ready(boost::asio::io_context& io, Turn& turn) {
  bool ran = false;
  do {
    std::size_t handled = 0;
    while (handled < kMostHandlersInTurn && io.poll_one() > 0) ++handled;
    ran = ran || handled > 0 || turn.is_due();
    if (turn.is_due()) turn.end(handled < kMostHandlersInTurn);
  } while (turn.is_due());
  return ran;
}

void run(boost::asio::io_context& io, Turn& turn, std::chrono::nanoseconds busy_poll,
         const std::function<WaitFor()>& waits_for) {
  using Clock = std::chrono::steady_clock;
  std::array polls = {ipc::BusyPoll(busy_poll), ipc::BusyPoll(busy_poll)};
  for (;;) {
    run_ready(io, turn);
    ipc::BusyPoll& poll = polls.at(static_cast<std::size_t>(waits_for()));
    const auto began = Clock::now();
    auto time = Clock::duration::zero();
    std::size_t handled = 0;
    if (busy_poll.count() > 0 && poll.pays()) {
      while (time < busy_poll && (handled = io.poll_one()) == 0) time = Clock::now() - began;
    }
    if (handled > 0) {
      poll.found(time);
    } else if (io.run_one() > 0) {
      poll.slept(Clock::now() - began);
    } else {
      return;
    }
  }
}

}  // namespace holdfast::supervisor
