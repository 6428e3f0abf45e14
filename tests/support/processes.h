// What /proc tells of processes (proc(5)).
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <sys/types.h>

namespace holdfast::test {

// Processes that run: neither gone nor zombies. In the order of their pids.
std::vector<pid_t> children_of(pid_t parent);
std::vector<pid_t> descendants_of(pid_t ancestor);
bool is_running(pid_t pid);

// Processes below `ancestor` that have ended, and that nobody has waited for.
std::vector<pid_t> zombies_below(pid_t ancestor);

// A field of /proc/PID/status without the space around it: status_field(pid, "Seccomp") is "2". Empty if the process is
// gone or the kernel has no such field.
std::string status_field(pid_t pid, const std::string& name);

// Soft and hard limit from /proc/PID/limits: limits_of(pid, "Max core file size") is {"0", "0"}.
std::pair<std::string, std::string> limits_of(pid_t pid, const std::string& name);

// What each of the process's descriptors leads to: "socket:[4711]".
std::vector<std::string> descriptors_of(pid_t pid);

// What /proc/PID/ns/KIND leads to: "user:[4026531837]".
std::string namespace_of(pid_t pid, const std::string& kind);

// Empty if it cannot be read.
std::string read_file(const std::filesystem::path& path);

// Makes this process the one to which orphaned descendants fall, so that descendants_of(getpid()) finds them
// (PR_SET_CHILD_SUBREAPER in prctl(2)).
void adopt_orphans();

}  // namespace holdfast::test
