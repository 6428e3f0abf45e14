// How a client's session handles clients that break the protocol or do not read what they request.
#include <doctest/doctest.h>
#include <sys/socket.h>

#include "ipc/base/module_name.h"
#include "supervisor/client_session.h"
#include "supervisor/modules/module_source.h"
#include "tests/unit/supervisor/session_support.h"

namespace holdfast::supervisor {
namespace {

using testing::call;
using testing::cancel;
using testing::check_cut_off;
using testing::hello;
using testing::Ids;
using testing::ids_from_1_to;
using testing::Lines;
using testing::list_workers;
using testing::SessionFixture;

// --- violations ----------------------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(SessionFixture, "after a violation nothing of the client is handled any more") {
  greet();
  send(call(1) + hello() + call(2) + cancel(1));
  check_cut_off(*this, "hello was sent twice");
  CHECK(owner.called == Ids{1});
  CHECK(owner.cancelled.empty());
  send(call(3));
  CHECK(owner.called == Ids{1});
}

TEST_CASE_FIXTURE(SessionFixture, "answers of the turn in which a client is disconnected come before the reason") {
  owner.at_call = [](ClientSession& session, const ipc::CallRequest& request) {
    session.answer(request.id, ipc::ResultView{}, {}, 0);
  };
  greet();
  send(call(1) + hello());
  check_cut_off(*this, "hello was sent twice", {"answer 1 ok"});
}

TEST_CASE_FIXTURE(SessionFixture, "a message that cannot be decoded is a violation") {
  greet();
  send(ipc::testing::framed({{}}));
  const Lines news = client.news();
  REQUIRE(news.size() == 2);
  CHECK(news[0].starts_with("protocol error: "));
  CHECK(news[0].size() > std::string_view("protocol error: ").size());
  CHECK(owner.left == 1);
}

TEST_CASE_FIXTURE(SessionFixture, "a frame that announces too much is a violation before its body is sent") {
  greet();
  const std::uint32_t header[2] = {0, 5 << 20};  // one segment of 40 MB
  send(std::string_view(reinterpret_cast<const char*>(header), sizeof header));
  check_cut_off(*this, "the frame has 41943048 bytes by its header; at most 34603008 are accepted");
}

TEST_CASE_FIXTURE(SessionFixture, "bytes that are not frames are a violation") {
  greet();
  SUBCASE("a request of HTTP, which is told to be one") {
    send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    const Lines news = client.news();
    REQUIRE(news.size() == 2);
    CHECK(news[0].starts_with("protocol error: this looks like HTTP"));
  }
  SUBCASE("anything else") {
    send("anything else that is text");
    const Lines news = client.news();
    REQUIRE(news.size() == 2);
    CHECK(news[0].starts_with("protocol error: the frame has"));
  }
}

TEST_CASE_FIXTURE(SessionFixture, "the reason reaches a client that has sent more than was read") {
  greet();
  std::string all = hello();
  for (std::uint64_t id = 1; id <= 2000; ++id) all += call(id, std::string(100, 'x'));
  send(all);
  check_cut_off(*this, "hello was sent twice");
}

TEST_CASE_FIXTURE(SessionFixture, "an owner may cut a client off, also within its call") {
  owner.at_call = [](ClientSession& session, const ipc::CallRequest&) { session.cut_off("enough"); };
  greet();
  send(call(1) + call(2));
  check_cut_off(*this, "enough");
  CHECK(owner.called == Ids{1});
}

TEST_CASE_FIXTURE(SessionFixture, "a client that is turned away is told why, and the owner hears nothing") {
  owner.session->turn_away("too many clients");
  settle();
  CHECK(client.news() == Lines{"protocol error: too many clients", "end"});
  CHECK(owner.left == 0);
}

// --- back-pressure -------------------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(SessionFixture, "no more calls are read than may be open and the others once some are answered") {
  constexpr std::uint64_t kMost = ClientSession::kMaxCallsInFlight;
  greet();
  std::string all;
  for (std::uint64_t id = 1; id <= kMost + 500; ++id) all += call(id);
  send(all);
  CHECK(owner.called == ids_from_1_to(kMost));
  CHECK(owner.session->open_calls().size() == kMost);

  owner.finish_first();
  settle();
  CHECK(owner.called == ids_from_1_to(kMost + 1));

