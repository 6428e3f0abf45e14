// The client library against a supervisor that follows a script, at the other end of a socketpair.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <ostream>
#include <poll.h>
#include <pthread.h>
#include <random>
#include <signal.h>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "ipc/client.h"
#include "tests/fuzz/ipc_values.h"

namespace holdfast::ipc {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// Only a test that fails waits this long.
constexpr auto kTooLong = 20s;

const ServerHello kHello = {.protocol_version = kProtocolVersion,
                            .server_version = "9.8.7",
                            .max_frame_bytes = std::uint64_t{33} << 20,
                            .max_payload_bytes = std::uint64_t{16} << 20,
                            .max_calls_in_flight = 1000};

std::pair<UniqueFd, UniqueFd> stream_sockets() {
  int fds[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

struct ReceivedCall {
  std::uint64_t id = 0;
  std::string function;
  std::string payload;
};

// The supervisor's end. Blocks, but not for ever: a script that waits in vain ends the test with an exception.
class Supervisor {
 public:
  explicit Supervisor(UniqueFd socket) : socket_(std::move(socket)) {
    const timeval limit = {std::chrono::seconds(kTooLong).count(), 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  }

  template <typename Message>
  void send(const Message& message) {
    encode(out_, message);
    flush();
  }
  void answer(std::uint64_t id, std::string_view payload, const Usage& usage = {}) {
    encode_result(out_, id, {as_bytes(payload)}, usage);
    flush();
  }
  void fail(std::uint64_t id, const Error& error, const Usage& usage = {}) {
    encode_error(out_, id, error, usage);
    flush();
  }
  void send_bytes(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) throw std::runtime_error("the client takes no bytes");
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
  }

  // The next message as text, or "end".
  std::string receive() {
    const auto frame = next_frame();
    if (!frame) return "end";
    const auto message = decode_client_message(*frame);
    return message ? testing::describe(*message) : message.error().message;
  }
  ReceivedCall receive_call() {
    const auto frame = next_frame();
    if (!frame) throw std::runtime_error("the client closed the connection instead of making a call");
    const auto message = decode_client_message(*frame);
    const auto& call = std::get<CallRequest>(message.value());
    return {call.id, std::string(call.function), std::string(as_text(call.payload))};
  }

  void close() { socket_.reset(); }
  int fd() const { return socket_.get(); }

 private:
  void flush() {
    send_bytes(as_text(out_.data()));
    out_.consume(out_.size_bytes());
  }

  std::optional<Frame> next_frame() {
    while (true) {
      auto frame = in_.next();
      if (!frame) throw std::runtime_error(frame.error().message);
      if (*frame) return **frame;
      const auto space = in_.prepare();
      const ssize_t count = ::recv(socket_.get(), space.data(), space.size(), 0);
      if (count < 0) throw std::runtime_error("the client sent nothing");
      if (count == 0) return std::nullopt;
      in_.commit(static_cast<std::size_t>(count));
    }
  }

  UniqueFd socket_;
  FrameReader in_;
  OutputBuffer out_;
};

// What the supervisor does meanwhile. A script that could not go on fails the test.
class Script {
 public:
  template <typename Steps>
  explicit Script(Steps steps)
      : thread_([this, steps]() mutable {
          try {
            steps();
          } catch (const std::exception& exception) {
            failure_ = exception.what();
          }
        }) {}
  ~Script() {
    thread_.join();
    CHECK_MESSAGE(failure_.empty(), failure_);
  }

 private:
  std::string failure_;
  std::thread thread_;
};

struct Session {
  Supervisor supervisor;
  Client client;
};

// A session past its hellos.
Session begin_session(const ServerHello& hello = kHello) {
  auto [near, far] = stream_sockets();
  Supervisor supervisor(std::move(far));
  supervisor.send(hello);
  auto client = Client::adopt(std::move(near));
  REQUIRE(client.has_value());
  supervisor.receive();
  return {std::move(supervisor), std::move(*client)};
}

CallRequest request(std::string_view payload = "null", std::string_view function = "f") {
  return {.module = "m", .version = "v1", .function = function, .payload = as_bytes(payload)};
}

// The answers that arrived, by the number that the test gave to the call.
class Answers {
 public:
  AnswerHandler handler(int number) {
    return [this, number](Answer answer) { all_[number].push_back(std::move(answer)); };
  }
  std::size_t count() const {
    std::size_t sum = 0;
    for (const auto& [number, answers] : all_) sum += answers.size();
    return sum;
  }
  // The one answer of a call.
  const Answer& of(int number) {
    REQUIRE(all_[number].size() == 1);
    return all_[number].front();
  }

 private:
  std::map<int, std::vector<Answer>> all_;
};

void run_until_answered(Client& client, const Answers& answers, std::size_t count) {
  const auto give_up = Clock::now() + kTooLong;
  while (answers.count() < count && Clock::now() < give_up) client.run_once(100ms);
  REQUIRE(answers.count() == count);
}

std::string summary(const Error& error) {
  return std::string(to_string(error.code)) + ", executed " + std::string(to_string(error.executed)) +
         (error.retryable ? ", retryable: " : ": ") + error.message;
}
std::string summary(const Answer& answer) { return answer ? answer->payload : summary(answer.error()); }

// --- hello ---------------------------------------------------------------------------------------------------------

TEST_CASE("hellos are exchanged first, and the client knows what the supervisor said") {
  auto [near, far] = stream_sockets();
  Supervisor supervisor(std::move(far));
  supervisor.send(kHello);
  const auto client = Client::adopt(std::move(near), {.name = "a test 1.0"});
  REQUIRE(client.has_value());
  CHECK(supervisor.receive() == "client hello version=2 name=10:a test 1.0");
  CHECK(testing::describe(client->server()) == testing::describe(kHello));
  CHECK(client->connected());
  CHECK(client->open_calls() == 0);
  CHECK(client->unsent_bytes() == 0);
}

TEST_CASE("a supervisor of another protocol version is refused, and both versions are named") {
  for (const std::uint16_t version : {std::uint16_t{0}, std::uint16_t{kProtocolVersion + 1}, std::uint16_t{0xFFFF}}) {
    auto [near, far] = stream_sockets();
    Supervisor supervisor(std::move(far));
    ServerHello hello = kHello;
    hello.protocol_version = version;
    supervisor.send(hello);
    const auto client = Client::adopt(std::move(near));
    REQUIRE_FALSE(client.has_value());
    CHECK(client.error().reason == ConnectError::Reason::version_mismatch);
    CHECK(client.error().message == "the supervisor (holdfastd 9.8.7) speaks protocol version " +
                                        std::to_string(version) + ", this client speaks " +
                                        std::to_string(kProtocolVersion));
  }
}

TEST_CASE("a version mismatch is told as such also when the supervisor ends the session right after its hello") {
  auto [near, far] = stream_sockets();
  Supervisor supervisor(std::move(far));
  ServerHello hello = kHello;
  hello.protocol_version = kProtocolVersion + 1;
  OutputBuffer out;
  encode(out, hello);
  encode(out, ProtocolViolation{"protocol version 1 is too old"});
  supervisor.send_bytes(as_text(out.data()));
  supervisor.close();
  const auto client = Client::adopt(std::move(near));
  REQUIRE_FALSE(client.has_value());
  CHECK(client.error().reason == ConnectError::Reason::version_mismatch);
}

TEST_CASE("a supervisor that refuses the session instead of a hello is quoted") {
  auto [near, far] = stream_sockets();
  Supervisor supervisor(std::move(far));
  supervisor.send(ProtocolViolation{"too many clients"});
  supervisor.close();
  const auto client = Client::adopt(std::move(near));
  REQUIRE_FALSE(client.has_value());
  CHECK(client.error().reason == ConnectError::Reason::protocol_error);
  CHECK(client.error().message == "the supervisor ended the session: too many clients");
}

TEST_CASE("a session that ends before the hello is an error") {
  auto [near, far] = stream_sockets();
  far.reset();
  const auto client = Client::adopt(std::move(near));
  REQUIRE_FALSE(client.has_value());
  CHECK(client.error().reason == ConnectError::Reason::protocol_error);
  CHECK(client.error().message == "the supervisor ended the session: it was closed");
}

TEST_CASE("something else than a supervisor at the other end is an error") {
  auto [near, far] = stream_sockets();
  Supervisor supervisor(std::move(far));
  supervisor.send_bytes("HTTP/1.1 400 Bad Request\r\n\r\n");
  const auto client = Client::adopt(std::move(near));
  REQUIRE_FALSE(client.has_value());
  CHECK(client.error().reason == ConnectError::Reason::protocol_error);
  CHECK(client.error().message.find("the supervisor ended the session: the frame has") == 0);
}

TEST_CASE("a supervisor that says nothing is given up after the hello's timeout") {
  auto [near, far] = stream_sockets();
  const auto begin = Clock::now();
  const auto client = Client::adopt(std::move(near), {.hello_timeout = 50ms});
  const auto took = Clock::now() - begin;
  REQUIRE_FALSE(client.has_value());
  CHECK(client.error().reason == ConnectError::Reason::cannot_connect);
  CHECK(client.error().message == "the supervisor did not answer within 50 ms");
  CHECK(took >= 50ms);
  CHECK(took < kTooLong);
}

TEST_CASE("a signal that arrives during the hello does not end the attempt") {
  struct sigaction action = {};
  action.sa_handler = [](int) {};
  REQUIRE(::sigaction(SIGUSR1, &action, nullptr) == 0);
  auto [near, far] = stream_sockets();
  Supervisor supervisor(std::move(far));
  const pthread_t client_thread = ::pthread_self();
  Script script([&] {
    supervisor.receive();
    for (int i = 0; i < 20; ++i) {
      ::pthread_kill(client_thread, SIGUSR1);
      std::this_thread::sleep_for(1ms);  // there is no event that tells that the client has gone to wait again
    }
    supervisor.send(kHello);
  });
  const auto client = Client::adopt(std::move(near));
  CHECK_MESSAGE(client.has_value(), (client ? "" : client.error().message));
}

// --- connect -------------------------------------------------------------------------------------------------------

// A listening socket in a folder of its own, removed at the end.
class Listener {
 public:
  explicit Listener(int backlog) {
    std::string directory = (std::filesystem::temp_directory_path() / "holdfast-test-XXXXXX").string();
    REQUIRE(::mkdtemp(directory.data()) != nullptr);
    directory_ = directory;
    sockaddr_un address = this->address();
    socket_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::listen(socket_.get(), backlog) == 0);
  }
  ~Listener() { std::filesystem::remove_all(directory_); }

  std::string path() const { return (directory_ / "s").string(); }
  sockaddr_un address() const {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    path().copy(address.sun_path, sizeof address.sun_path - 1);
    return address;
  }
  UniqueFd accept() { return UniqueFd(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC)); }
  void close() { socket_.reset(); }

 private:
  std::filesystem::path directory_;
  UniqueFd socket_;
};

TEST_CASE("a client connects by the socket's path") {
  Listener listener(5);
  Script script([&] {
    Supervisor supervisor(listener.accept());
    supervisor.receive();
    supervisor.send(kHello);
    const auto call = supervisor.receive_call();
    supervisor.answer(call.id, call.payload);
  });
  auto client = Client::connect(listener.path());
  REQUIRE(client.has_value());
  CHECK(summary(client->call(request("42"))) == "42");
}

TEST_CASE("where nobody listens, the error names the socket and says what to do") {
  const auto client = Client::connect("/nowhere/holdfast.sock");
  REQUIRE_FALSE(client.has_value());
  CHECK(client.error().reason == ConnectError::Reason::cannot_connect);
  CHECK(client.error().message ==
        "cannot connect to /nowhere/holdfast.sock: No such file or directory; is holdfastd running?");
}

TEST_CASE("a socket path that no address can hold is an error that says so") {
  const auto client = Client::connect(std::string(108, 'x'));
  REQUIRE_FALSE(client.has_value());
  CHECK(client.error().reason == ConnectError::Reason::cannot_connect);
  CHECK(client.error().message.find("has 108 bytes; at most 107 are possible") != std::string::npos);
}

TEST_CASE("a supervisor that no longer accepts connections is given up after the hello's timeout") {
  Listener listener(0);
  const sockaddr_un address = listener.address();
  std::vector<UniqueFd> waiting;
  while (true) {
    waiting.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (::connect(waiting.back().get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) break;
  }
  std::atomic<bool> done = false;
  Script rescue([&] {
    const auto give_up = Clock::now() + 5s;
    while (!done && Clock::now() < give_up) std::this_thread::sleep_for(1ms);
    if (!done) listener.close();
  });
  const auto begin = Clock::now();
  const auto client = Client::connect(listener.path(), {.hello_timeout = 50ms});
  CHECK(Clock::now() - begin < 4s);
  done = true;
  REQUIRE_FALSE(client.has_value());
  CHECK(client.error().reason == ConnectError::Reason::cannot_connect);
  CHECK(client.error().message == "the supervisor at " + listener.path() + " did not accept a connection within 50 ms");
}

// --- calls ---------------------------------------------------------------------------------------------------------

TEST_CASE("a call is sent as it was asked for, and its result comes back") {
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

TEST_CASE("an error arrives with all that was said of it") {
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

TEST_CASE("a call that waits lets other calls be answered meanwhile") {
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
        "payload_too_large, executed no: the payload has 1001 bytes; the supervisor accepts at most 1000");
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

TEST_CASE("a result that crossed the cancellation is delivered") {
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

TEST_CASE("the supervisor's last words are read even when it no longer takes what is still to be sent") {
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

  // So that a client that waits for ever fails the test instead of hanging it.
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

TEST_CASE("a timeout of weeks is a timeout of weeks") {
  auto [supervisor, client] = begin_session();
  Answers answers;
  const auto id = client.start(request(), answers.handler(0));
  client.run_once(0ms);
  Script script([&supervisor = supervisor, id] {
    supervisor.receive_call();
    std::this_thread::sleep_for(20ms);  // the client is to be found waiting
    supervisor.answer(id, "late");
  });
  // 2^32 ms, which is 0 in poll(2)'s int.
  CHECK(client.run_once(std::chrono::milliseconds(std::int64_t{1} << 32)) == 1);
}

// --- workers -------------------------------------------------------------------------------------------------------

std::uint64_t id_in(const std::string& description) {
  return std::stoull(description.substr(description.find("id=") + 3));
}

TEST_CASE("the list of workers arrives, and calls are answered meanwhile") {
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

TEST_CASE("statistics arrive, and calls are answered meanwhile") {
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
