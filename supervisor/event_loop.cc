#include "supervisor/event_loop.h"

#include <array>

#include "ipc/busy_poll.h"

namespace holdfast::supervisor {

void run(boost::asio::io_context& io, std::chrono::nanoseconds busy_poll, const std::function<WaitFor()>& waits_for) {
  using Clock = std::chrono::steady_clock;
  if (busy_poll.count() <= 0) {
    io.run();
    return;
  }
  std::array polls = {ipc::BusyPoll(busy_poll), ipc::BusyPoll(busy_poll)};
  for (;;) {
    io.poll();
    ipc::BusyPoll& poll = polls.at(static_cast<std::size_t>(waits_for()));
    const auto began = Clock::now();
    auto time = Clock::duration::zero();
    std::size_t handled = 0;
    if (poll.pays()) {
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
