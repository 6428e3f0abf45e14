#include "sandbox/process_state.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <string>

#include "tests/unit/sandbox/test_support.h"

using namespace holdfast::sandbox;
using namespace holdfast::sandbox::test;

namespace {

std::string open_descriptors() {
  std::string open;
  for (int fd = 0; fd < 4096; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) open += std::to_string(fd) + " ";
  }
  return open;
}

std::string keep(int fd) {
  const SetupResult done = close_all_descriptors_except(fd);
  return done ? open_descriptors() : done.error().layer + ": " + done.error().message;
}

}  // namespace

TEST_CASE("only the kept descriptor stays open, it is number 3, and it is still the same socket") {
  SocketPair sockets;
  const Ending ending = run_child(callers().back(), [&] {
    fcntl(sockets.theirs, F_DUPFD, 1000);
    std::string said = keep(sockets.theirs);
    if (send(kKeptDescriptor, "x", 1, 0) != 1) said += "send";
    if (fcntl(kKeptDescriptor, F_GETFD) != FD_CLOEXEC) said += "not close-on-exec";
    return said;
  });
  CHECK(ending.exited(0));
  CHECK(ending.said == "3 ");
  char byte;
  CHECK(recv(sockets.mine, &byte, 1, MSG_DONTWAIT) == 1);
}

TEST_CASE("a descriptor that is number 3 already is kept as it is") {
  SocketPair sockets;
  const Ending ending = run_child(callers().back(), [&] {
    dup2(sockets.theirs, 3);
    return keep(3);
  });
  CHECK(ending.said == "3 ");
}

TEST_CASE("several kept descriptors become the numbers from 3 on in their order") {
  for (const bool is_swapped : {false, true}) {
    SocketPair first, second;
    const Ending ending = run_child(callers().back(), [&] {
      int fds[] = {first.theirs, second.theirs};
      if (is_swapped) {
        // Each descriptor has the number that the other is to get.
        const int one = fcntl(first.theirs, F_DUPFD, 100), other = fcntl(second.theirs, F_DUPFD, 100);
        fds[0] = dup2(one, 4);
        fds[1] = dup2(other, 3);
      }
      const SetupResult done = close_all_descriptors_except(fds);
      std::string said = done ? open_descriptors() : done.error().message;
      if (send(3, "1", 1, 0) != 1 || send(4, "2", 1, 0) != 1) said += "send";
      if (fcntl(3, F_GETFD) != FD_CLOEXEC || fcntl(4, F_GETFD) != FD_CLOEXEC) said += "not close-on-exec";
      return said;
    });
    CHECK(ending.said == "3 4 ");
    char byte = 0;
    CHECK(recv(first.mine, &byte, 1, MSG_DONTWAIT) == 1);
    CHECK(byte == '1');
    CHECK(recv(second.mine, &byte, 1, MSG_DONTWAIT) == 1);
    CHECK(byte == '2');
  }
}

TEST_CASE("keeping a descriptor that is not open is an error") {
  for (const int fd : {-1, 3, 2000}) {
    const Ending ending = run_child(callers().back(), [&] {
      close(3);
      return keep(fd);
    });
    CHECK(ending.said.starts_with("descriptors: "));
  }
}

TEST_CASE("signals that were ignored, handled or blocked have their default effect again") {
  const Ending ending = run_child(callers().back(), [] {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, nullptr);
    for (int signal = 1; signal <= SIGRTMAX; ++signal)
      std::signal(
          signal, signal % 2 == 0 ? SIG_IGN : [](int) {});
    if (!reset_signals()) return std::string("reset_signals");
    for (int signal = 1; signal <= SIGRTMAX; ++signal) {
      struct sigaction action {};
      if (sigaction(signal, nullptr, &action) == 0 && action.sa_handler != SIG_DFL) return std::to_string(signal);
    }
    sigset_t blocked;
    sigprocmask(SIG_SETMASK, nullptr, &blocked);
    if (!sigisemptyset(&blocked)) return std::string("blocked");
    raise(SIGTERM);
    return std::string("survived");
  });
  CHECK(ending.killed_by(SIGTERM));
  CHECK(ending.said.empty());
}

TEST_CASE("a new session has the caller as its leader and no controlling terminal") {
  const Ending ending = run_child(callers().back(), [] {
    const SetupResult done = new_session();
    if (!done) return done.error().message;
    if (getsid(0) != getpid() || getpgid(0) != getpid()) return std::string("not the leader");
    return outcome(open("/dev/tty", O_RDWR | O_CLOEXEC));
  });
  CHECK(ending.exited(0));
  CHECK(ending.said != "ok");
  CHECK(ending.said != "not the leader");
}

TEST_CASE("the leader of a process group cannot make a new session and gets an error") {
  const Ending ending = run_child(callers().back(), [] {
    setpgid(0, 0);
    const SetupResult done = new_session();
    return done ? "made" : done.error().layer + ": " + done.error().message;
  });
  CHECK(ending.said.starts_with("process: setsid"));
}

TEST_CASE("a cleared environment has no variables, and its old strings are gone from memory") {
  const Ending ending = run_child(callers().back(), [] {
    setenv("HOLDFAST_TEST_SECRET", "open sesame", 1);
    const char* const secret = getenv("HOLDFAST_TEST_SECRET");
    const char* const inherited = getenv("PATH");
    clear_environment();
    if (getenv("HOLDFAST_TEST_SECRET") != nullptr || getenv("PATH") != nullptr) return std::string("still set");
    if (environ != nullptr && *environ != nullptr) return std::string("environ");
    if (*secret != '\0') return std::string("readable");
    return inherited != nullptr && *inherited != '\0' ? std::string("inherited is readable") : std::string("gone");
  });
  CHECK(ending.exited(0));
  CHECK(ending.said == "gone");
}
