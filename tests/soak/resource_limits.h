// The resource limits of other processes (prlimit(2)), taken away and given back.
#pragma once

#include <string>

#include <sys/resource.h>
#include <sys/types.h>
#include <tl/expected.hpp>

namespace holdfast::soak {

struct Resource {
  __rlimit_resource number;
  const char* name;  // in /proc/PID/limits
};
constexpr Resource kOpenFiles = {RLIMIT_NOFILE, "Max open files"};
constexpr Resource kProcesses = {RLIMIT_NPROC, "Max processes"};
constexpr Resource kAddressSpace = {RLIMIT_AS, "Max address space"};

// Sets the soft limit of a running process, as far as its hard one allows, and returns the one that it had. Without
// CAP_SYS_RESOURCE that is only for a process of the same user to do; a child of root becomes that user for it.
tl::expected<rlim_t, std::string> set_soft_limit(pid_t pid, const Resource& resource, rlim_t value);

// Lowered while it lives.
class LoweredLimit {
 public:
  LoweredLimit(pid_t pid, const Resource& resource, rlim_t value);
  ~LoweredLimit();
  LoweredLimit(const LoweredLimit&) = delete;
  LoweredLimit& operator=(const LoweredLimit&) = delete;

  // Why it could not be lowered; empty if it was.
  const std::string& problem() const { return problem_; }

 private:
  const pid_t pid_;
  const Resource resource_;
  rlim_t before_ = 0;
  std::string problem_;
};

}  // namespace holdfast::soak
