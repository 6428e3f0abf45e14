// The stream socket under sessions and workers, with a base class that only records events.
#include "supervisor/net/connection.h"

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <tuple>

#include "supervisor/net/event_loop.h"
#include "tests/unit/supervisor/session_support.h"

namespace holdfast::supervisor {
namespace {

using testing::call;
using testing::connected_sockets;

class Recorder final : public Connection {
 public:
  Recorder(Turn& turn, Socket socket, std::shared_ptr<FrameAccounts> frames)
      : Connection(turn, std::move(socket), {.max_bytes = 1 << 20, .max_segments = 2}, std::move(frames), UserId{1}) {}

  void say(std::string_view payload) { ipc::encode_result(output(), 1, {ipc::as_bytes(payload)}, {}); }
  using Connection::output;
  using Connection::pause;
  using Connection::resume;
  using Connection::unsent_bytes;

  std::size_t frames = 0;
  std::string events;
  std::function<void()> at_frame, at_violation, at_end, at_sent;

 private:
  static void run(const std::function<void()>& what) {
    if (what) what();
  }
  void on_frame(const ipc::Frame&) override {
    ++frames;
    events += "f";
    run(at_frame);
  }
  void on_violation(const ipc::ProtocolViolation& violation) override {
    CHECK_FALSE(violation.message.empty());
    CHECK(is_open());
    events += "v";
    run(at_violation);
  }
  void on_frame_given_up(const std::string& reason) override {
    CHECK_FALSE(reason.empty());
    CHECK(is_open());
    events += "g";
    close();
  }
  void on_end(std::string_view reason) override {
    CHECK_FALSE(reason.empty());
    CHECK_FALSE(is_open());
    events += "e";
    run(at_end);
  }
  void on_sent() override {
    events += "s";
    run(at_sent);
  }
};

struct Fixture {
  Fixture() { std::tie(peer, connection) = connect(); }

  // A connection on the fixture's loop, and its peer.
  std::pair<UniqueFd, std::shared_ptr<Recorder>> connect() {
    auto ends = connected_sockets();
    Connection::Socket socket(io);
    socket.assign(boost::asio::local::stream_protocol(), ends.second.release());
    auto made = std::make_shared<Recorder>(turn, std::move(socket), frames);
    made->start();
    return {std::move(ends.first), std::move(made)};
  }

