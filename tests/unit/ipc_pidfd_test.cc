#include <cerrno>
#include <fcntl.h>
#include <signal.h>

#include <doctest/doctest.h>
#include <sys/wait.h>

#include "ipc/pidfd.h"

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

TEST_CASE("a pidfd tells its process, or nothing where the kernel is older than Linux 6.13 or the process is gone") {
  const pid_t of_this_process = pid_of(open_pidfd(::getpid()));
  CHECK((of_this_process == ::getpid() || of_this_process == 0));
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  REQUIRE(child > 0);
  const UniqueFd pidfd = open_pidfd(child);
  REQUIRE(::waitpid(child, nullptr, 0) == child);
  CHECK(pid_of(pidfd) == 0);
}

TEST_CASE("a pidfd of a process that does not exist is none") {
  const UniqueFd pidfd = open_pidfd(0x7FFFFFFF);
  CHECK_FALSE(pidfd);
}

}  // namespace
}  // namespace holdfast
