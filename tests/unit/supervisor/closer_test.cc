// The process that closes what clients send, on kernels that let clients send descriptors.
#include "supervisor/net/closer.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/net/listener.h"
#include "tests/adversarial/lingering.h"
#include "tests/unit/supervisor/test_support.h"

namespace holdfast::supervisor {
namespace {

namespace fs = std::filesystem;
using testing::QuietLog;
using testing::TemporaryFolder;

// The address sanitizer makes system calls that the closer may not make.
#if !defined(__SANITIZE_ADDRESS__)

std::pair<UniqueFd, UniqueFd> socket_pair() {
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// Repeated many times: whichever of the two processes is faster, the closer must close the last reference.
TEST_CASE("a socket that holds a descriptor whose close lasts is closed without waiting for that") {
  boost::asio::io_context io;
  auto closer = Closer::start(io, [] { FAIL("the closer has ended"); });
  REQUIRE(closer.has_value());
  constexpr int kRounds = 200;
  constexpr unsigned kHangSeconds = 60;
  ::alarm(kHangSeconds);  // a close that blocks does so for an hour
  for (int i = 0; i < kRounds; ++i) {
    auto [ours, theirs] = socket_pair();
    test::Lingering slow;
    REQUIRE(test::send_descriptors(theirs.get(), "x", std::array{slow.get()}) == 0);
    slow.leave_to_receiver();
    theirs.reset();
    (*closer)->close(std::move(ours));
    io.poll();
    io.restart();
  }
  ::alarm(0);
}

TEST_CASE("the peer of a socket that is closed by the closer sees its end") {
  boost::asio::io_context io;
  auto closer = Closer::start(io, [] { FAIL("the closer has ended"); });
  REQUIRE(closer.has_value());
  for (const bool is_unread : {false, true}) {
    auto [ours, theirs] = socket_pair();
    if (is_unread) REQUIRE(::send(theirs.get(), "x", 1, 0) == 1);
    (*closer)->close(std::move(ours));
    CHECK(::send(theirs.get(), "y", 1, MSG_NOSIGNAL) == -1);
    char byte;
    CHECK(::recv(theirs.get(), &byte, 1, 0) <= 0);
  }
}

// The children of this process.
std::set<pid_t> children() {
  const std::string parent = "PPid:\t" + std::to_string(::getpid());
  std::set<pid_t> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    std::ifstream status(entry.path() / "status");
    for (std::string line; std::getline(status, line);) {
      if (line == parent) found.insert(std::stoi(entry.path().filename()));
    }
  }
  return found;
}

std::size_t open_descriptors() {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()));
}

// Connects, sends a byte, and disconnects.
void come_and_go(const fs::path& path) {
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.string().copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::send(socket.get(), "x", 1, MSG_NOSIGNAL) == 1);
}

TEST_CASE("while the closer is stuck, clients that come and go cost a bounded number of descriptors") {
  const QuietLog quiet;
  const TemporaryFolder folder;
  boost::asio::io_context io;
  const std::set<pid_t> others = children();
  auto closer = Closer::start(io, [] { FAIL("the closer has ended"); });
  REQUIRE(closer.has_value());
  std::vector<pid_t> started;
  std::ranges::set_difference(children(), others, std::back_inserter(started));
  REQUIRE(started.size() == 1);
  auto listener = Listener::open(io, folder / "socket", 0600);
  REQUIRE(listener.has_value());
  (*listener)->accept_only_if([&] { return (*closer)->may_accept_clients(); });
  std::size_t accepted = 0;
  (*listener)->start([&](Listener::Socket socket) {
    ++accepted;
    (*closer)->close(UniqueFd(socket.release()));
  });
  const std::size_t descriptors = open_descriptors();
  constexpr unsigned kHangSeconds = 60;
  ::alarm(kHangSeconds);

  REQUIRE(::kill(started.front(), SIGSTOP) == 0);
  constexpr std::size_t kMost = 5000;  // far more than can be on their way to the closer
  std::size_t came = 0;
  while (came == accepted && came < kMost) {
    come_and_go(folder / "socket");
    ++came;
    for (int polls = 0; accepted < came && polls < 100; ++polls) io.poll();
  }
  CHECK(came > Closer::kMostWaiting);
  CHECK(came < kMost);
  CHECK(open_descriptors() <= descriptors + Closer::kMostWaiting + 1);

  REQUIRE(::kill(started.front(), SIGCONT) == 0);
  while (accepted < came) REQUIRE(io.run_one() == 1);
  ::alarm(0);
}

#endif

}  // namespace
}  // namespace holdfast::supervisor
