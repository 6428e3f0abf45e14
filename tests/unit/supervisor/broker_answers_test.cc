// How the supervisor handles the broker's answers, and what it can get from the broker.
#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <memory>
#include <string>

#include "ipc/base/pidfd.h"
#include "supervisor/broker/broker.h"

namespace holdfast::supervisor {
namespace {

// Opens a memory file that contains the module's name. For "slow" it takes longer than the supervisor waits, as on a
// file system that hangs.
tl::expected<UniqueFd, int> open_named_file(const ipc::ModuleName& name) {
  if (name.module == "slow") ::sleep(2);
  if (name.module == "tardy") ::usleep(50'000);
  UniqueFd file(::memfd_create("module", MFD_CLOEXEC));
  if (::write(file.get(), name.module.data(), name.module.size()) < 0) return tl::unexpected(errno);
  return file;
}

std::unique_ptr<Broker> start() {
  auto broker = Broker::start({.program = {}, .arguments = {}, .open_module = open_named_file, .remove_socket = [] {}});
  REQUIRE(broker.has_value());
  return std::move(*broker);
}

// The text of the opened file, or the name of the errno.
std::string outcome(const tl::expected<ModuleFile, int>& opened) {
  if (!opened) return strerrorname_np(opened.error());
  char text[64];
  const ssize_t count = ::pread(opened->file.get(), text, sizeof text, 0);
  return std::string(text, count < 0 ? 0 : static_cast<std::size_t>(count));
}

TEST_CASE("a late answer of the broker is not taken for the answer to the next request") {
  const auto broker = start();
  CHECK(outcome(broker->open_module({"one", "v1"})) == "one");
  CHECK(outcome(broker->open_module({"slow", "v1"})) == "EAGAIN");
  // The supervisor does not ask the broker again until the late answer has come.
  CHECK(outcome(broker->open_module({"two", "v1"})) != "slow");
  CHECK(outcome(broker->open_module({"three", "v1"})) != "two");
}

TEST_CASE("a signal that arrives while the broker is waited for does not end the wait") {
  struct sigaction action = {}, before = {};
  action.sa_handler = [](int) {};
  REQUIRE(::sigaction(SIGALRM, &action, &before) == 0);
  const auto broker = start();
  const itimerval often = {.it_interval = {0, 1000}, .it_value = {0, 1000}}, never = {};
  ::setitimer(ITIMER_REAL, &often, nullptr);
  const std::string opened = outcome(broker->open_module({"tardy", "v1"}));
  ::setitimer(ITIMER_REAL, &never, nullptr);
  ::sigaction(SIGALRM, &before, nullptr);
  CHECK(opened == "tardy");
}

TEST_CASE("the broker shows the memory of no process but its own zygotes and their workers") {
  const auto broker = start();
  CHECK_FALSE(broker->open_memory(open_pidfd(::getpid())));
}

}  // namespace
}  // namespace holdfast::supervisor
