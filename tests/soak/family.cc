#include "tests/soak/family.h"

#include <sys/wait.h>
#include <unistd.h>

#include <sstream>
#include <string>

#include "tests/support/processes.h"

namespace holdfast::soak {
namespace {

// Parses "     1234 kB" and returns bytes.
std::uint64_t kilobytes(const std::string& text) {
  std::istringstream stream(text);
  std::uint64_t number = 0;
  stream >> number;
  return number * 1024;
}

std::vector<pid_t> children_of_all(const std::vector<pid_t>& parents) {
  std::vector<pid_t> all;
  for (pid_t parent : parents) {
    for (pid_t child : test::children_of(parent)) all.push_back(child);
  }
  return all;
}

}  // namespace

Family family_of(pid_t supervisor) {
  Family family{.supervisor = supervisor};
  family.brokers = test::children_of(supervisor);
  family.launchers = children_of_all(family.brokers);
  family.zygotes = children_of_all(family.launchers);
  family.workers = children_of_all(family.zygotes);
  return family;
}

void reap_orphans(pid_t kept) {
  for (pid_t zombie : test::zombies_below(::getpid())) {
    if (zombie != kept) ::waitpid(zombie, nullptr, WNOHANG);  // fails for a process that is not a child of this one
  }
}

std::optional<Memory> memory_of(pid_t pid) {
  std::istringstream lines(test::read_file("/proc/" + std::to_string(pid) + "/smaps_rollup"));
  Memory memory;
  bool is_found = false;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string name = line.substr(0, colon);
    const std::string value = line.substr(colon + 1);
    if (name == "Private_Clean" || name == "Private_Dirty") memory.private_bytes += kilobytes(value);
    if (name == "Pss") {
      memory.proportional_bytes = kilobytes(value);
      is_found = true;
    }
  }
  if (!is_found) return std::nullopt;
  return memory;
}

std::uint64_t anonymous_bytes(pid_t pid) { return kilobytes(test::status_field(pid, "RssAnon")); }

std::optional<Effort> effort_of(pid_t pid) {
  // proc_pid_stat(5): the second field is the name in parentheses, utime and stime are the 14th and 15th,
  // and those of its children that have ended follow.
  const std::string stat = test::read_file("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t name_end = stat.rfind(')');
  const std::string switches = test::status_field(pid, "voluntary_ctxt_switches");
  if (name_end == std::string::npos || switches.empty()) return std::nullopt;
  std::istringstream fields(stat.substr(name_end + 1));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  std::int64_t own_in_user_mode = 0, own_in_kernel = 0, ended_in_user_mode = 0, ended_in_kernel = 0;
  fields >> own_in_user_mode >> own_in_kernel >> ended_in_user_mode >> ended_in_kernel;
  static const std::int64_t ticks_per_second = ::sysconf(_SC_CLK_TCK);
  const auto millis = [](std::int64_t ticks) { return std::chrono::milliseconds(1000 * ticks / ticks_per_second); };
  return Effort{.cpu_time = millis(own_in_user_mode + own_in_kernel),
                .cpu_time_of_ended = millis(ended_in_user_mode + ended_in_kernel),
                .wakeups = std::stoull(switches)};
}

std::chrono::milliseconds cpu_time_of_all(const Family& family) {
  std::chrono::milliseconds sum{0};
  const std::vector<pid_t> supervisor = {family.supervisor};
  for (const auto* processes : {&supervisor, &family.brokers, &family.launchers, &family.zygotes, &family.workers}) {
    for (pid_t pid : *processes) {
      const Effort effort = effort_of(pid).value_or(Effort{});
      sum += effort.cpu_time + effort.cpu_time_of_ended;
    }
  }
  return sum;
}

}  // namespace holdfast::soak
