// How a process ends in which something does not hold that must.
#include "worker/plain/broken.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "ipc/base/unique_fd.h"

namespace holdfast::worker {
namespace {

int told_end = -1;

void tell(std::string_view expected) {
  (void)!::write(told_end, expected.data(), expected.size());
  ::_exit(7);
}

struct End {
  int status = 0;     // of wait(2)
  std::string told;   // by the process's own way
  std::string error;  // on its standard error
};

std::string read_all(const UniqueFd& from) {
  std::string text;
  char part[256];
  for (ssize_t count; (count = ::read(from.get(), part, sizeof part)) > 0;)
    text.append(part, static_cast<std::size_t>(count));
  return text;
}

template <typename Act>
End end_of_child(Act act) {
  int told[2], error[2];
  REQUIRE(::pipe(told) == 0);
  REQUIRE(::pipe(error) == 0);
  const UniqueFd told_here(told[0]), error_here(error[0]);
  UniqueFd told_there(told[1]), error_there(error[1]);
  const pid_t child = ::fork();
  if (child == 0) {
    told_end = told_there.get();
    ::dup2(error_there.get(), STDERR_FILENO);
    ::signal(SIGILL, SIG_DFL);
    act();
    ::_exit(0);
  }
  told_there.reset();
  error_there.reset();
  End end{.told = read_all(told_here), .error = read_all(error_here)};
  REQUIRE(::waitpid(child, &end.status, 0) == child);
  return end;
}

TEST_CASE("what does not hold is told in the way that the process has, and ends the process") {
  const End end = end_of_child([] {
    tell_broken_by(tell);
    expect(false, "one is two");
  });
  CHECK(end.told == "one is two");
  CHECK(end.error == "");
  CHECK(WIFEXITED(end.status));
  CHECK(WEXITSTATUS(end.status) == 7);
}

TEST_CASE("a process without such a way tells it on standard error, and dies of a signal") {
  const End end = end_of_child([] { expect(false, "one is two"); });
  CHECK(end.error == "holdfast-worker: broken invariant: expected that one is two\n");
  CHECK(WIFSIGNALED(end.status));
}

TEST_CASE("a way to tell that fails, or that returns, is not the last word") {
  const End end = end_of_child([] {
    tell_broken_by([](std::string_view) { expect(false, "telling works"); });
    expect(false, "one is two");
  });
  CHECK(end.error == "holdfast-worker: broken invariant: expected that telling works\n");
  CHECK(WIFSIGNALED(end.status));
}

TEST_CASE("what holds ends nothing") {
  const End end = end_of_child([] {
    tell_broken_by(tell);
    expect(true, "one is one");
  });
  CHECK(end.told == "");
  CHECK(WIFEXITED(end.status));
  CHECK(WEXITSTATUS(end.status) == 0);
}

}  // namespace
}  // namespace holdfast::worker