  for (int i = 0; i < 100; ++i) owner.finish_first();
  settle();
  CHECK(owner.called == ids_from_1_to(kMost + 101));

  while (!owner.held.empty()) {
    owner.finish_first();
    settle();
  }
  CHECK(owner.called == ids_from_1_to(kMost + 500));
  settle_reading();
  CHECK(client.news().size() == kMost + 500);
}

TEST_CASE_FIXTURE(SessionFixture, "a client that leaves while reading from it is paused is noticed at once") {
  greet();
  std::string all;
  for (std::uint64_t id = 1; id <= ClientSession::kMaxCallsInFlight; ++id) all += call(id);
  send(all);
  client.close();
  settle();
  CHECK(owner.left == 1);
  CHECK(owner.open_when_left == ClientSession::kMaxCallsInFlight);
}

TEST_CASE_FIXTURE(SessionFixture, "calls with large payloads are read only within the bound on held payloads") {
  const std::string large(ClientSession::kMaxPayloadBytes, 'x');
  greet();
  for (std::uint64_t id = 1; id <= 6; ++id) client.send(call(id, large));
  settle();
  const std::size_t taken = owner.called.size();
  CHECK(taken >= 2);
  CHECK(taken <= 3);
  CHECK(client.unsent_bytes() > 0);  // the session has paused reading from the client
  while (!owner.held.empty()) {
    owner.finish_first();
    settle();
    CHECK(owner.held.size() <= 3);
  }
  CHECK(owner.called == ids_from_1_to(6));
}

TEST_CASE_FIXTURE(SessionFixture, "reading from a client is paused while it does not read its answers") {
  const std::string answer(std::size_t{256} << 10, 'x');
  owner.at_call = [&](ClientSession& session, const ipc::CallRequest& request) {
    session.answer(request.id, ipc::ResultView{ipc::as_bytes(answer)}, {}, 0);
  };
  greet();
  std::string all;
  for (std::uint64_t id = 1; id <= 100; ++id) all += call(id);
  send(all);
  CHECK(owner.called.size() >= 4);
  CHECK(owner.called.size() <= 10);
  CHECK_FALSE(owner.session->all_sent());
  settle_reading();
  CHECK(owner.called == ids_from_1_to(100));
  CHECK(owner.session->all_sent());
  CHECK(client.news().size() == 100);
}

TEST_CASE_FIXTURE(SessionFixture,
                  "reading from a client is paused while it does not read the lists that it requested") {
  owner.list.workers.resize(200);
  greet();
  std::string all;
  for (std::uint64_t id = 1; id <= 1000; ++id) all += list_workers(id);
  send(all);
  CHECK(owner.lists < 200);
  settle_reading();
  CHECK(owner.lists == 1000);
  CHECK(client.news().size() == 1000);
}

TEST_CASE_FIXTURE(SessionFixture, "a client that lets too many answers gather is cut off, alone and in time") {
  const std::string answer(std::size_t{1} << 20, 'x');
  constexpr std::uint64_t kCalls = 500;
  greet();
  std::string all;
  for (std::uint64_t id = 1; id <= kCalls; ++id) all += call(id);
  send(all);
  REQUIRE(owner.held.size() == kCalls);
  std::size_t answered = 0;
  while (owner.left == 0 && !owner.held.empty()) {
    owner.finish_first(answer);
    ++answered;
    settle();
  }
  CHECK(owner.left == 1);
  CHECK(owner.open_when_left == kCalls - answered);
  CHECK(answered > 60);
  CHECK(answered < 70);
  CHECK(watched.expired());
}

TEST_CASE_FIXTURE(SessionFixture, "a client that reads late, but in time, gets everything") {
  const std::string answer(std::size_t{1} << 20, 'x');
  constexpr std::uint64_t kCalls = 200;
  greet();
  std::string all;
  for (std::uint64_t id = 1; id <= kCalls; ++id) all += call(id);
  send(all);
  for (std::uint64_t answered = 1; answered <= kCalls; ++answered) {
    owner.finish_first(answer);
    settle();
    if (answered % 50 == 0) settle_reading();
  }
  CHECK(owner.left == 0);
  CHECK(client.news().size() == kCalls);
}

}  // namespace
}  // namespace holdfast::supervisor
