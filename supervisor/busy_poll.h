// How the supervisor waits for events. To put a process to sleep and to wake it takes tens of microseconds on many
// machines, of virtual ones above all: more than a worker takes for a small call. So where events lately came so soon
// that it paid, the supervisor looks for the next one again and again for a while before it sleeps, as sockets do with
// SO_BUSY_POLL (socket(7)), and a hypervisor does for a processor that has halted.
#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstddef>
#include <functional>

namespace holdfast::supervisor {

// Decides from how long the last waits took. Pure: the time is the caller's.
class BusyPoll {
 public:
  using Duration = std::chrono::steady_clock::duration;

  // What is waited for: an answer and a next call come at times that have nothing to do with each other.
  enum class For { answers, calls };

  // `longest` is how long one wait looks before it sleeps; 0: it never does.
  explicit BusyPoll(Duration longest) : longest_(longest) {}

  Duration longest() const { return longest_; }

  // Whether the wait that begins now is to look before it sleeps.
  bool pays(For what) const { return score_[index(what)] >= kInVain; }

  // The wait that has ended looked, and found something.
  void found(For what);
  // It slept, and woke up after `time`.
  void slept(For what, Duration time);

 private:
  // To look in vain takes about as much time as is won by four looks that find something.
  static constexpr int kFound = 1;
  static constexpr int kInVain = 4;
  static constexpr int kMostScore = 2 * kInVain;

  static std::size_t index(For what) { return static_cast<std::size_t>(what); }

  const Duration longest_;
  std::array<int, 2> score_{};
};

// Runs all handlers until there is no more work, or `io` is stopped. `waits_for` says what for, at each wait.
void run(boost::asio::io_context& io, BusyPoll poll, const std::function<BusyPoll::For()>& waits_for);

}  // namespace holdfast::supervisor
