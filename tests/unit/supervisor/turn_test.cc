#include "supervisor/net/turn.h"

#include <doctest/doctest.h>

#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <string>
#include <vector>

#include "supervisor/net/event_loop.h"

namespace holdfast::supervisor {
namespace {

namespace asio = boost::asio;

// Writes its name into a log when a turn ends.
class Writer : public Turn::Participant {
 public:
  Writer(std::string& log, std::string name) : log_(log), name_(std::move(name)) {}
  void at_end_of_turn() override {
    log_ += name_;
    if (then) std::exchange(then, nullptr)();
  }
  std::function<void()> then;

 private:
  std::string& log_;
  const std::string name_;
};

TEST_CASE("participants are called at the end of the turn, after everything that was ready when it began") {
  asio::io_context io;
  Turn turn;
  std::string log;
  asio::post(io, [&] {
    turn.join(std::make_shared<Writer>(log, "A"));
    log += "1";
  });
  asio::post(io, [&] { log += "2"; });
  asio::post(io, [&] {
    turn.join(std::make_shared<Writer>(log, "B"));
    log += "3";
  });
  run_ready(io, turn);
  CHECK(log == "123AB");
}

TEST_CASE("sockets that are readable at one look are handled in one turn") {
  asio::io_context io;
  Turn turn;
  std::string log;
  std::vector<asio::local::stream_protocol::socket> near, far;
  for (int i = 0; i < 3; ++i) {
    near.emplace_back(io);
    far.emplace_back(io);
    asio::local::connect_pair(near.back(), far.back());
  }
  char byte = 'x';
  for (int i = 0; i < 3; ++i) {
    near[i].async_wait(asio::socket_base::wait_read, [&, i](const boost::system::error_code&) {
      log += std::to_string(i);
      turn.join(std::make_shared<Writer>(log, "W"));
    });
  }
  for (auto& socket : far) asio::write(socket, asio::buffer(&byte, 1));
  run_ready(io, turn);
  CHECK(log.size() == 6);
  CHECK(log.ends_with("WWW"));
}

TEST_CASE("the last action of a turn runs once and after the participants") {
  asio::io_context io;
  Turn turn;
  std::string log;
  turn.set_last([&] { log += "."; });
  asio::post(io, [&] {
    turn.join(std::make_shared<Writer>(log, "A"));
    turn.ensure_end();
    turn.join(std::make_shared<Writer>(log, "B"));
    turn.ensure_end();
  });
  run_ready(io, turn);
  CHECK(log == "AB.");
}

TEST_CASE("a turn without participants ends too if that was requested") {
  asio::io_context io;
  Turn turn;
  std::string log;
  turn.set_last([&] { log += "."; });
  asio::post(io, [&] { turn.ensure_end(); });
  run_ready(io, turn);
  CHECK(log == ".");
}

TEST_CASE("a turn whose end was not requested does nothing at its end") {
  asio::io_context io;
  Turn turn;
  std::string log;
  turn.set_last([&] { log += "."; });
  asio::post(io, [&] { log += "1"; });
  run_ready(io, turn);
  CHECK(log == "1");
}

TEST_CASE("a participant that joins while a turn ends is called at the end of the next turn") {
  asio::io_context io;
  Turn turn;
  std::string log;
  turn.set_last([&] { log += "."; });
  const auto writer = std::make_shared<Writer>(log, "A");
  writer->then = [&] { turn.join(writer); };
  asio::post(io, [&] { turn.join(writer); });
  run_ready(io, turn);
  CHECK(log == "A.A.");
}

TEST_CASE("a turn that the last action requests comes after it") {
  asio::io_context io;
  Turn turn;
  std::string log;
  turn.set_last([&] {
    log += ".";
    if (log.size() < 3) turn.ensure_end();
  });
  turn.ensure_end();
  run_ready(io, turn);
  CHECK(log == "...");
}

TEST_CASE("work at the end of a turn belongs to that turn and later work to the next") {
  asio::io_context io;
  Turn turn;
  std::string log;
  const auto writer = std::make_shared<Writer>(log, "A");
  std::uint64_t at_end = 0;
  writer->then = [&] { at_end = turn.number(); };
  const std::uint64_t before = turn.number();
  turn.join(writer);
  run_ready(io, turn);
  CHECK(at_end == before);
  CHECK(turn.number() != before);
}

TEST_CASE("a participant lives until its turn has ended") {
  asio::io_context io;
  Turn turn;
  std::string log;
  std::weak_ptr<Writer> watched;
  {
    auto writer = std::make_shared<Writer>(log, "A");
    watched = writer;
    turn.join(std::move(writer));
  }
  CHECK_FALSE(watched.expired());
  run_ready(io, turn);
  CHECK(log == "A");
  CHECK(watched.expired());
}

}  // namespace
}  // namespace holdfast::supervisor
