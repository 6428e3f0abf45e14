// Lowers and restores the resource limits of other processes (prlimit(2)).
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <string>
#include <tl/expected.hpp>

namespace holdfast::soak {

struct Resource {
  __rlimit_resource number;
  const char* name;  // in /proc/PID/limits
};
constexpr Resource kOpenFiles = {RLIMIT_NOFILE, "Max open files"};
constexpr Resource kProcesses = {RLIMIT_NPROC, "Max processes"};
constexpr Resource kAddressSpace = {RLIMIT_AS, "Max address space"};

// Sets the soft limit of a running process, at most to its hard limit, and returns the old soft limit. Without
// CAP_SYS_RESOURCE, only the process's own user may do that; as root, a forked child becomes that user to do it.
tl::expected<rlim_t, std::string> set_soft_limit(pid_t pid, const Resource& resource, rlim_t value);

// Lowers a soft limit; the destructor restores it.
class LoweredLimit {
 public:
  LoweredLimit(pid_t pid, const Resource& resource, rlim_t value);
  ~LoweredLimit();
  LoweredLimit(const LoweredLimit&) = delete;
  LoweredLimit& operator=(const LoweredLimit&) = delete;

  // Why the limit could not be lowered; empty if it was.
  const std::string& problem() const { return problem_; }

 private:
  const pid_t pid_;
  const Resource resource_;
  rlim_t before_ = 0;
  std::string problem_;
};

}  // namespace holdfast::soak
