// A client's session from its hello to its end, over a real socket.
#include "supervisor/client_session.h"

#include <doctest/doctest.h>
#include <sys/socket.h>

#include "ipc/base/module_name.h"
#include "supervisor/modules/module_source.h"
#include "tests/unit/supervisor/session_support.h"

namespace holdfast::supervisor {
namespace {

using testing::call;
using testing::cancel;
using testing::check_cut_off;
using testing::encoded;
using testing::hello;
using testing::Ids;
using testing::ids_from_1_to;
using testing::Lines;
using testing::list_workers;
using testing::SessionFixture;
using testing::stats;

// --- hello ---------------------------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(SessionFixture, "nothing is said before the client's hello") {
  settle();
  CHECK_FALSE(client.has_mail());
  CHECK_FALSE(owner.session->greeted());
}

TEST_CASE_FIXTURE(SessionFixture, "a hello is answered with the server's, which names the limits") {
  send(hello("holdfast 0.1.0"));
  CHECK(owner.session->greeted());
  CHECK(owner.session->name() == "client 7 (holdfast 0.1.0)");
  client.receive();
  CHECK(client.news() == Lines{"hello"});
}

TEST_CASE_FIXTURE(SessionFixture, "the server's hello names the version and the limits that hold") {
  send(hello());
  char bytes[4096];
  const ssize_t count = ::recv(client.fd(), bytes, sizeof bytes, 0);
  REQUIRE(count > 0);
  ipc::FrameReader reader;
  ipc::testing::feed(reader, std::string_view(bytes, static_cast<std::size_t>(count)));
  const auto frame = reader.next();
  REQUIRE((frame.has_value() && frame->has_value()));
  const auto message = ipc::decode_server_message(**frame);
  REQUIRE(message.has_value());
  const auto& server = std::get<ipc::ServerHello>(*message);
  CHECK(server.protocol_version == ipc::kProtocolVersion);
  CHECK(server.server_version == HOLDFAST_VERSION);
  CHECK(server.max_frame_bytes == ClientSession::kFrameLimits.max_bytes);
  CHECK(server.max_payload_bytes == ClientSession::kMaxPayloadBytes);
  CHECK(server.max_calls_in_flight == ClientSession::kMaxCallsInFlight);
  CHECK(server.max_source_bytes == ModuleSources::kMaxSourceBytes);
}

TEST_CASE_FIXTURE(SessionFixture, "a client without a name is known by its number") {
  send(hello(""));
  CHECK(owner.session->name() == "client 7");
}

TEST_CASE_FIXTURE(SessionFixture, "the name of a client cannot forge the log") {
  send(hello("evil\n\x1B[2J\xFF"));
  for (const char c : owner.session->name()) CHECK(static_cast<unsigned char>(c) >= 0x20);
}

TEST_CASE_FIXTURE(SessionFixture, "a client of another version gets the server's hello, the reason, and the end") {
  const auto other = std::uint16_t{ipc::kProtocolVersion + 1};
  send(hello("test", other) + call(1));
  check_cut_off(*this,
                "the client speaks protocol version " + std::to_string(other) +
                    ", holdfastd " HOLDFAST_VERSION " speaks " + std::to_string(ipc::kProtocolVersion),
                {"hello"});
  CHECK(owner.called.empty());
}

TEST_CASE_FIXTURE(SessionFixture, "a client that begins with something else than a hello is cut off") {
  SUBCASE("a call") { send(call(1)); }
  SUBCASE("a cancellation") { send(cancel(1)); }
  SUBCASE("a question") { send(list_workers(1)); }
  SUBCASE("another question") { send(stats(1)); }
  check_cut_off(*this, "the first message must be hello");
  CHECK(owner.called.empty());
  CHECK(owner.lists == 0);
}

TEST_CASE_FIXTURE(SessionFixture, "a second hello is a violation") {
  greet();
  send(hello());
  check_cut_off(*this, "hello was sent twice");
}

TEST_CASE_FIXTURE(SessionFixture, "a client's name of 64 bytes is accepted, and a longer one is a violation") {
  SUBCASE("64") {
    send(hello(std::string(64, 'x')));
    CHECK(client.news() == Lines{"hello"});
  }
  SUBCASE("65") {
    send(hello(std::string(65, 'x')));
    check_cut_off(*this, "the client's name has 65 bytes; at most 64 are allowed");
  }
}

TEST_CASE_FIXTURE(SessionFixture, "before its hello a client cannot make the supervisor hold much for it") {
  send(hello(std::string(std::size_t{8} << 10, 'x')));
  const Lines news = client.news();
  REQUIRE(news.size() == 2);
  CHECK(news[0].starts_with("protocol error: the frame has"));
  CHECK(owner.left == 1);
}

// --- calls ---------------------------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(SessionFixture, "a call is handed to the owner as it was sent") {
  std::string seen;
  owner.at_call = [&](ClientSession& session, const ipc::CallRequest& request) {
    seen = ipc::testing::describe(request);
    owner.hold(session, request);
  };
  greet();
  const ipc::CallRequest request = {.id = 4711,
                                    .module = "calculator",
                                    .version = "v1",
                                    .function = "add",
                                    .payload = ipc::as_bytes("[1,2]"),
                                    .arguments = ipc::ArgumentStyle::positional,
                                    .timeout = std::chrono::seconds(2),
                                    .idempotent = true};
  send(encoded(request));
  CHECK(seen == ipc::testing::describe(request));
  CHECK(owner.session->open_calls().size() == 1);
  CHECK(owner.session->open_calls().contains(4711));
}

