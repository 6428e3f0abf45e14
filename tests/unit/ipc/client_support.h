// A client of the library at one end of a socketpair, and a supervisor that follows a script at the other.
#pragma once

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <chrono>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ipc/client.h"
#include "ipc/packet.h"
#include "tests/support/ipc_values.h"

namespace holdfast::ipc::testing {

using Clock = std::chrono::steady_clock;

// Only a failing test waits this long.
constexpr std::chrono::seconds kTooLong{20};

inline const ServerHello kHello = {.protocol_version = kProtocolVersion,
                                   .server_version = "9.8.7",
                                   .max_frame_bytes = std::uint64_t{33} << 20,
                                   .max_payload_bytes = std::uint64_t{16} << 20,
                                   .max_calls_in_flight = 1000};

inline std::pair<UniqueFd, UniqueFd> stream_sockets() {
  int fds[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

struct ReceivedCall {
  std::uint64_t id = 0;
  std::string function;
  std::string payload;
};

// The supervisor's end. Reads block for kTooLong at most; then an exception ends the test.
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

  // Receives the next message, which must request a line, answers it with one, and returns the line's id.
  std::uint64_t open_line(const UniqueFd& socket, const CallTimeouts& timeouts) {
    const std::uint64_t id = receive_open_line();
    encode(out_, LineOpened{id, timeouts});
    flush_with(socket);
    return id;
  }
  std::uint64_t receive_open_line() {
    const auto frame = next_frame();
    if (!frame) throw std::runtime_error("the client asks for no line");
    const auto message = decode_client_message(*frame);
    return std::get<OpenLineRequest>(message.value()).id;
  }
  // Sends what put() has queued, and the descriptor with its first byte.
  void flush_with(const UniqueFd& descriptor) {
    const auto sent = send_with_descriptor(socket_, out_.data(), descriptor);
    if (!sent) throw std::runtime_error(sent.error().message());
    out_.consume(*sent);
    flush();
  }
  template <typename Message>
  void put(const Message& message) {
    encode(out_, message);
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

// Runs the supervisor's script in a thread of its own. A script that could not go on fails the test.
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

// A session whose hellos have been exchanged.
inline Session begin_session(const ServerHello& hello = kHello) {
  auto [near, far] = stream_sockets();
  Supervisor supervisor(std::move(far));
  supervisor.send(hello);
  auto client = Client::adopt(std::move(near));
  REQUIRE(client.has_value());
  supervisor.receive();
  return {std::move(supervisor), std::move(*client)};
}

inline CallRequest request(std::string_view payload = "null", std::string_view function = "f") {
  return {.module = "m", .version = "v1", .function = function, .payload = as_bytes(payload)};
}

// The answers that have arrived, by the numbers that the test gave to their calls.
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
  // The answer of a call; fails the test unless there is exactly one.
  const Answer& of(int number) {
    REQUIRE(all_[number].size() == 1);
    return all_[number].front();
  }

 private:
  std::map<int, std::vector<Answer>> all_;
};

inline void run_until_answered(Client& client, const Answers& answers, std::size_t count) {
  const auto give_up = Clock::now() + kTooLong;
  while (answers.count() < count && Clock::now() < give_up) client.run_once(std::chrono::milliseconds(100));
  REQUIRE(answers.count() == count);
}

inline std::string summary(const Error& error) {
  return std::string(to_string(error.code)) + ", executed " + std::string(to_string(error.executed)) +
         (error.retryable ? ", retryable: " : ": ") + error.message;
}
inline std::string summary(const Answer& answer) { return answer ? answer->payload : summary(answer.error()); }

}  // namespace holdfast::ipc::testing
