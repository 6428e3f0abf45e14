// Clients that break the rules on a direct line, or read no answers from it, lose the line; the worker still serves
// others.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/raw_connection.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

using std::chrono::milliseconds;

const Module kOne = {"one", R"js('use strict';
exports.echo = (payload) => payload;
exports.large = (size) => 'x'.repeat(size);
exports.wait = (millis) => new Promise((resolve) => setTimeout(resolve, millis, 'waited'));
)js"};
const ipc::ModuleName kNameOfOne = {"one", "v1"};

// A client whose line the test writes to, bypassing the client library.
struct Intruder {
  explicit Intruder(const Daemon& daemon) : client(daemon.connect()) {
    const auto opened = client.open_line(kNameOfOne);
    REQUIRE_MESSAGE(opened.has_value(), opened.error().message);
    REQUIRE(client.line_fds().size() == 1);
    line.reset(::fcntl(client.line_fds().front(), F_DUPFD_CLOEXEC, 0));
  }
  void send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t count = ::send(line.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
  }
  bool loses_line() {
    return eventually([&] {
      client.run_once(milliseconds(5));
      return !client.has_line(kNameOfOne);
    });
  }

  ipc::Client client;
  UniqueFd line;
};

std::string call_frame(ipc::CallRequest call) {
  if (call.id == 0) call.id = 1'000'000;
  if (call.function.empty()) call.function = "wait";
  call.payload = ipc::as_bytes("60000");
  return RawConnection::frame_of(call);
}

TEST_CASE("a client that breaks a rule on its line loses it, and others are served by the same worker") {
  Daemon daemon({.modules = {kOne}, .flags = {"--direct-line"}});
  ipc::Client other = daemon.connect();
  const std::string two_with_one_id = call_frame({}) + call_frame({});
  for (const std::string& bytes : {
           std::string(100, '\xff'),
           std::string("\0\0\0\0\0\0\x40\0", 8),  // 32 MB
           frame({0, 0}),
           call_frame({.module = "one", .version = "v1"}),
           call_frame({.stream_window_bytes = 1000}),
           call_frame({.logs = true}),
           two_with_one_id,
           RawConnection::frame_of(ipc::ClientHello{}),
           RawConnection::frame_of(ipc::ListWorkersRequest{1}),
           RawConnection::frame_of(ipc::StreamGrant{1, 1}),
           RawConnection::frame_of(ipc::OpenLineRequest{7, "one", "v1"}),
           RawConnection::frame_of(ipc::LineCallOverdue{1, 1}),
       }) {
    CAPTURE(bytes.size());
    CHECK(outcome(call(other, {"one", "echo", "1"})) == "1");
    REQUIRE(eventually([&] { return worker_of(other, "one").calls_in_flight == 0; }));
    {
      Intruder intruder(daemon);
      const pid_t worker = worker_of(other, "one").pid;
      Calls calls(other);
      const auto waiting = calls.start({"one", "wait", "50"});
      intruder.send(bytes);
      CHECK(intruder.loses_line());
      CHECK(outcome(call(intruder.client, {"one", "echo", "2"})) == "2");
      CHECK(outcome(calls.wait_for(waiting)) == "\"waited\"");
      CHECK(worker_of(other, "one").pid == worker);
      CHECK_FALSE(worker_of(other, "one").line);
    }
    // The next request for a line fails, as this worker has given its line away; a later one gets a fresh worker.
    CHECK_FALSE(other.open_line(kNameOfOne).has_value());
    REQUIRE(eventually([&] {
      const auto all = workers(other);
      return std::none_of(all.begin(), all.end(), [](const auto& one) { return one.module == "one"; });
    }));
  }
  CHECK(daemon.logged("its direct line to one@v1 ended"));
  daemon.stop();
}

// Receives the first descriptor on the socket.
UniqueFd receive_fd(int socket) {
  for (;;) {
    char bytes[4096];
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    iovec into{bytes, sizeof bytes};
    msghdr message{};
    message.msg_iov = &into;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    REQUIRE(::recvmsg(socket, &message, MSG_CMSG_CLOEXEC) > 0);
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (header == nullptr || header->cmsg_type != SCM_RIGHTS) continue;
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
    return UniqueFd(fd);
  }
}