TEST_CASE_FIXTURE(SessionFixture, "each call is answered under the client's own id, in any order") {
  greet();
  send(call(30) + call(10) + call(20));
  CHECK(owner.called == Ids{30, 10, 20});
  owner.finish(CallId{3}, "third");
  owner.finish(CallId{1}, ipc::ErrorCode::exception);
  owner.finish(CallId{2}, "second");
  settle();
  CHECK(client.news() == Lines{"answer 20 ok", "answer 30 exception", "answer 10 ok"});
  CHECK(owner.session->open_calls().empty());
}

TEST_CASE_FIXTURE(SessionFixture, "what a call took reaches its client with the answer") {
  const ipc::Usage usage = {.run = std::chrono::milliseconds(3), .bytes_in = 4, .attempts = 1};
  owner.at_call = [&](ClientSession& session, const ipc::CallRequest& request) {
    if (request.id == 1) return session.answer(1, ipc::ResultView{}, usage, 0);
    if (request.id == 2) return session.answer(2, ipc::Error{}, usage);
    session.answer(3, ipc::Error{});
  };
  greet();
  send(call(1) + call(2) + call(3));
  CHECK(client.usages() == std::vector<ipc::Usage>{usage, usage, {}});
}

TEST_CASE_FIXTURE(SessionFixture, "a call that the owner answers at once is not open afterwards") {
  owner.at_call = [](ClientSession& session, const ipc::CallRequest& request) {
    ipc::Error error;
    error.code = ipc::ErrorCode::not_found;
    session.answer(request.id, error);
  };
  greet();
  send(call(1) + call(1));
  CHECK(client.news() == Lines{"answer 1 not_found", "answer 1 not_found"});
  CHECK(owner.session->open_calls().empty());
}

TEST_CASE_FIXTURE(SessionFixture, "an id may be used again once its call is answered") {
  greet();
  send(call(1));
  owner.finish_first();
  settle();
  send(call(1));
  owner.finish_first();
  settle();
  CHECK(client.news() == Lines{"answer 1 ok", "answer 1 ok"});
}

TEST_CASE_FIXTURE(SessionFixture, "an id that is used by a call that is still open is a violation") {
  greet();
  send(call(1) + call(1) + call(2));
  check_cut_off(*this, "call id 1 is used by a call that is still open");
  CHECK(owner.called == Ids{1});
  CHECK(owner.open_when_left == 1);
}

TEST_CASE_FIXTURE(SessionFixture, "many messages in one read are handled in their order") {
  std::string all = hello();
  for (std::uint64_t id = 1; id <= 100; ++id) all += call(id);
  all += cancel(50) + list_workers(9);
  send(all);
  CHECK(owner.called == ids_from_1_to(100));
  CHECK(owner.cancelled == Ids{50});
  CHECK(client.news() == Lines{"hello", "answer 50 cancelled", "workers 9"});
}

TEST_CASE_FIXTURE(SessionFixture, "messages that arrive byte by byte are the same messages") {
  for (const char byte : hello() + call(1, "payload") + cancel(1)) send(std::string_view(&byte, 1));
  CHECK(owner.called == Ids{1});
  CHECK(client.news() == Lines{"hello", "answer 1 cancelled"});
}

TEST_CASE_FIXTURE(SessionFixture, "answers leave together when the turn has ended, and not one by one") {
  std::vector<bool> mail_at_call;
  owner.at_call = [&](ClientSession& session, const ipc::CallRequest& request) {
    session.answer(request.id, ipc::ResultView{}, {}, 0);
    mail_at_call.push_back(client.has_mail());
  };
  greet();
  send(call(1) + call(2) + call(3));
  CHECK(mail_at_call == std::vector<bool>{false, false, false});
  char bytes[4096];
  const ssize_t count = ::recv(client.fd(), bytes, sizeof bytes, MSG_PEEK);
  CHECK(count > 0);
  CHECK(client.news() == Lines{"answer 1 ok", "answer 2 ok", "answer 3 ok"});
}

