// A process as the kernel shows it in /proc (proc(5)).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sys/types.h>

namespace holdfast::cli {

// A line of /proc/PID/smaps.
struct Mapping {
  std::string permissions;  // "r-xp"
  std::string path;         // empty: no file stands behind it
  bool sealed = false;      // mseal(2)
};

// What could not be read is missing or empty.
struct ProcessView {
  std::map<std::string, std::string> status;                          // "Seccomp" -> "2"
  std::map<std::string, std::pair<std::string, std::string>> limits;  // "Max data size" -> soft and hard, as text
  std::map<std::string, std::string> namespaces;                      // "pid" -> "pid:[4026531836]"
  std::optional<std::vector<std::string>> descriptors;                // what each leads to: "socket"
  std::optional<std::vector<Mapping>> mappings;
  std::optional<bool> root_is_empty;
  std::optional<bool> root_is_read_only;
  std::optional<bool> has_environment;
  std::optional<bool> is_dumpable;
  bool owner_is_ambiguous = false;  // what says whether it is dumpable, root's id, looks here like its own
  std::optional<bool> has_terminal;

  // A field of `status`; empty if there is none.
  std::string field(const std::string& name) const;
};

// `pid` as /proc has it; see pid_in_proc().
ProcessView look_at_process(pid_t pid);

// A child of this process, or this process itself, as /proc has it, which may be mounted for another pid namespace; 0:
// /proc does not show it.
pid_t pid_in_proc(pid_t pid);

}  // namespace holdfast::cli
