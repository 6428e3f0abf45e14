// Well-behaved clients. Each has a connection and a thread of its own, makes calls of all kinds at random times, and
// checks each answer. Calls form an open loop: up to a bound, a slow answer does not delay the next call.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/soak/kinds.h"
#include "tests/soak/ledger.h"
#include "tests/soak/run.h"

namespace holdfast::soak {

struct LoadOptions {
  std::size_t clients = 6;
  double calls_per_second = 80;  // of each client
  std::size_t most_open = 64;    // of each client
};

class Load {
 public:
  // Connects the clients, which make no calls until resume(). `disturbances`: bits of Disturbance; whatever disturbs
  // holdfastd must set its bit first.
  Load(const std::string& socket_path, const LoadOptions& options, Run& run, Ledger& ledger,
       const std::atomic<unsigned>& disturbances);
  // Drops open calls.
  ~Load();
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  void resume();
  // Stops making calls and waits until all are answered. Reports a failure if an answer does not come in time.
  void pause();
  // From now on the supervisor may end: lost connections are no longer failures.
  void expect_the_end() { end_expected_ = true; }
  // How many connections were lost and replaced.
  std::uint64_t reconnected() const { return reconnected_; }

 private:
  class Asker;
  void ask(std::size_t number, ipc::Client client);

  const std::string socket_path_;
  const LoadOptions options_;
  Run& run_;
  Ledger& ledger_;
  const std::atomic<unsigned>& disturbances_;
  std::atomic<bool> paused_ = true;
  std::atomic<bool> stopped_ = false;
  std::atomic<bool> end_expected_ = false;
  std::atomic<std::uint64_t> reconnected_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t quiet_ = 0;  // clients that are paused and have no open call
  std::vector<std::thread> threads_;
};

}  // namespace holdfast::soak
