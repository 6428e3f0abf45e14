// What is done to holdfastd's processes while calls are made: they are killed, stopped, and robbed of descriptors,
// processes and address space. Which, when and to whom comes from the seed.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <sys/types.h>

#include "ipc/base/unique_fd.h"
#include "tests/soak/kinds.h"
#include "tests/soak/resource_limits.h"
#include "tests/soak/run.h"

namespace holdfast::soak {

class ProcessActs {
 public:
  // Sets the bits of what it does in `disturbances` before it does it.
  ProcessActs(pid_t supervisor, Run& run, std::atomic<unsigned>& disturbances);

  // One after the other, with pauses, until `stop`. Before it returns every limit is given back; processes may be left
  // stopped, as somebody could leave them.
  void perform(const std::atomic<bool>& stop);

  // Whether one that was stopped for good is still there: a standby may be, until a call finds it.
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