TEST_CASE_FIXTURE(SessionFixture, "a large payload and a large answer arrive whole") {
  const std::string large(ClientSession::kMaxPayloadBytes, 'x');
  std::size_t seen = 0;
  owner.at_call = [&](ClientSession& session, const ipc::CallRequest& request) {
    seen = request.payload.size();
    session.answer(request.id, ipc::ResultView{request.payload}, {}, 0);
  };
  greet();
  client.send(call(1, large));
  settle_reading();
  CHECK(seen == large.size());
  CHECK(client.news() == Lines{"answer 1 ok"});
}

// --- cancellations and questions -----------------------------------------------------------------------------------

TEST_CASE_FIXTURE(SessionFixture, "a cancellation reaches the owner for a call that is open") {
  greet();
  send(call(1) + call(2));
  send(cancel(2));
  CHECK(owner.cancelled == Ids{2});
  CHECK(client.news() == Lines{"answer 2 cancelled"});
}

TEST_CASE_FIXTURE(SessionFixture, "a cancellation of a call that is not open is ignored") {
  greet();
  send(call(1));
  owner.finish_first();
  settle();
  client.news();
  send(cancel(1) + cancel(4711) + list_workers(1));
  CHECK(owner.cancelled.empty());
  CHECK(client.news() == Lines{"workers 1"});
}

TEST_CASE_FIXTURE(SessionFixture, "a list of workers carries the number of the request") {
  owner.list.workers.resize(3);
  greet();
  send(list_workers(77) + list_workers(78));
  CHECK(client.news() == Lines{"workers 77", "workers 78"});
}

TEST_CASE_FIXTURE(SessionFixture, "statistics carry the number of the request") {
  owner.statistics.modules.resize(2);
  greet();
  send(stats(77) + stats(78));
  CHECK(client.news() == Lines{"stats 77 of 2", "stats 78 of 2"});
}

TEST_CASE_FIXTURE(SessionFixture, "statistics of too many modules are of those that used most CPU time, in one frame") {
  owner.statistics.modules.resize(30'000);
  for (std::size_t i = 0; i < owner.statistics.modules.size(); ++i) {
    ipc::ModuleStats& module = owner.statistics.modules[i];
    module.module = std::string(ipc::kMaxNameBytes, 'm');
    module.version = std::string(ipc::kMaxNameBytes, 'v');
    module.errors.resize(ipc::kErrorCodeCount);
    module.cpu = std::chrono::nanoseconds((i * 7919) % 30'000);
    module.held_off_reason = std::string(5000, 'x');
  }
  greet();
  client.send(stats(1));
  settle_reading();
  const auto all = client.statistics();
  REQUIRE(all.size() == 1);
  REQUIRE(all[0].modules.size() == ipc::kMaxModulesListed);
  for (const auto& module : all[0].modules) {
    REQUIRE(module.cpu.count() >= static_cast<std::int64_t>(30'000 - ipc::kMaxModulesListed));
    REQUIRE(module.held_off_reason.size() <= 1024);
  }
}

// --- the end -------------------------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(SessionFixture, "when a client leaves, the owner is told once, with the calls that are open") {
  greet();
  send(call(1) + call(2) + call(3));
  owner.finish_first();
  SUBCASE("it closed its socket") { client.close(); }
  SUBCASE("it closed its socket with answers unread") {
    settle();
    client.close();
  }
  SUBCASE("it shut down its sending side") { ::shutdown(client.fd(), SHUT_WR); }
  settle();
  CHECK(owner.left == 1);
  CHECK(owner.open_when_left == 2);
  CHECK(watched.expired());
}

TEST_CASE_FIXTURE(SessionFixture, "calls that arrived before a client left are passed on first") {
  client.send(hello() + call(1));
  client.flush();
  client.close();
  settle();
  CHECK(owner.called == Ids{1});
  CHECK(owner.left == 1);
}

TEST_CASE_FIXTURE(SessionFixture, "a client that leaves in the middle of a message has left like any other") {
  greet();
  const std::string whole = call(1, "a payload");
  send(whole.substr(0, whole.size() - 1));
  client.close();
  settle();
  CHECK(owner.called.empty());
  CHECK(owner.left == 1);
}

TEST_CASE_FIXTURE(SessionFixture, "answers to a client that has left go nowhere") {
  greet();
  send(call(1) + call(2));
  const auto kept = owner.session;
  client.close();
  settle();
  REQUIRE(owner.left == 1);
  kept->answer(1, ipc::ResultView{}, {}, 0);
  kept->answer(2, ipc::Error{});
  settle();
  CHECK_FALSE(kept->is_open());
  CHECK(owner.left == 1);
}

TEST_CASE_FIXTURE(SessionFixture, "what was answered before the session is closed still arrives") {
  greet();
  send(call(1));
  owner.finish_first();
  owner.session->close();
  settle();
  CHECK(client.news() == Lines{"answer 1 ok", "end"});
  CHECK(owner.left == 0);
}

}  // namespace
}  // namespace holdfast::supervisor
