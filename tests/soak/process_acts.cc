#include "tests/soak/process_acts.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>

#include "ipc/base/pidfd.h"
#include "tests/soak/family.h"
#include "tests/support/processes.h"

namespace holdfast::soak {
namespace {

// The pause between acts: short enough that an act can meet the unrepaired damage of the last one, long enough for
// calls to be served.
constexpr std::size_t kShortestActPauseMillis = 50;
constexpr std::size_t kLongestActPauseMillis = 600;

// How long a limit is lowered.
constexpr std::size_t kShortestNeedMillis = 50;
constexpr std::size_t kLongestNeedMillis = 800;

// Calls wait for the broker's answers, so it is never stopped for long.
constexpr std::size_t kLongestStopMillis = 1500;
constexpr std::size_t kLongestBrokerStopMillis = 300;

std::size_t between(Random& random, std::size_t least, std::size_t most) {
  return std::uniform_int_distribution<std::size_t>(least, most)(random);
}

}  // namespace

ProcessActs::ProcessActs(pid_t supervisor, Run& run, std::atomic<unsigned>& disturbances)
    : supervisor_(supervisor), run_(run), disturbances_(disturbances), random_(run.seed) {}

void ProcessActs::perform(const std::atomic<bool>& stop) {
  while (!stop && !is_interrupted()) {
    act();
    let_go(false);
    pause_for(milliseconds(between(random_, kShortestActPauseMillis, kLongestActPauseMillis)));
  }
  let_go(true);
}

void ProcessActs::act() {
  const Family family = family_of(supervisor_);
  switch (std::discrete_distribution<int>({20, 8, 5, 5, 3, 3, 2, 2, 4, 3, 3, 4, 2})(random_)) {
    case 0:
      return send("kill a worker", family.workers, SIGKILL);
    case 1:
      return stop_one("stop a worker", family.workers, false);
    case 2:
      return stop_one("stop a worker for good", family.workers, true);
    case 3:
      return send("kill a zygote", family.zygotes, SIGKILL);
    case 4:
      return stop_one("stop a zygote", family.zygotes, false);
    case 5:
      return send("kill a launcher", family.launchers, SIGKILL);
    case 6:
      return stop_one("stop a launcher", family.launchers, false);
    case 7:
      return stop_one("stop the broker", family.brokers, false);
    case 8:
      return rob("take descriptors from holdfastd", {supervisor_}, kOpenFiles);
    case 9:
      return rob("take descriptors from a zygote", family.zygotes, kOpenFiles);
    case 10:
      return rob("take descriptors from the broker", family.brokers, kOpenFiles);
    case 11:
      return rob("take processes from a zygote", family.zygotes, kProcesses);
    case 12:
      return rob("take address space from a zygote", family.zygotes, kAddressSpace);
  }
}

void ProcessActs::send(const std::string& what, const std::vector<pid_t>& among, int signal) {
  if (among.empty()) return;
  const pid_t pid = among[between(random_, 0, among.size() - 1)];
  const UniqueFd process = open_pidfd(pid);
  if (!process) return;
  // The pid may have passed to another process before the pidfd was opened.
  const auto family = test::descendants_of(supervisor_);
  if (!std::binary_search(family.begin(), family.end(), pid)) return;
  disturbances_ |= kProcessesDied;
  told(what, pid);
  send_signal(process, signal);
}

void ProcessActs::stop_one(const std::string& what, const std::vector<pid_t>& among, bool for_good) {
  if (among.empty()) return;
  const pid_t pid = among[between(random_, 0, among.size() - 1)];
  UniqueFd process = open_pidfd(pid);
  if (!process) return;
  const auto family = test::descendants_of(supervisor_);
  if (!std::binary_search(family.begin(), family.end(), pid)) return;
  disturbances_ |= kProcessesDied;
  told(what, pid);
  send_signal(process, SIGSTOP);
  const std::size_t longest = what == "stop the broker" ? kLongestBrokerStopMillis : kLongestStopMillis;
  if (for_good) return stopped_for_good_.push_back(std::move(process));
  stopped_.push_back({std::move(process), Clock::now() + milliseconds(between(random_, 50, longest))});
}

bool ProcessActs::left_somebody_stopped() {
  std::erase_if(stopped_for_good_, [](const UniqueFd& process) { return !send_signal(process, 0); });
  return !stopped_for_good_.empty();
}

void ProcessActs::rob(const std::string& what, const std::vector<pid_t>& among, const Resource& resource) {
  if (among.empty()) return;
  const pid_t pid = among[between(random_, 0, among.size() - 1)];
  // Sometimes leaves it a few free descriptors.
  const std::size_t left = between(random_, 0, 3);
  rlim_t value = 1;  // limit of processes or address space: less than it has already
  if (resource.number == RLIMIT_NOFILE) value = test::descriptors_of(pid).size() + left;
  disturbances_ |= kResourcesRanOut | kProcessesDied;
  told(what, pid);
  const LoweredLimit lowered(pid, resource, value);
  if (!lowered.problem().empty()) run_.report.note(fmt::format("  could not {}: {}", what, lowered.problem()));
  if (!lowered.problem().empty() && test::is_running(pid)) ++counts_["could not " + what];
  const auto end = Clock::now() + milliseconds(between(random_, kShortestNeedMillis, kLongestNeedMillis));
  while (Clock::now() < end && pause_for(milliseconds(20))) let_go(false);
}

void ProcessActs::let_go(bool all) {
  std::erase_if(stopped_, [&](const Stopped& stopped) {
    if (!all && Clock::now() < stopped.until) return false;
    send_signal(stopped.process, SIGCONT);
    return true;
  });
}

void ProcessActs::told(const std::string& what, pid_t pid) {
  ++counts_[what];
  run_.report.note(fmt::format("{} {}", what, pid));
}

}  // namespace holdfast::soak
