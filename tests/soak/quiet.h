// Checks that a supervisor recovers from a disturbance: its processes, descriptors, memory, files and latency have to
// be as before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "ipc/client.h"
#include "tests/soak/run.h"
#include "tests/support/daemon.h"

namespace holdfast::soak {

// The state to which the supervisor has to return.
struct Baseline {
  std::size_t supervisor_descriptors = 0;
  std::size_t broker_descriptors = 0;
  Clock::duration latency{0};
  std::set<std::string> files;  // in the daemon's folder, except the modules
};

struct Measured {
  std::uint64_t supervisor_bytes = 0;  // anonymous
  std::uint64_t broker_bytes = 0;
  Clock::duration latency{0};  // median of the best batch of plain calls
};

class Quiet {
 public:
  // `standby`: the number of workers when no calls are made; the supervisor's --idle-timeout must be short.
  Quiet(const test::Daemon& daemon, std::size_t standby, Run& run);

  // Kills processes that were left stopped, calls the plain module, and waits until only the standbys are left and
  // everything is as in the baseline. The first call takes the baseline. Reports a failure for whatever does not return
  // to it; `when` goes into the message.
  Measured await(const std::string& when);

  const Baseline& baseline() const { return baseline_; }

 private:
  void end_what_is_stopped();
  void await_service(const std::string& when);
  void settle(const std::string& when);
  bool has_only_standbys();
  void check_files(const std::string& when);
  Clock::duration measure_latency();
  std::string state_of_family();

  const test::Daemon& daemon_;
  const std::size_t standby_;
  Run& run_;
  ipc::Client client_;
  bool has_baseline_ = false;
  Baseline baseline_;
};

// Whether the numbers, in the order of measurement, grow without bound: without the first number, whether the mean of
// the last third is well above the mean of the first third. False if there are fewer than four numbers.
bool grows(const std::vector<std::uint64_t>& bytes);

}  // namespace holdfast::soak
