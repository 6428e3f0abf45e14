// Clients that break the protocol, or follow it to harm others. Each one is told why it is disconnected, and no other
// client is affected.
#include <doctest/doctest.h>

#include <random>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/raw_connection.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

const Module kEcho{"echo", "exports.echo = (payload) => payload; exports.large = (size) => 'x'.repeat(size);"};
const Module kHolder{"holder", R"js(
    let resolvers = [];
    exports.hold = (value) => new Promise((resolve) => resolvers.push(() => resolve(value)));
    exports.held = () => resolvers.length;
    exports.release = () => { for (const resolve of resolvers) resolve(); resolvers = []; };
)js"};

// A struct pointer to `offset` words after it, with these sizes (https://capnproto.org/encoding.html#structs).
ipc::Word struct_pointer(std::int32_t offset, std::uint16_t data_words, std::uint16_t pointers) {
  return (static_cast<ipc::Word>(static_cast<std::uint32_t>(offset) << 2)) | ipc::Word{data_words} << 32 |
         ipc::Word{pointers} << 48;
}
// A list pointer; `kind` 2 is bytes, 7 is composite.
ipc::Word list_pointer(std::int32_t offset, unsigned kind, std::uint32_t size) {
  return (static_cast<ipc::Word>(static_cast<std::uint32_t>(offset) << 2) | 1) |
         ipc::Word{(ipc::Word{size} << 3) | kind} << 32;
}
ipc::Word far_pointer(std::uint32_t word, std::uint32_t segment) {
  return (ipc::Word{word} << 3 | 2) | ipc::Word{segment} << 32;
}

// Sends `greeting` and `bytes` in one session, and returns the error with which it ends. Another client has a call open
// in this time, which must be answered correctly afterwards.
std::string end_of_session(std::string_view greeting, std::string_view bytes) {
  Daemon daemon({.modules = {kEcho, kHolder}});
  ipc::Client other = daemon.connect();
  Calls calls(other);
  calls.start({"holder", "hold", "7"});
  REQUIRE(outcome(call(other, {"holder", "held"})) == "1");

  RawConnection hostile(daemon.socket_path());
  hostile.send(greeting);
  hostile.send(bytes);
  const std::string protocol_error = hostile.read_to_end();

  call(other, {"holder", "release"});
  CHECK(outcome(calls.wait_for(0)) == "7");
  CHECK(outcome(call(other, {"echo", "echo", "1"})) == "1");
  daemon.stop();
  return protocol_error;
}

std::string hello() { return RawConnection::frame_of(ipc::ClientHello{ipc::kProtocolVersion, "hostile"}); }

std::string call_frame(std::uint64_t id, std::string_view module = "echo", std::string_view function = "echo",
                       std::string_view payload = "1") {
  return RawConnection::frame_of(ipc::CallRequest{
      .id = id, .module = module, .version = "v1", .function = function, .payload = ipc::as_bytes(payload)});
}

