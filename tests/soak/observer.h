// Watches a supervisor as an operator does: it repeatedly asks for the list of workers and the statistics, runs
// `holdfast ps`, and measures how long that takes.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <thread>

#include "tests/soak/run.h"

namespace holdfast::soak {

class Observer {
 public:
  // Observes until destruction.
  Observer(const std::string& socket_path, Run& run);
  ~Observer();
  Observer(const Observer&) = delete;
  Observer& operator=(const Observer&) = delete;

  // Writes the figures: the number of lists, and the longest time that a list, statistics and the command took.
  void report() const;

 private:
  void observe();

  const std::string socket_path_;
  Run& run_;
  std::atomic<bool> stopped_ = false;
  mutable std::mutex mutex_;
  std::size_t lists_ = 0;
  Clock::duration longest_list_{0};
  Clock::duration longest_stats_{0};
  Clock::duration longest_command_{0};
  std::size_t most_workers_ = 0;
  std::thread thread_;
};

}  // namespace holdfast::soak
