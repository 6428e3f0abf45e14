#include "tests/support/processes.h"

#include <sys/prctl.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <sstream>

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

struct Process {
  pid_t pid;
  pid_t parent;
  char state;
};

std::string proc_path(pid_t pid, const std::string& name) { return "/proc/" + std::to_string(pid) + "/" + name; }

// Parses /proc/PID/stat: "4711 (name (with) anything) S 1 ..."
std::optional<Process> look_at(pid_t pid) {
  const std::string text = read_file(proc_path(pid, "stat"));
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  Process process{.pid = pid, .parent = 0, .state = '?'};
  std::istringstream rest(text.substr(name_end + 1));
  rest >> process.state >> process.parent;
  return process;
}

bool has_ended(const Process& process) { return process.state == 'Z' || process.state == 'X'; }

std::vector<Process> all_processes() {
  std::vector<Process> all;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc{} || end != name.data() + name.size()) continue;
    if (const auto process = look_at(pid)) all.push_back(*process);
  }
  return all;
}

std::string trimmed(const std::string& text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(" \t\n") - begin + 1);
}

}  // namespace

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (file) text << file.rdbuf();
  return text.str();
}

std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> children;
  for (const Process& process : all_processes()) {
    if (process.parent == parent && !has_ended(process)) children.push_back(process.pid);
  }
  std::sort(children.begin(), children.end());
  return children;
}

std::vector<pid_t> descendants_of(pid_t ancestor) {
  const std::vector<Process> all = all_processes();
  std::vector<pid_t> family = {ancestor};
  for (std::size_t i = 0; i < family.size(); ++i) {
    for (const Process& process : all) {
      // A zombie has no children any more.
      if (process.parent == family[i] && !has_ended(process)) family.push_back(process.pid);
    }
  }
  family.erase(family.begin());
  std::sort(family.begin(), family.end());
  return family;
}

bool is_running(pid_t pid) {
  const auto process = look_at(pid);
  return process && !has_ended(*process);
}

std::vector<pid_t> zombies_below(pid_t ancestor) {
  const std::vector<Process> all = all_processes();
  std::vector<pid_t> family = {ancestor};
  std::vector<pid_t> zombies;
  for (std::size_t i = 0; i < family.size(); ++i) {
    for (const Process& process : all) {
      if (process.parent != family[i]) continue;
      (has_ended(process) ? zombies : family).push_back(process.pid);
    }
  }
  std::sort(zombies.begin(), zombies.end());
  return zombies;
}

std::string status_field(pid_t pid, const std::string& name) {
  std::istringstream status(read_file(proc_path(pid, "status")));
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name + ":")) return trimmed(line.substr(name.size() + 1));
  }
  return "";
}

std::pair<std::string, std::string> limits_of(pid_t pid, const std::string& name) {
  std::istringstream limits(read_file(proc_path(pid, "limits")));
  for (std::string line; std::getline(limits, line);) {
    if (!line.starts_with(name + " ")) continue;
    std::istringstream values(line.substr(name.size()));
    std::string soft, hard;
    values >> soft >> hard;
    return {soft, hard};
  }
  return {};
}

std::vector<std::string> descriptors_of(pid_t pid) {
  std::vector<std::string> targets;
  std::error_code error;
  for (fs::directory_iterator at(proc_path(pid, "fd"), error), end; !error && at != end; at.increment(error)) {
    targets.push_back(fs::read_symlink(at->path(), error));
  }
  return targets;
}

std::string namespace_of(pid_t pid, const std::string& kind) {
  std::error_code error;
  return fs::read_symlink(proc_path(pid, "ns/" + kind), error);
}

void adopt_orphans() { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }

}  // namespace holdfast::test
