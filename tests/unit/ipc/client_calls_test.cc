// Requests through the client library, and their answers.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "tests/unit/ipc/client_support.h"

namespace holdfast::ipc {
namespace {

using namespace std::chrono_literals;
using namespace testing;

// --- calls ---------------------------------------------------------------------------------------------------------

TEST_CASE("a call is sent as requested and its result comes back") {
  auto [supervisor, client] = begin_session();
  Answers answers;
  const auto id = client.start({.id = 999,
                                .module = "calculator",
                                .version = "v1",
                                .function = "add",
                                .payload = as_bytes("[1,2]"),
                                .arguments = ArgumentStyle::positional,
                                .timeout = 250ms,
                                .idempotent = true},
                               answers.handler(0));
  CHECK(client.open_calls() == 1);
  client.run_once(0ms);
  CHECK(supervisor.receive() == testing::describe(CallRequest{.id = id,
                                                              .module = "calculator",
                                                              .version = "v1",
                                                              .function = "add",
                                                              .payload = as_bytes("[1,2]"),
                                                              .arguments = ArgumentStyle::positional,
                                                              .timeout = 250ms,
                                                              .idempotent = true}));
  supervisor.answer(id, "3");
  CHECK(client.run_once(1s) == 1);
  CHECK(summary(answers.of(0)) == "3");
  CHECK(client.open_calls() == 0);
}

TEST_CASE("an error arrives with all its fields") {
  auto [supervisor, client] = begin_session();
  const Error error = {.code = ErrorCode::overloaded,
                       .message = "the queue is full",
                       .stack = "at f (m.js:1)",
                       .retryable = true,
                       .executed = Executed::no,
                       .detail = "queue",
                       .retry_after = 20ms};
  Answers answers;
  const auto id = client.start(request(), answers.handler(0));
  supervisor.fail(id, error);
  run_until_answered(client, answers, 1);
  CHECK(testing::describe(answers.of(0).error()) == testing::describe(error));
}

TEST_CASE("many calls in flight that are answered out of order each get their own answer, once") {
  auto [supervisor, client] = begin_session();
  constexpr int kCalls = 5000;
  Script script([&supervisor = supervisor] {
    std::vector<ReceivedCall> calls;
    for (int i = 0; i < kCalls; ++i) calls.push_back(supervisor.receive_call());
    std::shuffle(calls.begin(), calls.end(), std::mt19937_64(1));
    for (const auto& call : calls) supervisor.answer(call.id, "answer to " + call.payload);
  });
  Answers answers;
  for (int i = 0; i < kCalls; ++i) client.start(request(std::to_string(i)), answers.handler(i));
  CHECK(client.open_calls() == kCalls);
  run_until_answered(client, answers, kCalls);
  for (int i = 0; i < kCalls; ++i) REQUIRE(summary(answers.of(i)) == "answer to " + std::to_string(i));
  CHECK(client.open_calls() == 0);
}

TEST_CASE("other calls are answered while one call waits") {
  auto [supervisor, client] = begin_session();
  Script script([&supervisor = supervisor] {
    const auto first = supervisor.receive_call();
    const auto second = supervisor.receive_call();
    supervisor.answer(first.id, "first");
    supervisor.answer(second.id, "second");
  });
  Answers answers;
  client.start(request(), answers.handler(0));
  CHECK(summary(client.call(request())) == "second");
  CHECK(summary(answers.of(0)) == "first");
}

TEST_CASE("an answer that arrives byte by byte is an answer") {
  auto [supervisor, client] = begin_session();
  Answers answers;
  const auto id = client.start(request(), answers.handler(0));
  OutputBuffer out;
  encode_result(out, id, {as_bytes("slow")}, {});
  for (const char byte : as_text(out.data())) {
    CHECK(answers.count() == 0);
    supervisor.send_bytes({&byte, 1});
    client.run_once(1s);
  }
  CHECK(summary(answers.of(0)) == "slow");
}

TEST_CASE("large payloads and results pass, whatever the socket takes at once") {
  auto [supervisor, client] = begin_session();
  Script script([&supervisor = supervisor] {
    const auto call = supervisor.receive_call();
    supervisor.answer(call.id, call.payload);
  });
  std::string large(std::size_t{16} << 20, 'x');
  large[12'345'678] = 'y';
  const Answer answer = client.call(request(large));
  REQUIRE(answer.has_value());
  CHECK((answer->payload == large));
}

TEST_CASE("results beyond the default frame limit arrive when the supervisor announced such frames") {
  ServerHello hello = kHello;
  hello.max_frame_bytes = std::uint64_t{70} << 20;
  auto [supervisor, client] = begin_session(hello);
  const std::string large(std::size_t{40} << 20, 'x');
  Script script([&supervisor = supervisor, &large] { supervisor.answer(supervisor.receive_call().id, large); });
  const Answer answer = client.call(request());
  REQUIRE_MESSAGE(answer.has_value(), summary(answer));
  CHECK((answer->payload == large));
}

TEST_CASE("a payload beyond the supervisor's limit is answered at once, and the session goes on") {
  ServerHello hello = kHello;
  hello.max_payload_bytes = 1000;
  auto [supervisor, client] = begin_session(hello);
  Answers answers;
  client.start(request(std::string(1001, 'x')), answers.handler(0));
  CHECK(answers.count() == 0);
  CHECK(client.unsent_bytes() == 0);
  CHECK(client.run_once(0ms) == 1);
  CHECK(summary(answers.of(0)) ==
        "payload_too_large, executed no: the payload has 1001 bytes; at most 1000 are allowed");
  CHECK(client.connected());
  const auto id = client.start(request(std::string(1000, 'x')), answers.handler(1));
  supervisor.answer(id, "fits");
  run_until_answered(client, answers, 2);
  CHECK(summary(answers.of(1)) == "fits");
}

TEST_CASE("handlers may start further calls") {
  auto [supervisor, client] = begin_session();
  constexpr int kCalls = 100;
  Script script([&supervisor = supervisor] {
    for (int i = 0; i < kCalls; ++i) {
      const auto call = supervisor.receive_call();
      supervisor.answer(call.id, call.payload);
    }
  });
  std::vector<std::string> got;
  std::function<void(Answer)> next = [&, &client = client](Answer answer) {
    got.push_back(summary(answer));
    if (got.size() < kCalls) client.start(request(std::to_string(got.size())), next);
  };
  client.start(request("0"), next);
  const auto give_up = Clock::now() + kTooLong;
  while (client.open_calls() > 0 && Clock::now() < give_up) client.run_once(100ms);
  REQUIRE(got.size() == kCalls);
  CHECK(got.back() == "99");
}

TEST_CASE("an answer carries what its call took, a result as well as an error") {
  const Usage usage = {.queue = 1ms,
                       .load = 2ms,
                       .run = 3ms,
                       .cpu = 4ms,
                       .peak_memory_bytes = 5,
                       .bytes_in = 6,
                       .bytes_out = 7,
                       .attempts = 8,
                       .cold = true};
  auto [supervisor, client] = begin_session();
  Answers answers;
  const auto first = client.start(request(), answers.handler(0));
  const auto second = client.start(request(), answers.handler(1));
  supervisor.answer(first, "1", usage);
  supervisor.fail(second, Error{}, usage);
  run_until_answered(client, answers, 2);
  CHECK(answers.of(0).usage == usage);
  CHECK_FALSE(answers.of(1).has_value());
  CHECK(answers.of(1).usage == usage);
}

TEST_CASE("a call that the connection's end answers has taken nothing") {
  auto [supervisor, client] = begin_session();
  supervisor.close();
  const Answer answer = client.call(request());
  CHECK_FALSE(answer.has_value());
  CHECK(answer.usage == Usage{});
}

TEST_CASE("handlers may make calls and wait for them") {
  auto [supervisor, client] = begin_session();
  Script script([&supervisor = supervisor] {
    const auto first = supervisor.receive_call();
    const auto second = supervisor.receive_call();
    OutputBuffer both;
    encode_result(both, first.id, {as_bytes("first")}, {});
    encode_result(both, second.id, {as_bytes("second")}, {});
    supervisor.send_bytes(as_text(both.data()));
    supervisor.answer(supervisor.receive_call().id, "inner");
  });
  Answers answers;
  std::string inner;
  client.start(request(), [&, &client = client](Answer) { inner = summary(client.call(request())); });
  client.start(request(), answers.handler(1));
  run_until_answered(client, answers, 1);
  CHECK(inner == "inner");
  CHECK(summary(answers.of(1)) == "second");
}

TEST_CASE("a handler is never run by the call that starts it") {
  auto [supervisor, client] = begin_session();
  supervisor.close();
  client.run_once(1s);
  REQUIRE_FALSE(client.connected());
  Answers answers;
  client.start(request(), answers.handler(0));
  CHECK(answers.count() == 0);
  CHECK(client.open_calls() == 1);
  CHECK(client.run_once() == 1);
  CHECK(client.open_calls() == 0);
  CHECK(answers.count() == 1);
}

TEST_CASE("a client that was moved goes on where it was") {
  auto [supervisor, first] = begin_session();
  Answers answers;
  const auto id = first.start(request(), answers.handler(0));
  Client second = std::move(first);
  supervisor.answer(id, "still here");
  run_until_answered(second, answers, 1);
  CHECK(summary(answers.of(0)) == "still here");
}

// --- cancel --------------------------------------------------------------------------------------------------------

TEST_CASE("a cancelled call is told to the supervisor and answered as cancelled") {
  auto [supervisor, client] = begin_session();
  Answers answers;
  const auto id = client.start(request(), answers.handler(0));
  client.cancel(id);
  CHECK(client.run_once(0ms) == 0);
  CHECK(supervisor.receive_call().id == id);
  CHECK(supervisor.receive() == "cancel id=" + std::to_string(id));
  CHECK(client.open_calls() == 1);
  supervisor.fail(id, {.code = ErrorCode::cancelled, .message = "at the client's wish", .stack = {}, .detail = {}});
  run_until_answered(client, answers, 1);
  CHECK(summary(answers.of(0)) == "cancelled, executed no: at the client's wish");
}

TEST_CASE("a result that crosses its cancellation is delivered") {
  auto [supervisor, client] = begin_session();
  Answers answers;
  const auto id = client.start(request(), answers.handler(0));
  supervisor.answer(id, "crossed");
  client.cancel(id);
  run_until_answered(client, answers, 1);
  CHECK(summary(answers.of(0)) == "crossed");
  CHECK(client.connected());
}

TEST_CASE("cancelling a call that is not open sends nothing") {
  auto [supervisor, client] = begin_session();
  Answers answers;
  const auto id = client.start(request(), answers.handler(0));
  supervisor.answer(id, "done");
  run_until_answered(client, answers, 1);
  supervisor.receive_call();
  client.cancel(id);
  client.cancel(12345);
  CHECK(client.unsent_bytes() == 0);
}

// --- workers -------------------------------------------------------------------------------------------------------

std::uint64_t id_in(const std::string& description) {
  return std::stoull(description.substr(description.find("id=") + 3));
}

TEST_CASE("calls are answered while the list of workers is awaited") {
  auto [supervisor, client] = begin_session();
  Answers answers;
  const auto id = client.start(request(), answers.handler(0));
  Script script([&supervisor = supervisor, id] {
    supervisor.receive_call();
    const std::string asked = supervisor.receive();
    supervisor.answer(id, "meanwhile");
    supervisor.send(WorkerList{id_in(asked), {WorkerInfo{.pid = 1}, WorkerInfo{.pid = 2}}});
  });
  const auto list = client.list_workers();
  REQUIRE(list.has_value());
  CHECK(list->workers.size() == 2);
  CHECK(summary(answers.of(0)) == "meanwhile");
}

TEST_CASE("a list of workers asked for within a handler and one asked for around it both arrive") {
  auto [supervisor, client] = begin_session();
  Script script([&supervisor = supervisor] {
    const auto call = supervisor.receive_call();
    const std::string outer = supervisor.receive();
    OutputBuffer both;
    encode(both, WorkerList{id_in(outer), {WorkerInfo{.pid = 1}, WorkerInfo{.pid = 2}}});
    encode_result(both, call.id, {}, {});
    supervisor.send_bytes(as_text(both.data()));
    const std::string inner = supervisor.receive();
    supervisor.send(WorkerList{id_in(inner), {WorkerInfo{.pid = 3}}});
  });
  std::size_t inner_workers = 0;
  client.start(request(), [&, &client = client](Answer) { inner_workers = client.list_workers()->workers.size(); });
  const auto outer = client.list_workers();
  REQUIRE(outer.has_value());
  CHECK(outer->workers.size() == 2);
  CHECK(inner_workers == 1);
}

TEST_CASE("a list of workers that nobody asked for ends the connection") {
  auto [supervisor, client] = begin_session();
  Answers answers;
  client.start(request(), answers.handler(0));
  supervisor.send(WorkerList{99, {}});
  run_until_answered(client, answers, 1);
  CHECK(answers.of(0).error().message.ends_with("a list of workers that was not asked for"));
}

TEST_CASE("calls are answered while statistics are awaited") {
  auto [supervisor, client] = begin_session();
  Answers answers;
  const auto id = client.start(request(), answers.handler(0));
  Script script([&supervisor = supervisor, id] {
    supervisor.receive_call();
    const std::string asked = supervisor.receive();
    supervisor.answer(id, "meanwhile");
    supervisor.send(Stats{id_in(asked), {ModuleStats{.module = "m", .calls = 3}}, StatsTotals{.clients = 2}});
  });
  const auto stats = client.stats();
  REQUIRE(stats.has_value());
  REQUIRE(stats->modules.size() == 1);
  CHECK(stats->modules[0].calls == 3);
  CHECK(stats->totals.clients == 2);
  CHECK(summary(answers.of(0)) == "meanwhile");
}

TEST_CASE("statistics that nobody asked for end the connection") {
  auto [supervisor, client] = begin_session();
  Answers answers;
  client.start(request(), answers.handler(0));
  supervisor.send(Stats{});
  run_until_answered(client, answers, 1);
  CHECK(answers.of(0).error().message.ends_with("statistics that were not asked for"));
}

TEST_CASE("a supervisor that goes away instead of listing its workers is an error") {
  auto [supervisor, client] = begin_session();
  Answers answers;
  client.start(request(), answers.handler(0));
  Script script([&supervisor = supervisor] {
    supervisor.receive_call();
    supervisor.receive();
    supervisor.close();
  });
  const auto list = client.list_workers();
  REQUIRE_FALSE(list.has_value());
  CHECK(list.error().code == ErrorCode::unavailable);
  CHECK(answers.count() == 1);
}

}  // namespace
}  // namespace holdfast::ipc