TEST_CASE("a client that reports again and again that they are late does not get the worker of its line killed") {
  Daemon daemon({.modules = {kOne}, .flags = {"--direct-line", "--shutdown-timeout", "100ms"}});
  ipc::Client other = daemon.connect();
  REQUIRE(outcome(call(other, {"one", "echo", "1"})) == "1");
  const pid_t worker = worker_of(other, "one").pid;
  RawConnection hostile(daemon.socket_path());
  hostile.send(RawConnection::frame_of(ipc::ClientHello{}) +
               RawConnection::frame_of(ipc::OpenLineRequest{7, "one", "v1"}));
  const UniqueFd line = receive_fd(hostile.fd());
  const std::string waits = call_frame({});
  REQUIRE(::send(line.get(), waits.data(), waits.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(waits.size()));
  REQUIRE(eventually([&] { return worker_of(other, "one").line; }));
  CHECK(worker_of(other, "one").pid == worker);
  for (const std::uint64_t place : {1, 2, 4711}) {
    std::string late;
    for (int i = 0; i < 100; ++i) late += RawConnection::frame_of(ipc::LineCallOverdue{7, place, true});
    hostile.send(late);
    for (int i = 0; i < 20; ++i) CHECK(outcome(call(other, {"one", "echo", "1"})) == "1");
    CHECK(worker_of(other, "one").pid == worker);
  }
  daemon.stop();
}

TEST_CASE("a client that reads no answers blocks only its own line and cannot keep the worker") {
  Daemon daemon({.modules = {kOne}, .flags = {"--direct-line"}});
  ipc::Client other = daemon.connect();
  Intruder intruder(daemon);
  std::string calls;
  for (std::uint64_t id = 1; id <= 64; ++id) {
    calls +=
        RawConnection::frame_of(ipc::CallRequest{.id = id, .function = "large", .payload = ipc::as_bytes("1000000")});
  }
  intruder.send(calls);
  for (int i = 0; i < 50; ++i) CHECK(outcome(call(other, {"one", "echo", "1"})) == "1");
  const auto before = worker_of(other, "one");
  daemon.add_module({"one", "exports.echo = () => 'new';"});
  CHECK(eventually([&] { return outcome(call(other, {"one", "echo"})) == "\"new\""; }));
  CHECK(workers_become(other, [&](const auto& all) {
    return std::none_of(all.begin(), all.end(), [&](const auto& worker) { return worker.pid == before.pid; });
  }));
  daemon.stop();
}

TEST_CASE("a client that sends more calls than may be open waits, and others do not") {
  Daemon daemon({.modules = {kOne}, .flags = {"--direct-line", "--concurrency", "8"}});
  ipc::Client other = daemon.connect();
  ipc::Client client = daemon.connect();
  REQUIRE(client.open_line(kNameOfOne).has_value());
  Calls calls(client);
  for (int i = 0; i < 200; ++i) calls.start({"one", "wait", "20"});
  for (int i = 0; i < 20; ++i) CHECK(outcome(call(other, {"one", "echo", "1"})) == "1");
  calls.wait_for_all();
  CHECK(calls.count("result") == 200);
  daemon.stop();
}

TEST_CASE("a client that burns the CPU on its line in small pieces and a relayed client are served in turn") {
  const Module busy = {"busy",
                       "exports.burn = (millis) => { const end = Date.now() + millis; while (Date.now() < end); "
                       "return 1; };"};
  Daemon daemon({.modules = {busy}, .flags = {"--direct-line"}});
  ipc::Client other = daemon.connect();
  ipc::Client client = daemon.connect();
  REQUIRE(client.open_line({"busy", "v1"}).has_value());
  Calls calls(client);
  for (int i = 0; i < 100; ++i) calls.start({"busy", "burn", "5"});
  client.run_once(milliseconds(0));
  Calls of_other(other);
  const auto relayed = of_other.start({"busy", "burn", "5"});
  CHECK(outcome(of_other.wait_for(relayed)) == "1");
  // The line's 100 calls take half a second. The relayed call came in that time and did not have to wait for all of
  // them.
  CHECK(of_other.answer(relayed).usage.run < milliseconds(250));
  calls.wait_for_all();
  CHECK(calls.count("result") == 100);
  daemon.stop();
}

}  // namespace
}  // namespace holdfast::test