TEST_CASE("garbage is answered by a protocol error and the end of the connection") {
  CHECK(end_of_session("", "GET / HTTP/1.1\r\nHost: holdfast\r\n\r\n") != "");
  CHECK(end_of_session("", std::string(100'000, '\xFF')) != "");
  CHECK(end_of_session(hello(), std::string(100'000, '\xAA')) != "");
}

TEST_CASE("a header that announces 4 GB is refused by its header") {
  CHECK(contains(end_of_session(hello(), frame_header({0x1fff'ffff})), "bytes by its header"));
  CHECK(contains(end_of_session(hello(), frame_header(std::vector<std::uint32_t>(64, 0xffff'ffff))),
                 "bytes by its header"));
}

TEST_CASE("a frame of 1000 segments is refused by its header") {
  CHECK(contains(end_of_session(hello(), frame_header(std::vector<std::uint32_t>(1000, 1))), "1000 segments"));
  CHECK(contains(end_of_session(hello(), std::string("\xff\xff\xff\xff\0\0\0\0", 8)), "4294967296 segments"));
}

TEST_CASE("a message whose pointers lead to themselves, out of the frame or to no segment is refused") {
  const std::string greeting = hello();
  // A root that points to itself; a text that is a struct; a text that is longer than the frame; a text without its
  // terminator.
  CHECK(end_of_session("", frame({struct_pointer(-1, 0, 1)})) != "");
  CHECK(end_of_session(greeting, frame({struct_pointer(-1, 0, 1)})) != "");
  CHECK(end_of_session(greeting, frame({struct_pointer(1000, 1, 1)})) != "");
  CHECK(end_of_session(greeting, frame({struct_pointer(0x1fff'ffff, 0xffff, 0xffff)})) != "");
  CHECK(end_of_session(greeting, frame({far_pointer(0, 7)})) != "");
  CHECK(end_of_session(greeting, frame({far_pointer(0, 0)})) != "");
  CHECK(end_of_session("", frame({struct_pointer(0, 1, 1), 0, struct_pointer(0, 1, 1), 1,
                                  list_pointer(0, 2, 0x1fff'ffff)})) != "");
  CHECK(end_of_session("", frame({struct_pointer(0, 1, 1), 0, struct_pointer(0, 1, 1), 1, list_pointer(0, 2, 8),
                                  0x4141'4141'4141'4141})) != "");
}

TEST_CASE("a list of 500 million elements that take no space costs nothing") {
  // The client's name is a list of empty structs instead of a text.
  CHECK(end_of_session("", frame({struct_pointer(0, 1, 1), 0, struct_pointer(0, 1, 1), 1, list_pointer(0, 7, 0),
                                  struct_pointer(0x1fff'ffff, 0, 0)})) != "");
}

TEST_CASE("a message of a kind that does not exist is refused") {
  CHECK(contains(end_of_session(hello(), frame({struct_pointer(0, 2, 1), 99, 0, 0})), "unknown kind"));
}

TEST_CASE("an empty message is refused") {
  CHECK(end_of_session(hello(), frame({})) != "");
  CHECK(end_of_session(hello(), frame({0})) != "");  // a null root reads as a second hello
}

TEST_CASE("a call before hello is refused") {
  CHECK(contains(end_of_session("", call_frame(1)), "first message must be hello"));
}

TEST_CASE("a second hello is refused") { CHECK(contains(end_of_session(hello(), hello()), "hello was sent twice")); }

TEST_CASE("a client of another protocol version is refused, and told which one is spoken") {
  const std::string error = end_of_session("", RawConnection::frame_of(ipc::ClientHello{77, "newer"}));
  CHECK(contains(error, "77"));
  CHECK(contains(error, std::to_string(ipc::kProtocolVersion)));
}

TEST_CASE("a client's name that is too long is refused") {
  CHECK(contains(
      end_of_session("", RawConnection::frame_of(ipc::ClientHello{ipc::kProtocolVersion, std::string(65, 'n')})),
      "65 bytes"));
}

TEST_CASE("a call id that is used by an open call is refused") {
  CHECK(contains(end_of_session(hello(), call_frame(5, "holder", "hold") + call_frame(5)), "5"));
}

TEST_CASE("a call id may be used again once its call was answered") {
  Daemon daemon({.modules = {kEcho}});
  RawConnection client(daemon.socket_path());
  client.send(hello());
  for (int i = 0; i < 3; ++i) client.send(call_frame(1, "missing"));  // answered at once
  client.finish_sending();
  CHECK(client.read_to_end() == "");
}

TEST_CASE("an encoding or an argument style that does not exist is refused") {
  ipc::CallRequest request{.id = 1, .module = "echo", .version = "v1", .function = "echo", .payload = {}};
  request.encoding = static_cast<ipc::Encoding>(99);
  CHECK(contains(end_of_session(hello(), RawConnection::frame_of(request)), "encoding 99"));
  request.encoding = ipc::Encoding::json;
  request.arguments = static_cast<ipc::ArgumentStyle>(99);
  CHECK(contains(end_of_session(hello(), RawConnection::frame_of(request)), "argument style 99"));
}

TEST_CASE("a client that leaves in the middle of a frame is forgotten") {
  Daemon daemon({.modules = {kEcho}});
  {
    RawConnection client(daemon.socket_path());
    client.send(hello());
    client.send(call_frame(1).substr(0, 40));
  }
  {
    RawConnection client(daemon.socket_path());
    client.send(hello().substr(0, 5));
    client.finish_sending();
    CHECK(client.read_to_end() == "");
  }
  { const RawConnection client(daemon.socket_path()); }
  ipc::Client other = daemon.connect();
  CHECK(outcome(call(other, {"echo", "echo", "1"})) == "1");
  daemon.stop();
}

// The supervisor has paused reading from this client, so it does not see the end of its data.
TEST_CASE("a client that leaves while it has the maximum of open calls is forgotten") {
  Daemon daemon({.modules = {kHolder}});
  ipc::Client other = daemon.connect();
  {
    ipc::Client hostile = daemon.connect();
    Calls calls(hostile);
    for (int i = 0; i < 1024; ++i) {
      calls.start({.module = "holder", .function = "hold", .timeout = std::chrono::hours(24)});
    }
    hostile.run_once(std::chrono::milliseconds(100));
    REQUIRE(eventually([&] {
      const auto stats = stats_of(other, "holder");
      return stats.queued + stats.calls_in_flight == 1024;
    }));
  }
  CHECK(eventually([&] {
    const auto stats = stats_of(other, "holder");
    return stats.queued + stats.calls_in_flight == 0;
  }));
  // Calls that had not begun when the client left do not begin at all.
  CHECK(std::stoi(outcome(call(other, {"holder", "held"}))) <= 128);
  daemon.stop();
}

TEST_CASE("sessions of random bytes and damaged messages do not affect other clients") {
  Daemon daemon({.modules = {kEcho}, .flags = {"--log-level", "error"}});
  ipc::Client other = daemon.connect();
  std::mt19937 random(20240229);
  const auto below = [&](std::size_t bound) {
    return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random);
  };
  for (int session = 0; session < 300; ++session) {
    CAPTURE(session);
    RawConnection hostile(daemon.socket_path());
    std::string bytes;
    if (session % 3 == 0) {
      bytes.resize(below(4096));
      for (char& byte : bytes) byte = static_cast<char>(below(256));
    } else {
      hostile.send(hello());
      for (std::uint64_t id = 1; id <= 4; ++id) bytes += call_frame(id, "echo", "echo", R"({"a":[1,2,3]})");
      for (std::size_t flips = 1 + below(8); flips > 0; --flips)
        bytes[below(bytes.size())] ^= static_cast<char>(1U << below(8));
    }
    hostile.send(bytes);
    hostile.finish_sending();
    hostile.read_to_end();
    if (session % 20 == 0) CHECK(outcome(call(other, {"echo", "echo", "1"})) == "1");
  }
  CHECK(outcome(call(other, {"echo", "echo", "2"})) == "2");
  daemon.stop();
}

// --- clients that follow the protocol with bad intent ---------------------------------------------------------------

std::uint64_t anonymous_memory(const Daemon& daemon) {
  return std::stoull(status_field(daemon.pid(), "RssAnon")) * 1024;  // "1234 kB"
}

// Floods the supervisor with `message` from a client that never reads, while another client makes calls.
void check_flood(const std::string& message, std::size_t total_bytes) {
  // A short shutdown timeout, as the client never reads the flood's answers.
  Daemon daemon({.modules = {kEcho}, .flags = {"--log-level", "error", "--shutdown-timeout", "100ms"}});
  ipc::Client other = daemon.connect();
  CHECK(outcome(call(other, {"echo", "echo", "0"})) == "0");
  RawConnection hostile(daemon.socket_path());
  hostile.send(hello());
  std::string chunk;
  while (chunk.size() < (1 << 16)) chunk += message;
  std::size_t sent = 0;
  std::string rest;         // the unsent part of a chunk
  std::size_t refused = 0;  // consecutive rounds in which the socket took nothing
  for (int round = 1; sent < total_bytes && refused < 100 && !hostile.is_closed(); ++round) {
    if (rest.empty()) rest = chunk;
    const std::size_t taken = hostile.send_some(rest);
    rest.erase(0, taken);
    sent += taken;
    refused = taken == 0 ? refused + 1 : 0;
    REQUIRE(outcome(call(other, {"echo", "echo", std::to_string(round)})) == std::to_string(round));
    REQUIRE(anonymous_memory(daemon) < std::uint64_t{300} << 20);
  }
  CHECK(outcome(call(other, {"echo", "echo", "1"})) == "1");
  CHECK(anonymous_memory(daemon) < std::uint64_t{300} << 20);
  daemon.stop();
}

TEST_CASE("a client that floods with refused calls and never reads neither blocks others nor fills memory") {
  check_flood(call_frame(1, "missing"), std::size_t{64} << 20);
}

TEST_CASE("a client that floods with large payloads and never reads neither blocks others nor fills memory") {
  check_flood(call_frame(1, "missing", "echo", std::string(1 << 20, 'x')), std::size_t{256} << 20);
}

TEST_CASE("a client that floods with requests for the list of workers and never reads does not block others") {
  check_flood(RawConnection::frame_of(ipc::ListWorkersRequest{1}), std::size_t{8} << 20);
}

TEST_CASE("a client that floods with cancellations of calls that it never made does not block others") {
  check_flood(RawConnection::frame_of(ipc::CancelRequest{4711}), std::size_t{16} << 20);
}

TEST_CASE(
    "a client that requests far more than it reads is disconnected before it fills the memory of the supervisor") {
  Daemon daemon({.modules = {kEcho, {"other", "exports.echo = (payload) => payload;"}}});
  ipc::Client other = daemon.connect();
  RawConnection hostile(daemon.socket_path());
  hostile.send(hello());
  for (std::uint64_t id = 1; id <= 1000; ++id) hostile.send(call_frame(id, "echo", "large", "1000000"));
  while (!hostile.is_closed()) {
    REQUIRE(outcome(call(other, {"other", "echo", "1"})) == "1");
    REQUIRE(anonymous_memory(daemon) < std::uint64_t{400} << 20);
  }
  CHECK(daemon.logged("of answers unread"));
  CHECK(outcome(call(other, {"echo", "large", "3"})) == "\"xxx\"");
  daemon.stop();
}

TEST_CASE("a client that grants a stream byte by byte, while its function is busy, fills no memory") {
  Daemon daemon({.modules = {kEcho, {"busy", R"js(
      exports.f = async function* () { yield new Uint8Array(16 * 1024 * 1024); for (;;); };
  )js"}},
                 .flags = {"--stretch", "100s", "--timeout", "100s", "--shutdown-timeout", "100ms"}});
  ipc::Client other = daemon.connect();
  CHECK(outcome(call(other, {"echo", "echo", "0"})) == "0");
  RawConnection hostile(daemon.socket_path());
  hostile.send(hello());
  hostile.send(RawConnection::frame_of(
      ipc::CallRequest{.id = 1, .module = "busy", .version = "v1", .function = "f", .stream_window_bytes = 1 << 20}));
  bool has_begun = false;
  while (!has_begun) {
    const auto note = [&](const ipc::ServerMessage& message) {
      has_begun = has_begun || std::holds_alternative<ipc::ChunkView>(message);
    };
    REQUIRE(hostile.receive(note, std::chrono::seconds(20)) == RawConnection::Received::something);
  }
  std::string grants;
  while (grants.size() < (1 << 20)) grants += RawConnection::frame_of(ipc::StreamGrant{1, 1});
  for (int round = 1; round <= 300; ++round) {
    hostile.send(grants);
    REQUIRE(outcome(call(other, {"echo", "echo", std::to_string(round)})) == std::to_string(round));
  }
  CHECK(anonymous_memory(daemon) < std::uint64_t{128} << 20);
  daemon.stop();
}

TEST_CASE("a client that sends a frame byte by byte is served like any other") {
  Daemon daemon({.modules = {kEcho}});
  RawConnection client(daemon.socket_path());
  for (const char byte : hello() + call_frame(1, "missing")) client.send(std::string_view(&byte, 1));
  client.finish_sending();
  CHECK(client.read_to_end() == "");
}

}  // namespace
}  // namespace holdfast::test