  void settle() {
    io.restart();
    run_ready(io, turn);
  }
  void send(std::string_view bytes) { send(peer, bytes); }
  void send(const UniqueFd& from, std::string_view bytes) {
    REQUIRE(::send(from.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
    settle();
  }
  // Reads what has arrived at the peer, and returns its size.
  std::size_t take() {
    std::string bytes(std::size_t{4} << 20, '\0');
    std::size_t sum = 0;
    for (ssize_t count; (count = ::recv(peer.get(), bytes.data(), bytes.size(), MSG_DONTWAIT)) > 0;) {
      sum += static_cast<std::size_t>(count);
    }
    return sum;
  }

  boost::asio::io_context io;
  Turn turn;
  std::shared_ptr<Connection::FrameAccounts> frames =
      std::make_shared<Connection::FrameAccounts>(ResourceBounds{.total = 100'000, .per_user = 60'000});
  UniqueFd peer;
  std::shared_ptr<Recorder> connection;
};

TEST_CASE_FIXTURE(Fixture, "each frame is handed out once") {
  send(call(1) + call(2));
  send(call(3));
  CHECK(connection->events == "fff");
}

TEST_CASE_FIXTURE(Fixture, "a connection that is paused hands out no frame until it is resumed") {
  connection->at_frame = [&] { connection->pause(); };
  send(call(1) + call(2) + call(3));
  CHECK(connection->frames == 1);
  send(call(4));
  CHECK(connection->frames == 1);
  for (std::size_t frames = 2; frames <= 4; ++frames) {
    connection->resume();
    settle();
    CHECK(connection->frames == frames);
  }
  connection->resume();
  settle();
  CHECK(connection->frames == 4);
}

TEST_CASE_FIXTURE(Fixture, "a connection that is paused reads nothing, so that the peer cannot send for ever") {
  connection->pause();
  const std::string bytes(1 << 16, 'x');
  std::size_t sent = 0;
  for (;;) {
    settle();
    const ssize_t count = ::send(peer.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0) break;
    sent += static_cast<std::size_t>(count);
    REQUIRE(sent < std::size_t{64} << 20);
  }
}

TEST_CASE_FIXTURE(Fixture, "pausing and resuming within a frame's handling changes nothing") {
  connection->at_frame = [&] {
    connection->pause();
    connection->resume();
  };
  send(call(1) + call(2));
  send(call(3));
  CHECK(connection->frames == 3);
}

TEST_CASE_FIXTURE(Fixture, "the end of the stream is reported after everything before it even if reading was paused") {
  connection->at_frame = [&] { connection->pause(); };
  REQUIRE(::send(peer.get(), call(1).data(), call(1).size(), MSG_NOSIGNAL) > 0);
  send(call(2));
  peer.reset();
  settle();
  CHECK(connection->events == "f");
  connection->resume();
  settle();
  CHECK(connection->events == "ff");
  connection->resume();
  settle();
  CHECK(connection->events == "ffe");
  CHECK_FALSE(connection->is_open());
}

TEST_CASE_FIXTURE(Fixture, "after a violation of the framing nothing more is read or handed out") {
  send(call(1) + ipc::testing::framed({{}, {}, {}}) + call(2));
  CHECK(connection->events == "fv");
  CHECK(connection->is_open());
  send(call(3));
  CHECK(connection->events == "fv");
}

TEST_CASE_FIXTURE(Fixture, "if partial frames exceed their bound the one longest without progress is dropped") {
  const auto [other_peer, other] = connect();
  const std::string frame = call(1, std::string(50'000, 'x'));
  send(frame.substr(0, 30'000));
  send(other_peer, frame.substr(0, 20'000));
  CHECK(frames->used() == 50'000);
  send(other_peer, frame.substr(20'000, 20'000));
  CHECK(connection->events == "g");
  CHECK(other->events.empty());
  CHECK(frames->used() == 40'000);
  send(other_peer, frame.substr(40'000));
  CHECK(other->events == "f");
  CHECK(frames->used() == 0);
}

TEST_CASE_FIXTURE(Fixture, "a partial frame without progress is dropped unless its connection is paused") {
  const auto [other_peer, other] = connect();
  const auto later = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  other->at_frame = [paused = other.get()] { paused->pause(); };
  send(other_peer, call(1) + call(2).substr(0, 10));
  send(call(1) + call(2).substr(0, 10));
  CHECK(connection->events == "f");
  Connection::give_up_stalled_frames(*frames, later, std::chrono::hours(1));
  CHECK(connection->events == "f");
  Connection::give_up_stalled_frames(*frames, later, std::chrono::seconds(10));
  CHECK(connection->events == "fg");
  CHECK(other->events == "f");
}

TEST_CASE_FIXTURE(Fixture, "an owner may release a connection within any event") {
  const std::weak_ptr<Recorder> watched = connection;
  SUBCASE("a frame") {
    connection->at_frame = [&] {
      connection->close();
      connection.reset();
    };
    send(call(1) + call(2));
  }
  SUBCASE("a violation") {
    connection->at_violation = [&] {
      connection->close();
      connection.reset();
    };
    send("this is no frame at all!");
  }
  SUBCASE("the end") {
    connection->at_end = [&] { connection.reset(); };
    peer.reset();
    settle();
  }
  SUBCASE("the sending") {
    connection->at_sent = [&] {
      connection->close();
      connection.reset();
    };
    connection->say("x");
    settle();
  }
  CHECK(connection == nullptr);
  settle();
  CHECK(watched.expired());
}

TEST_CASE_FIXTURE(Fixture, "messages are sent when the turn ends and the sending is reported once a turn") {
  connection->say("one");
  connection->say("two");
  CHECK(take() == 0);
  settle();
  CHECK(take() > 0);
  CHECK(connection->events == "s");
  CHECK(connection->unsent_bytes() == 0);
}

TEST_CASE_FIXTURE(Fixture, "what the socket does not take at once follows when there is room") {
  const std::string large(std::size_t{8} << 20, 'x');
  connection->say(large);
  settle();
  CHECK(connection->unsent_bytes() > 0);
  CHECK(connection->unsent_bytes() < large.size());
  std::size_t taken = 0;
  for (std::size_t more; (more = take()) > 0;) {
    taken += more;
    settle();
  }
  CHECK(taken > large.size());
  CHECK(connection->unsent_bytes() == 0);
}

TEST_CASE_FIXTURE(Fixture, "each turn with a new message is reported while the peer does not read") {
  connection->say(std::string(std::size_t{1} << 20, 'x'));
  settle();
  REQUIRE(connection->unsent_bytes() > 0);
  connection->events.clear();
  for (int i = 0; i < 3; ++i) {
    connection->say("x");
    settle();
  }
  CHECK(connection->events == "sss");
}

TEST_CASE_FIXTURE(Fixture, "what was said before the connection is closed is sent first") {
  connection->say("last words");
  connection->close();
  CHECK(take() > 0);
  CHECK_FALSE(connection->is_open());
  settle();
  CHECK(connection->events.empty());  // the caller that closes it gets no event
}

TEST_CASE_FIXTURE(Fixture, "messages on a closed connection are dropped") {
  connection->close();
  connection->say("into the void");
  settle();
  CHECK(connection->events.empty());
  connection->close();
}

TEST_CASE_FIXTURE(Fixture, "a peer that is gone is noticed when a message is sent to it") {
  connection->pause();
  settle();
  peer.reset();
  connection->say("anybody there?");
  settle();
  CHECK(connection->events == "e");
}

TEST_CASE_FIXTURE(Fixture, "a peer that no longer reads or writes does not keep the connection alive") {
  const std::weak_ptr<Recorder> watched = connection;
  connection->say(std::string(std::size_t{1} << 20, 'x'));
  settle();
  REQUIRE(connection->unsent_bytes() > 0);
  connection->close();
  connection.reset();
  settle();
  CHECK(watched.expired());
}

}  // namespace
}  // namespace holdfast::supervisor
