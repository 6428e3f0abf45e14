#include "tests/soak/resource_limits.h"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sstream>

#include "tests/support/processes.h"

namespace holdfast::soak {
namespace {

// The first of the real, effective, saved and file system ids.
unsigned real_id(pid_t pid, const char* kind) {
  std::istringstream ids(test::status_field(pid, kind));
  unsigned id = 0;
  ids >> id;
  return id;
}

// Makes only system calls between fork(2) and exit, as another thread may have held any lock at the fork.
int set_as_its_user(pid_t pid, __rlimit_resource resource, const rlimit& limit) {
  const unsigned user = real_id(pid, "Uid");
  const unsigned group = real_id(pid, "Gid");
  const pid_t child = ::fork();
  if (child == 0) {
    if (::syscall(SYS_setresgid, group, group, group) != 0 || ::syscall(SYS_setresuid, user, user, user) != 0 ||
        ::prlimit(pid, resource, &limit, nullptr) != 0) {
      ::_exit(errno);
    }
    ::_exit(0);
  }
  if (child < 0) return errno;
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : ECHILD;
}

}  // namespace

tl::expected<rlim_t, std::string> set_soft_limit(pid_t pid, const Resource& resource, rlim_t value) {
  // prlimit(2) takes the same rights for reading as for writing, so the limit is read from /proc, which any user may
  // read.
  const auto [soft, hard] = test::limits_of(pid, resource.name);
  if (soft.empty()) return tl::unexpected(std::string("the process is gone"));
  const auto number = [](const std::string& text) { return text == "unlimited" ? RLIM_INFINITY : std::stoul(text); };
  const rlimit wanted = {std::min<rlim_t>(value, number(hard)), number(hard)};
  int problem = 0;
  if (::prlimit(pid, resource.number, &wanted, nullptr) != 0) problem = errno;
  if (problem == EPERM && ::geteuid() == 0) problem = set_as_its_user(pid, resource.number, wanted);
  if (problem != 0) return tl::unexpected(std::string(std::strerror(problem)));
  return number(soft);
}

LoweredLimit::LoweredLimit(pid_t pid, const Resource& resource, rlim_t value) : pid_(pid), resource_(resource) {
  if (const auto before = set_soft_limit(pid, resource, value)) {
    before_ = *before;
  } else {
    problem_ = before.error();
  }
}

LoweredLimit::~LoweredLimit() {
  // This fails if the process is gone, which is fine.
  if (problem_.empty()) (void)set_soft_limit(pid_, resource_, before_);
}

}  // namespace holdfast::soak
