// The state of a process as /proc shows it (proc(5)).
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::cli {

// One mapping of /proc/PID/smaps.
struct Mapping {
  std::string permissions;  // "r-xp"
  std::string path;         // empty: no file is mapped
  bool sealed = false;      // mseal(2)
};

// Fields that could not be read are missing or empty.
struct ProcessView {
  std::map<std::string, std::string> status;                          // "Seccomp" -> "2"
  std::map<std::string, std::pair<std::string, std::string>> limits;  // "Max data size" -> soft and hard, as text
  std::map<std::string, std::string> namespaces;                      // "pid" -> "pid:[4026531836]"
  std::optional<std::vector<std::string>> descriptors;                // what each refers to: "socket"
  std::optional<std::vector<Mapping>> mappings;
  std::optional<bool> root_is_empty;
  std::optional<bool> root_is_read_only;
  std::optional<bool> has_environment;
  std::optional<bool> is_dumpable;
  // root's id, which tells whether the process is dumpable, looks like its own id here
  bool owner_is_ambiguous = false;
  std::optional<bool> has_terminal;

  // A field of `status`; empty if there is none.
  std::string field(const std::string& name) const;
};

// Reads the state of a process; `pid` is its number in /proc (pid_in_proc()).
ProcessView look_at_process(pid_t pid);

// The number in /proc of this process or of one of its children; /proc may be mounted for another pid namespace. 0:
// /proc does not show the process.
pid_t pid_in_proc(pid_t pid);

}  // namespace holdfast::cli
