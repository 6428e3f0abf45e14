// The end of a session of the client library, and how long the library waits.
#include <doctest/doctest.h>
#include <poll.h>

#include <string>
#include <vector>

#include "tests/unit/ipc/client_support.h"

namespace holdfast::ipc {
namespace {

using namespace std::chrono_literals;
using namespace testing;

// --- the end of the connection -------------------------------------------------------------------------------------

TEST_CASE("when the supervisor goes away each open call is answered once, and so is each later one") {
  auto [supervisor, client] = begin_session();
  Answers answers;
  for (int i = 0; i < 3; ++i) client.start(request(), answers.handler(i));
  client.run_once(0ms);
  const auto first = supervisor.receive_call();
  supervisor.receive_call();
  supervisor.receive_call();
  supervisor.answer(first.id, "in time");
  supervisor.close();
  run_until_answered(client, answers, 3);
  CHECK(summary(answers.of(0)) == "in time");
  const std::string lost = "the connection to the supervisor is lost: it was closed";
  CHECK(summary(answers.of(1)) == "unavailable, executed maybe, retryable: " + lost);
  CHECK(summary(answers.of(2)) == "unavailable, executed maybe, retryable: " + lost);
  CHECK_FALSE(client.connected());
  CHECK(client.open_calls() == 0);
  CHECK(client.unsent_bytes() == 0);
  CHECK(client.fd() == -1);

  client.start(request(), answers.handler(3));
  CHECK(client.run_once() == 1);
  CHECK(summary(answers.of(3)) == "unavailable, executed no, retryable: " + lost);
  CHECK(summary(client.call(request())) == "unavailable, executed no, retryable: " + lost);
  const auto workers = client.list_workers();
  REQUIRE_FALSE(workers.has_value());
  CHECK(summary(workers.error()) == "unavailable, executed no, retryable: " + lost);
  CHECK(answers.count() == 4);
  CHECK(client.run_once(0ms) == 0);
}

TEST_CASE("calls that a handler starts after the connection was lost are answered too") {
  auto [supervisor, client] = begin_session();
  int answered = 0;
  client.start(request(), [&, &client = client](Answer) {
    ++answered;
    client.start(request(), [&](Answer answer) {
      CHECK(answer.error().executed == Executed::no);
      ++answered;
    });
  });
  supervisor.close();
  const auto give_up = Clock::now() + kTooLong;
  while (client.open_calls() > 0 && Clock::now() < give_up) client.run_once(100ms);
  CHECK(answered == 2);
}

TEST_CASE("what the supervisor said before it ended the session is in the error of each open call") {
  auto [supervisor, client] = begin_session();
  Answers answers;
  client.start(request(), answers.handler(0));
  supervisor.send(ProtocolViolation{"the call's id 7 is open already"});
  supervisor.close();
  run_until_answered(client, answers, 1);
  CHECK(summary(answers.of(0)) ==
        "unavailable, executed maybe, retryable: the connection to the supervisor is lost: the call's id 7 is open "
        "already");
}

TEST_CASE("the last messages of the supervisor are read even if it no longer reads") {
  auto [supervisor, client] = begin_session();
  Answers answers;
  const std::string payload(std::size_t{1} << 20, 'x');
  for (int i = 0; i < 4; ++i) client.start(request(payload), answers.handler(i));
  client.run_once(0ms);
  REQUIRE(client.unsent_bytes() > 0);
  supervisor.send(ProtocolViolation{"this is enough"});
  supervisor.close();
  run_until_answered(client, answers, 4);
  for (int i = 0; i < 4; ++i) CHECK(answers.of(i).error().message.ends_with("this is enough"));
}

TEST_CASE("a supervisor that stopped receiving without closing does not keep calls waiting for ever") {
  auto [supervisor, client] = begin_session();
  REQUIRE(::shutdown(supervisor.fd(), SHUT_RD) == 0);
  Answers answers;
  client.start(request(), answers.handler(0));
  run_until_answered(client, answers, 1);
  CHECK(summary(answers.of(0)) ==
        "unavailable, executed maybe, retryable: the connection to the supervisor is lost: Broken pipe");
}

TEST_CASE("answers that arrived before sending failed are delivered") {
  auto [supervisor, client] = begin_session();
  Answers answers;
  const auto id = client.start(request(), answers.handler(0));
  client.run_once(0ms);
  supervisor.answer(id, "in time");
  REQUIRE(::shutdown(supervisor.fd(), SHUT_RD) == 0);
  client.start(request(), answers.handler(1));
  run_until_answered(client, answers, 2);
  CHECK(summary(answers.of(0)) == "in time");
  CHECK_FALSE(answers.of(1).has_value());
}

TEST_CASE("a connection that ends within a message says so") {
  auto [supervisor, client] = begin_session();
  Answers answers;
  const auto id = client.start(request(), answers.handler(0));
  client.run_once(0ms);
  supervisor.receive_call();
  OutputBuffer out;
  encode_result(out, id, {as_bytes("cut off")}, {});
  supervisor.send_bytes(as_text(out.data()).substr(0, out.size_bytes() - 1));
  supervisor.close();
  run_until_answered(client, answers, 1);
  CHECK(answers.of(0).error().message.ends_with("it was closed in the middle of a message"));
}

TEST_CASE("an answer to a call that is not open ends the connection") {
  auto [supervisor, client] = begin_session();
  Answers answers;
  client.start(request(), answers.handler(0));
  supervisor.answer(4711, "for whom?");
  run_until_answered(client, answers, 1);
  CHECK(answers.of(0).error().executed == Executed::maybe);
  CHECK(answers.of(0).error().message.ends_with("an answer to call 4711, which is not open"));
  CHECK_FALSE(client.connected());
}

TEST_CASE("a second answer to a call ends the connection, and the handler runs once") {
  auto [supervisor, client] = begin_session();
  Answers answers;
  const auto id = client.start(request(), answers.handler(0));
  client.start(request(), answers.handler(1));
  OutputBuffer out;
  encode_result(out, id, {as_bytes("once")}, {});
  encode_result(out, id, {as_bytes("twice")}, {});
  supervisor.send_bytes(as_text(out.data()));
  run_until_answered(client, answers, 2);
  CHECK(summary(answers.of(0)) == "once");
  CHECK(answers.of(1).error().message.ends_with("an answer to call " + std::to_string(id) + ", which is not open"));
}

TEST_CASE("a message that cannot be decoded ends the connection and is explained") {
  auto [supervisor, client] = begin_session();
  Answers answers;
  client.start(request(), answers.handler(0));
  supervisor.send_bytes(testing::framed({{}}));
  run_until_answered(client, answers, 1);
  CHECK(answers.of(0).error().message.find("malformed Cap'n Proto message") != std::string::npos);
}

TEST_CASE("a second hello ends the connection") {
  auto [supervisor, client] = begin_session();
  Answers answers;
  client.start(request(), answers.handler(0));
  ServerHello other = kHello;
  other.max_payload_bytes = 1;
  supervisor.send(other);
  run_until_answered(client, answers, 1);
  CHECK(answers.of(0).error().message.ends_with("a second hello"));
  CHECK(client.server().max_payload_bytes == kHello.max_payload_bytes);
}

// --- waiting and not waiting ---------------------------------------------------------------------------------------

TEST_CASE("a supervisor that never reads does not block the client, whose unsent bytes grow") {
  auto [supervisor, client] = begin_session();
  const std::string payload(std::size_t{1} << 20, 'x');
  constexpr int kCalls = 40;
  Answers answers;
  std::size_t unsent = 0;
  for (int i = 0; i < kCalls; ++i) {
    client.start(request(payload), answers.handler(i));
    client.run_once(0ms);
    CHECK(client.unsent_bytes() >= unsent);
    unsent = client.unsent_bytes();
  }
  CHECK(unsent > (kCalls - 2) * payload.size());
  CHECK(answers.count() == 0);

  Script script([&supervisor = supervisor] {
    for (int i = 0; i < kCalls; ++i) {
      const auto call = supervisor.receive_call();
      supervisor.answer(call.id, std::to_string(call.payload.size()));
    }
  });
  run_until_answered(client, answers, kCalls);
  CHECK(client.unsent_bytes() == 0);
  for (int i = 0; i < kCalls; ++i) CHECK(summary(answers.of(i)) == "1048576");
}

TEST_CASE("waiting ends with the timeout, and one that is over already does not wait") {
  auto [supervisor, client] = begin_session();
  Answers answers;
  client.start(request(), answers.handler(0));
  auto begin = Clock::now();
  CHECK(client.run_once(30ms) == 0);
  CHECK(Clock::now() - begin >= 30ms);

  // Ends a client that waits for ever, so that the test fails instead of hanging.
  std::atomic<bool> done = false;
  Script rescue([&, &supervisor = supervisor] {
    const auto give_up = Clock::now() + 5s;
    while (!done && Clock::now() < give_up) std::this_thread::sleep_for(1ms);
    if (!done) ::shutdown(supervisor.fd(), SHUT_RDWR);
  });
  begin = Clock::now();
  CHECK(client.run_once(0ms) == 0);
  CHECK(client.run_once(-1ms) == 0);
  CHECK(client.run_once(-1h) == 0);
  CHECK(Clock::now() - begin < 4s);
  done = true;
}

TEST_CASE("a timeout of weeks does not overflow") {
  auto [supervisor, client] = begin_session();
  Answers answers;
  const auto id = client.start(request(), answers.handler(0));
  client.run_once(0ms);
  Script script([&supervisor = supervisor, id] {
    supervisor.receive_call();
    std::this_thread::sleep_for(20ms);  // lets the client start to wait
    supervisor.answer(id, "late");
  });
  // 2^32 ms would be 0 as an int for poll(2).
  CHECK(client.run_once(std::chrono::milliseconds(std::int64_t{1} << 32)) == 1);
}

}  // namespace
}  // namespace holdfast::ipc
