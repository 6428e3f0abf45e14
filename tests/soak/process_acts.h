// Disturbs holdfastd's processes while calls are made: kills them, stops them, and robs them of descriptors, processes
// and address space. The seed determines which act happens when, and to which process.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ipc/base/unique_fd.h"
#include "tests/soak/kinds.h"
#include "tests/soak/resource_limits.h"
#include "tests/soak/run.h"

namespace holdfast::soak {

class ProcessActs {
 public:
  // Sets the matching bits of `disturbances` before each act.
  ProcessActs(pid_t supervisor, Run& run, std::atomic<unsigned>& disturbances);

  // Performs one act after the other, with pauses, until `stop`. Before it returns, it restores every limit; some
  // processes may be left stopped, on purpose.
  void perform(const std::atomic<bool>& stop);

  // Whether a process that was stopped for good still exists: a stopped standby may, until a call is given to it.
  bool left_somebody_stopped();

  const std::map<std::string, std::uint64_t>& counts() const { return counts_; }

 private:
  struct Stopped {
    UniqueFd process;
    Clock::time_point until;
  };

  void act();
  void send(const std::string& what, const std::vector<pid_t>& among, int signal);
  void stop_one(const std::string& what, const std::vector<pid_t>& among, bool for_good);
  void rob(const std::string& what, const std::vector<pid_t>& among, const Resource& resource);
  void let_go(bool all);
  void told(const std::string& what, pid_t pid);

  const pid_t supervisor_;
  Run& run_;
  std::atomic<unsigned>& disturbances_;
  Random random_;
  std::vector<Stopped> stopped_;
  std::vector<UniqueFd> stopped_for_good_;
  std::map<std::string, std::uint64_t> counts_;
};

}  // namespace holdfast::soak
