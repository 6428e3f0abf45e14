#include "ipc/base/pidfd.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdio>

namespace holdfast {
namespace {

TEST_CASE("a signal reaches the process of a pidfd until it is gone, and no other after that") {
  const pid_t child = ::fork();
  if (child == 0) {
    while (true) ::pause();
  }
  REQUIRE(child > 0);
  const UniqueFd pidfd = open_pidfd(child);
  REQUIRE(pidfd);
  CHECK((::fcntl(pidfd.get(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK(send_signal(pidfd, 0));
  CHECK(send_signal(pidfd, SIGKILL));
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGKILL);
  CHECK_FALSE(send_signal(pidfd, 0));
  CHECK(errno == ESRCH);
}

bool kernel_tells_pids() {
  utsname system;
  int major = 0, minor = 0;
  REQUIRE(::uname(&system) == 0);
  REQUIRE(std::sscanf(system.release, "%d.%d", &major, &minor) == 2);
  return major > 6 || (major == 6 && minor >= 13);
}

TEST_CASE("a pidfd tells its process until that is gone; by ioctl where the kernel is new enough") {
  const pid_t child = ::fork();
  if (child == 0) {
    while (true) ::pause();
  }
  REQUIRE(child > 0);
  const UniqueFd pidfd = open_pidfd(child);
  CHECK(pid_of(open_pidfd(::getpid()), PidSource::ioctl) == (kernel_tells_pids() ? ::getpid() : 0));
  CHECK(pid_of(pidfd, PidSource::ioctl) == (kernel_tells_pids() ? child : 0));
  CHECK(pid_of(open_pidfd(::getpid()), PidSource::fdinfo) == ::getpid());
  CHECK(pid_of(pidfd, PidSource::fdinfo) == child);
  CHECK(send_signal(pidfd, SIGKILL));
  REQUIRE(::waitpid(child, nullptr, 0) == child);
  for (const PidSource source : {PidSource::ioctl, PidSource::fdinfo}) {
    CHECK(pid_of(pidfd, source) == 0);
  }
}

TEST_CASE("a descriptor that is no pidfd tells no process") {
  const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  for (const PidSource source : {PidSource::ioctl, PidSource::fdinfo}) {
    CHECK(pid_of(file, source) == 0);
    CHECK(pid_of(UniqueFd(), source) == 0);
  }
}

TEST_CASE("a pidfd of a process that does not exist is none") {
  const UniqueFd pidfd = open_pidfd(0x7FFFFFFF);
  CHECK_FALSE(pidfd);
}

}  // namespace
}  // namespace holdfast
