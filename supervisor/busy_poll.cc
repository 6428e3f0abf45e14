#include "supervisor/busy_poll.h"

#include <algorithm>

namespace holdfast::supervisor {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

void BusyPoll::found(For what) {
  int& score = score_[index(what)];
  score = std::min(score + kFound, kMostScore);
}

void BusyPoll::slept(For what, Duration time) {
  // To fall asleep and to wake up took a part of it, which looking would have spared.
  if (!pays(what) && time <= 2 * longest_) return found(what);
  int& score = score_[index(what)];
  score = std::max(score - kInVain, 0);
}

void run(boost::asio::io_context& io, BusyPoll poll, const std::function<BusyPoll::For()>& waits_for) {
  if (poll.longest() <= BusyPoll::Duration::zero()) {
    io.run();
    return;
  }
  for (;;) {
    io.poll();
    const BusyPoll::For what = waits_for();
    const auto began = Clock::now();
    std::size_t handled = 0;
    if (poll.pays(what)) {
      while (handled == 0 && Clock::now() - began < poll.longest()) handled = io.poll_one();
    }
    if (handled > 0) {
      poll.found(what);
    } else if (io.run_one() > 0) {
      poll.slept(what, Clock::now() - began);
    } else {
      return;
    }
  }
}

}  // namespace holdfast::supervisor
