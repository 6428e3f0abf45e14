// Clients that request streams and break their rules for windows, grants and reading. None of them gets more than its
// window at a time, advances another client's stream, or fills another process's memory.
#include <doctest/doctest.h>

#include <optional>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/raw_connection.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

const Module kStreams{"streams", R"js(
    let made = 0, open = 0;
    exports.endless = async function* (size) {
      open++;
      try { for (;;) { made++; yield 'x'.repeat(size); } } finally { open--; }
    };
    exports.made = () => made;
    exports.open = () => open;
    exports.quiet = () => new Promise(() => {});
)js"};

std::string stream_hello() { return RawConnection::frame_of(ipc::ClientHello{ipc::kProtocolVersion, "hostile"}); }

std::string stream_frame(std::uint64_t id, std::string_view size, std::uint32_t window_bytes,
                         std::string_view function = "endless") {
  return RawConnection::frame_of(ipc::CallRequest{.id = id,
                                                  .module = "streams",
                                                  .version = "v1",
                                                  .function = function,
                                                  .payload = ipc::as_bytes(size),
                                                  .stream_window_bytes = window_bytes});
}

std::string grant_frame(std::uint64_t call, std::uint64_t bytes) {
  return RawConnection::frame_of(ipc::StreamGrant{call, bytes});
}

// Counts the values that the generator has made. becomes() tells whether it makes `count` values and then no more.
class Made {
 public:
  explicit Made(const Daemon& daemon) : other_(daemon.connect()) {}
  int now() { return std::stoi(outcome(call(other_, {"streams", "made"}))); }
  bool becomes(int count) {
    return eventually([&] { return now() >= count; }) && now() == count;
  }
  // Waits until no stream is open; then the daemon can stop at once.
  bool none_is_open() {
    return eventually([&] { return open() == "0"; });
  }
  std::string open() { return outcome(call(other_, {"streams", "open"})); }

 private:
  ipc::Client other_;
};

// The cost of a chunk of 872 characters: the characters, their quotes, and the fixed cost of a chunk.
constexpr std::uint32_t kChunkCost = 1000;
static_assert(ipc::chunk_cost(872) == kChunkCost);

TEST_CASE("a grant is worth no more than what is on its way, however large it is") {
  Daemon daemon({.modules = {kStreams}});
  std::optional<RawConnection> hostile(daemon.socket_path());
  hostile->send(stream_hello());
  hostile->send(stream_frame(1, "870", 3 * kChunkCost));
  Made made(daemon);
  CHECK(made.becomes(3));
  for (int grants = 1; grants <= 5; ++grants) {
    hostile->send(grant_frame(1, ~std::uint64_t{0}));
    CHECK(made.becomes(3 + 3 * grants));
  }
  // Grants whose sum would overflow.
  hostile->send(grant_frame(1, std::uint64_t{1} << 63) + grant_frame(1, std::uint64_t{1} << 63) + grant_frame(1, 1) +
                grant_frame(1, 0));
  CHECK(made.becomes(21));
  hostile.reset();
  CHECK(made.none_is_open());
  daemon.stop();
}

TEST_CASE("a stream goes on only by grants of its own client") {
  Daemon daemon({.modules = {kStreams}});
  std::optional<RawConnection> reader(daemon.socket_path());
  std::optional<RawConnection> hostile(daemon.socket_path());
  reader->send(stream_hello() + stream_frame(1, "870", 3 * kChunkCost));
  Made made(daemon);
  REQUIRE(made.becomes(3));
  hostile->send(stream_hello() + stream_frame(2, "0", 1, "quiet"));
  for (const std::uint64_t call :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{3}, ~std::uint64_t{0}}) {
    hostile->send(grant_frame(call, 1 << 20));
  }
  // The supervisor reads in order, so the answer to this request shows that it has read the grants.
  hostile->send(RawConnection::frame_of(ipc::ListWorkersRequest{9}));
  bool is_listed = false;
  while (!is_listed) {
    REQUIRE(
        hostile->receive([&](const auto& message) { is_listed |= std::holds_alternative<ipc::WorkerList>(message); },
                         kHangGuard) == RawConnection::Received::something);
  }
  CHECK(made.now() == 3);
  reader->send(grant_frame(1, kChunkCost));
  CHECK(made.becomes(4));
  reader.reset();
  hostile.reset();
  CHECK(made.none_is_open());
  daemon.stop();
}

TEST_CASE("the largest window is a mebibyte, whatever a client asks for") {
  Daemon daemon({.modules = {kStreams}});
  std::optional<RawConnection> hostile(daemon.socket_path());
  hostile->send(stream_hello());
  hostile->send(stream_frame(1, "870", ~std::uint32_t{0}));
  Made made(daemon);
  CHECK(made.becomes((1 << 20) / kChunkCost + 1));
  hostile.reset();
  CHECK(made.none_is_open());
  daemon.stop();
}

TEST_CASE("a client that opens many streams and reads none is cut off before it fills the supervisor's memory") {
  Daemon daemon({.modules = {kStreams}, .flags = {"--memory", "512MB"}});
  RawConnection hostile(daemon.socket_path());
  Made made(daemon);
  REQUIRE(made.now() == 0);
  hostile.send(stream_hello());
  // Each stream sends one value, as the first one may exceed any window.
  for (std::uint64_t id = 1; id <= 400; ++id) hostile.send(stream_frame(id, "1000000", 1));
  while (!hostile.is_closed()) {
    REQUIRE(made.now() <= 400);
    REQUIRE(std::stoull(status_field(daemon.pid(), "RssAnon")) < 400 << 10);  // kB
  }
  CHECK(daemon.logged("of answers unread"));
  CHECK(eventually([&] { return made.open() == "0"; }));
  daemon.stop();
}

TEST_CASE("a client that cancels a stream and grants and cancels it again leaves nothing open") {
  Daemon daemon({.modules = {kStreams}});
  RawConnection hostile(daemon.socket_path());
  Made made(daemon);
  REQUIRE(made.now() == 0);
  hostile.send(stream_hello());
  for (std::uint64_t id = 1; id <= 100; ++id) {
    const std::string cancel = RawConnection::frame_of(ipc::CancelRequest{id});
    hostile.send(stream_frame(id, "870", 3 * kChunkCost) + grant_frame(id, 1) + cancel + grant_frame(id, 5000) +
                 cancel);
  }
  int answers = 0;
  while (answers < 100) {
    REQUIRE(hostile.receive(
                [&](const ipc::ServerMessage& message) {
                  if (std::holds_alternative<ipc::AnswerView>(message)) ++answers;
                },
                kHangGuard) == RawConnection::Received::something);
  }
  CHECK(eventually([&] { return made.open() == "0"; }));
  daemon.stop();
}

}  // namespace
}  // namespace holdfast::test
