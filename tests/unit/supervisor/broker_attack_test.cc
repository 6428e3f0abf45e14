// Requests to the broker that only a compromised supervisor would make.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "ipc/base/pidfd.h"
#include "supervisor/broker/broker.h"
#include "tests/unit/supervisor/test_support.h"

using namespace holdfast;
using namespace holdfast::supervisor;
using holdfast::supervisor::testing::TemporaryFolder;

namespace {

std::vector<pid_t> children_of(pid_t parent) {
  std::ifstream list("/proc/" + std::to_string(parent) + "/task/" + std::to_string(parent) + "/children");
  std::vector<pid_t> children;
  for (pid_t pid; list >> pid;) children.push_back(pid);
  return children;
}

std::string content_of(const UniqueFd& file) {
  std::string content(4096, '\0');
  const ssize_t count = ::pread(file.get(), content.data(), content.size(), 0);
  content.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
  return content;
}

// A broker that serves the modules in a folder.
struct BrokerOfFolder {
  explicit BrokerOfFolder(Broker::Duties duties = {}) {
    duties.open_module = [this](const ipc::ModuleName& name) -> tl::expected<UniqueFd, int> {
      UniqueFd file(::open((folder / name.module).c_str(), O_RDONLY | O_CLOEXEC));
      if (!file) return tl::unexpected(errno);
      return file;
    };
    duties.remove_socket = [] {};
    const auto before = children_of(::getpid());
    auto started = Broker::start(std::move(duties));
    REQUIRE(started.has_value());
    broker = std::move(*started);
    for (const pid_t pid : children_of(::getpid())) {
      if (std::find(before.begin(), before.end(), pid) == before.end()) this->pid = pid;
    }
  }

  std::string read(const std::string& module) const {
    auto file = broker->open_module({module, "v1"});
    return file ? content_of(file->file) : "errno " + std::to_string(file.error());
  }

  TemporaryFolder folder;
  std::unique_ptr<Broker> broker;
  pid_t pid = 0;
};

}  // namespace

TEST_SUITE("supervisor/broker") {
  TEST_CASE("the broker opens the memory of workers, and of no other process of the host") {
    BrokerOfFolder world;
    CHECK_FALSE(world.broker->open_memory(open_pidfd(::getppid())));
    CHECK_FALSE(world.broker->open_memory(open_pidfd(::getpid())));
    CHECK_FALSE(world.broker->count_mappings(open_pidfd(::getppid())).has_value());
    const auto seen = world.broker->look_at(open_pidfd(::getppid()));
    CHECK_FALSE(seen.statm);
  }

  TEST_CASE("the broker starts no more programs than there may be workers") {
    constexpr std::size_t kMany = 500;
    BrokerOfFolder world({.program = "/bin/sh",
                          .arguments = {"-c", "exec sleep 100"},
                          .max_programs = 100,
                          .open_module = {},
                          .remove_socket = {}});
    std::vector<UniqueFd> liveness_pipes;
    for (std::size_t i = 0; i < kMany; ++i) {
      int ends[2];
      REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
      const UniqueFd ours(ends[0]), theirs(ends[1]);
      liveness_pipes.push_back(world.broker->start_zygote(theirs, i));
    }
    CHECK(world.read("none") == "errno 2");
    CHECK(children_of(world.pid).size() == 100);
  }

  // A client that cooperates with the attacker may own the supervisor's end of a control socket.
  TEST_CASE("the broker ends with its supervisor though a control socket is full") {
    BrokerOfFolder world({.program = "/nowhere"});
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    const UniqueFd accomplices(ends[0]), control(ends[1]);
    const std::string filling(1024, 'x');
    while (::send(control.get(), filling.data(), filling.size(), MSG_DONTWAIT) > 0) {
    }
    const UniqueFd liveness_pipe = world.broker->start_zygote(control, std::nullopt);
    const pid_t pid = world.pid;
    world.broker.reset();
    const bool gone = ::kill(pid, 0) != 0;
    CHECK(gone);
    if (!gone) ::kill(pid, SIGKILL);
  }
}
