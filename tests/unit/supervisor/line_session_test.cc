// Direct lines in the session of their client.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "ipc/packet.h"
#include "supervisor/client_session.h"
#include "tests/unit/supervisor/session_support.h"

namespace holdfast::supervisor {
namespace {

using testing::call;
using testing::cancel;
using testing::encoded;
using testing::SessionFixture;
using Lines = std::vector<std::string>;

const ipc::CallTimeouts kTimeouts = {std::chrono::seconds(1), std::chrono::seconds(2)};

std::string open_line(std::uint64_t id) { return encoded(ipc::OpenLineRequest{id, "m", "v1"}); }
std::string overdue(std::uint64_t line, std::uint64_t call) { return encoded(ipc::LineCallOverdue{line, call}); }

TEST_CASE_FIXTURE(SessionFixture, "a line comes with its socket, also behind more than the client's socket takes") {
  greet();
  client.news();
  send(call(1) + open_line(2) + call(3) + open_line(4));
  CHECK(owner.lines == std::vector<std::uint64_t>{2, 4});
  auto [first, first_end] = testing::connected_sockets();
  auto [second, second_end] = testing::connected_sockets();
  const std::string large(std::size_t{2} << 20, 'x');
  owner.finish_first(large);
  owner.session->open_line(2, kTimeouts, std::move(first));
  owner.session->open_line(4, kTimeouts, std::move(second));
  owner.finish(CallId{3}, large);

  // Reads like a client that expects descriptors.
  ipc::FrameReader in(ClientSession::kFrameLimits);
  std::vector<UniqueFd> descriptors;
  Lines order;
  while (order.size() < 4) {
    settle();
    const auto packet = ipc::receive_with_descriptors(BorrowedFd(client.fd()), in.prepare());
    REQUIRE(packet.has_value());
    REQUIRE(packet->bytes > 0);
    for (const UniqueFd& fd : packet->fds) descriptors.emplace_back(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
    in.commit(packet->bytes);
    for (auto frame = in.next(); frame.value(); frame = in.next()) {
      const auto message = ipc::decode_server_message(**frame);
      REQUIRE(message.has_value());
      const auto* opened = std::get_if<ipc::LineOpened>(&*message);
      // A line's socket has arrived when its message is read.
      if (opened != nullptr) CHECK(descriptors.size() >= (opened->id == 2 ? 1U : 2U));
      order.push_back(opened != nullptr ? "line " + std::to_string(opened->id) : "answer");
    }
  }
  CHECK(order == Lines{"answer", "line 2", "line 4", "answer"});
  REQUIRE(descriptors.size() == 2);
  for (std::size_t i = 0; i < 2; ++i) {
    REQUIRE(::send(descriptors[i].get(), "x", 1, 0) == 1);
    char byte = 0;
    CHECK(::recv((i == 0 ? first_end : second_end).get(), &byte, 1, 0) == 1);
  }
}

TEST_CASE_FIXTURE(SessionFixture, "a line's id is in use until it is refused or has ended") {
  greet();
  client.news();
  send(open_line(1) + open_line(2));
  owner.session->refuse_line(1, {});
  auto [socket, end] = testing::connected_sockets();
  owner.session->open_line(2, kTimeouts, std::move(socket));
  owner.session->end_line(2, {.started = 7});
  settle();
  CHECK(client.news() == Lines{"direct line 1 refused", "direct line 2 opened", "direct line 2 ended at 7"});
  send(open_line(1) + open_line(2));
  CHECK(owner.lines == std::vector<std::uint64_t>{1, 2, 1, 2});
  send(call(1));
  CHECK(owner.left == 1);
}

TEST_CASE_FIXTURE(SessionFixture, "a line may not have the id of a call that is open") {
  greet();
  send(call(5) + open_line(5));
  CHECK(owner.lines.empty());
  CHECK(owner.left == 1);
}

TEST_CASE_FIXTURE(SessionFixture,
                  "the owner hears which calls on an open line are overdue and when the line is given up") {
  greet();
  send(open_line(9) + overdue(9, 3) + overdue(8, 1) + cancel(9) + overdue(9, 4));
  CHECK(owner.overdue == std::vector<std::pair<std::uint64_t, std::uint64_t>>{{9, 3}});
  CHECK(owner.cancelled == std::vector<std::uint64_t>{9});
  CHECK(owner.left == 0);
}

TEST_CASE_FIXTURE(SessionFixture, "lines are among the calls that a client may have open") {
  greet();
  client.news();
  std::string all;
  for (std::uint64_t id = 1; id <= ClientSession::kMaxCallsInFlight + 10; ++id) all += open_line(id);
  send(all);
  CHECK(owner.lines.size() == ClientSession::kMaxCallsInFlight);
  CHECK(owner.left == 0);
}

}  // namespace
}  // namespace holdfast::supervisor
