// The process that closes what clients send, on kernels that let them send descriptors.
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <doctest/doctest.h>

#include "supervisor/closer.h"
#include "tests/adversarial/lingering.h"

namespace holdfast::supervisor {
namespace {

// The address sanitizer makes system calls that the closer may not make.
#if !defined(__SANITIZE_ADDRESS__)

std::pair<UniqueFd, UniqueFd> socket_pair() {
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// Many times: whichever of the two processes is faster, the last descriptor must be the closer's.
TEST_CASE("a socket that holds a descriptor whose close lasts is closed without waiting for that") {
  boost::asio::io_context io;
  auto closer = Closer::start(io, [] { FAIL("the closer has ended"); });
  REQUIRE(closer.has_value());
  constexpr int kRounds = 200;
  constexpr unsigned kHangSeconds = 60;
  ::alarm(kHangSeconds);  // a close that waits does so for an hour
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

#endif

}  // namespace
}  // namespace holdfast::supervisor
