// What must be as before when all that was done to a supervisor is over: its processes, descriptors, memory, files, and
// how fast it answers.
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

// A state that is to be come back to.
struct Baseline {
  std::size_t supervisor_descriptors = 0;
  std::size_t broker_descriptors = 0;
  Clock::duration latency{0};
  std::set<std::string> files;  // in the daemon's folder, but for the modules
};

struct Measured {
  std::uint64_t supervisor_bytes = 0;  // anonymous
  std::uint64_t broker_bytes = 0;
  Clock::duration latency{0};  // of a plain call: the median of the best batch
};

class Quiet {
 public:
  // `standby`: the workers that are there when nothing is asked; the supervisor's --idle-timeout must be short.
  Quiet(const test::Daemon& daemon, std::size_t standby, Run& run);

  // Kills what was left stopped, calls the plain module, and waits until nothing but the standbys is left and
  // everything is as in the baseline; the first time it takes the baseline. What does not come back is broken. `when`
  // is for the message.
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

// Whether the numbers, taken one after the other, grow without bound: whether the last third is on average well above
// the third after the first numbers. Few numbers tell nothing.
bool grows(const std::vector<std::uint64_t>& bytes);

}  // namespace holdfast::soak
