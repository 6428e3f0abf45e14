// Looks at processes through /proc (proc(5)).
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::test {

// Running processes only, no zombies, in the order of their pids.
std::vector<pid_t> children_of(pid_t parent);
std::vector<pid_t> descendants_of(pid_t ancestor);
bool is_running(pid_t pid);

// Processes below `ancestor` that have ended and have not been waited for.
std::vector<pid_t> zombies_below(pid_t ancestor);

// A field of /proc/PID/status, trimmed: status_field(pid, "Seccomp") is "2". Empty if the process is gone or the kernel
// has no such field.
std::string status_field(pid_t pid, const std::string& name);

// The soft and hard limit in /proc/PID/limits: limits_of(pid, "Max core file size") is {"0", "0"}.
std::pair<std::string, std::string> limits_of(pid_t pid, const std::string& name);

// The target of each of the process's descriptors: "socket:[4711]".
std::vector<std::string> descriptors_of(pid_t pid);

// The target of /proc/PID/ns/KIND: "user:[4026531837]".
std::string namespace_of(pid_t pid, const std::string& kind);

// A file's text; empty if the file cannot be read.
std::string read_file(const std::filesystem::path& path);

// Makes orphaned descendants children of this process, so that descendants_of(getpid()) finds them
// (PR_SET_CHILD_SUBREAPER in prctl(2)).
void adopt_orphans();

}  // namespace holdfast::test
