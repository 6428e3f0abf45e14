// A scripted client and a scripted owner around a real ClientSession on a real socket. Everything happens at once in
// one thread: after settle() nothing is pending.
#pragma once

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <cerrno>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "ipc/base/unique_fd.h"
#include "ipc/client_messages.h"
#include "ipc/frame.h"
#include "supervisor/client_session.h"
#include "supervisor/net/event_loop.h"
#include "supervisor/net/turn.h"
#include "supervisor/settings/allowed_users.h"
#include "tests/support/ipc_values.h"
#include "tests/unit/supervisor/test_support.h"

namespace holdfast::supervisor::testing {

template <typename Message>
std::string encoded(const Message& message) {
  ipc::OutputBuffer out;
  encode(out, message);
  return std::string(ipc::as_text(out.data()));
}

inline std::string hello(std::string_view name = "test", std::uint16_t version = ipc::kProtocolVersion) {
  return encoded(ipc::ClientHello{version, name});
}
inline std::string call(std::uint64_t id, std::string_view payload = "") {
  return encoded(
      ipc::CallRequest{.id = id, .module = "m", .version = "v1", .function = "f", .payload = ipc::as_bytes(payload)});
}
inline std::string cancel(std::uint64_t id) { return encoded(ipc::CancelRequest{id}); }
inline std::string list_workers(std::uint64_t id) { return encoded(ipc::ListWorkersRequest{id}); }

inline std::string stats(std::uint64_t id) { return encoded(ipc::StatsRequest{id}); }

inline std::string source(std::uint64_t id, const ipc::SourceOutcome& outcome) {
  return encoded(ipc::SourceReply{id, outcome});
}

inline std::pair<UniqueFd, UniqueFd> connected_sockets() {
  int fds[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

// The client's end. Sends its queued messages as far as the socket takes them; reads only when told to.
class ScriptedClient {
 public:
  explicit ScriptedClient(UniqueFd socket) : socket_(std::move(socket)) {}

  void send(std::string_view bytes) { out_ += bytes; }

  // Sends what the socket takes; returns whether anything was sent.
  bool flush() {
    std::size_t sent = 0;
    while (sent < out_.size()) {
      const ssize_t count = ::send(socket_.get(), out_.data() + sent, out_.size() - sent, MSG_NOSIGNAL);
      if (count <= 0) {
        if (errno != EAGAIN) out_.clear();  // the session is closed
        break;
      }
      sent += static_cast<std::size_t>(count);
    }
    out_.erase(0, std::min(sent, out_.size()));
    return sent > 0;
  }
  std::size_t unsent_bytes() const { return out_.size(); }

  // Whether unread bytes have arrived.
  bool has_mail() const {
    char byte;
    return ::recv(socket_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
  }

  // Reads what has arrived; returns whether that was anything.
  bool receive() {
    bool any = false;
    while (!ended_) {
      const auto space = in_.prepare();
      const ssize_t count = ::recv(socket_.get(), space.data(), space.size(), MSG_DONTWAIT);
      if (count < 0 && errno == EAGAIN) break;
      if (count <= 0) {
        ended_ = true;
        break;
      }
      any = true;
      in_.commit(static_cast<std::size_t>(count));
      for (;;) {
        auto frame = in_.next();
        REQUIRE(frame.has_value());
        if (!frame->has_value()) break;
        const auto message = ipc::decode_server_message(**frame);
        REQUIRE(message.has_value());
        received_.push_back(*message);
      }
    }
    return any;
  }

  // The messages since the last call of this function, a word or two for each: "hello", "answer 7 ok", "answer 7
  // cancelled", "workers 3", "stats 4 of 2", "loader 5 registered", "wanted 6 m@v1", "line 8 TEXT", "logs 8
  // subscribed", "protocol error: …", "end".
  std::vector<std::string> news() {
    receive();
    std::vector<std::string> all;
    for (const auto& message : received_) all.push_back(describe(message));
    received_.clear();
    if (ended_ && !told_end_) all.push_back("end");
    told_end_ = ended_;
    return all;
  }

  // The statistics that were received since the last call of this function.
  std::vector<ipc::Stats> statistics() {
    receive();
    std::vector<ipc::Stats> all;
    for (auto& message : std::exchange(received_, {})) {
      if (auto* stats = std::get_if<ipc::Stats>(&message)) all.push_back(std::move(*stats));
    }
    return all;
  }

  // The usage in answers that were received since the last call of this function.
  std::vector<ipc::Usage> usages() {
    receive();
    std::vector<ipc::Usage> all;
    for (const auto& message : std::exchange(received_, {})) {
      if (const auto* answer = std::get_if<ipc::AnswerView>(&message)) all.push_back(answer->usage);
    }
    return all;
  }

  void close() { socket_.reset(); }
  int fd() const { return socket_.get(); }

 private:
  static std::string describe(const ipc::ServerMessage& message) {
    if (std::holds_alternative<ipc::ServerHello>(message)) return "hello";
    if (const auto* list = std::get_if<ipc::WorkerList>(&message)) return "workers " + std::to_string(list->id);
    if (const auto* stats = std::get_if<ipc::Stats>(&message)) {
      return "stats " + std::to_string(stats->id) + " of " + std::to_string(stats->modules.size());
    }
    if (const auto* registered = std::get_if<ipc::LoaderRegistered>(&message)) {
      return "loader " + std::to_string(registered->id) + (registered->error ? " refused" : " registered");
    }
    if (const auto* wanted = std::get_if<ipc::SourceWanted>(&message)) {
      return "wanted " + std::to_string(wanted->id) + " " + to_string(wanted->name);
    }
    if (const auto* line = std::get_if<ipc::LogRecordMessage>(&message)) {
      const bool of_call = line->purpose == ipc::LogRecordMessage::For::call;
      return (of_call ? "line of call " : "line ") + std::to_string(line->id) + " " + line->record.text;
    }
    if (const auto* subscribed = std::get_if<ipc::LogsSubscribed>(&message)) {
      return "logs " + std::to_string(subscribed->id) + (subscribed->error ? " refused" : " subscribed");
    }
    if (const auto* opened = std::get_if<ipc::LineOpened>(&message)) {
      const bool is_refused = std::holds_alternative<ipc::Error>(opened->outcome);
      return "direct line " + std::to_string(opened->id) + (is_refused ? " refused" : " opened");
    }
    if (const auto* ended = std::get_if<ipc::LineEnded>(&message)) {
      return "direct line " + std::to_string(ended->line) + " ended at " + std::to_string(ended->started);
    }
    if (const auto* violation = std::get_if<ipc::ProtocolViolation>(&message)) {
      return "protocol error: " + violation->message;
    }
    const auto& answer = std::get<ipc::AnswerView>(message);
    const auto* error = std::get_if<ipc::Error>(&answer.outcome);
    return "answer " + std::to_string(answer.id) + " " +
           (error == nullptr ? "ok" : std::string(to_string(error->code)));
  }

  UniqueFd socket_;
  std::string out_;
  ipc::FrameReader in_{ClientSession::kFrameLimits};
  std::vector<ipc::ServerMessage> received_;
  bool ended_ = false;
  bool told_end_ = false;
};

// Holds every call until the test finishes it, unless `at_call` does something else at once.
class ScriptedOwner final : public ClientRequests {
 public:
  struct Held {
    std::uint64_t client_id = 0;
    std::size_t bytes = 0;
  };

  void client_called(ClientSession& client, const ipc::CallRequest& request) override {
    CHECK(session.get() == &client);
    called.push_back(request.id);
    if (at_call) return at_call(client, request);
    hold(client, request);
  }
  void client_cancelled(ClientSession& client, CallId call) override {
    CHECK(session.get() == &client);
    cancelled.push_back(held.at(call).client_id);
    finish(call, ipc::ErrorCode::cancelled);
  }
  void client_granted(CallId call, std::uint64_t bytes) override {
    granted.emplace_back(held.at(call).client_id, bytes);
  }
  void line_wanted(ClientSession& client, const ipc::OpenLineRequest& request) override {
    CHECK(session.get() == &client);
    const CallId line{++last_call_};
    held.emplace(line, Held{request.id, 0});
    client.opened(request.id, line, 0);
    lines.push_back(request.id);
  }
  void line_call_overdue(CallId line, std::uint64_t call, LineCallLateness) override {
    overdue.emplace_back(held.at(line).client_id, call);
  }
  void workers_wanted(ClientSession& client, std::uint64_t id) override {
    CHECK(session.get() == &client);
    ++lists;
    client.show_workers(id, list);
  }
  void stats_wanted(ClientSession& client, std::uint64_t id) override { client.show_stats(id, statistics); }
  void loader_registered(ClientSession& client, std::uint64_t id, std::chrono::nanoseconds timeout) override {
    CHECK(session.get() == &client);
    loader_timeout = timeout;
    client.answer_registration(id, loader_error);
  }
  void source_given(ClientSession& client, std::uint64_t id, const ipc::SourceOutcome& outcome) override {
    CHECK(session.get() == &client);
    given.push_back(ipc::testing::describe(ipc::SourceReply{id, outcome}));
  }
  void logs_wanted(ClientSession& client, const ipc::SubscribeLogsRequest& request) override {
    CHECK(session.get() == &client);
    for (const auto& record : past_lines) client.show_line(request.id, record);
    if (request.follow) {
      client.follow_logs(request.id, {std::string(request.module), std::string(request.version)});
    }
    client.answer_subscription(request.id, logs_error);
  }
  // Releases the session, as the supervisor does.
  void client_left(ClientSession& client) override {
    CHECK(session.get() == &client);
    ++left;
    open_when_left = client.open_calls().size();
    session.reset();
  }

  void hold(ClientSession& client, const ipc::CallRequest& request) {
    const CallId call{++last_call_};
    held.emplace(call, Held{request.id, request.payload.size()});
    client.opened(request.id, call, request.payload.size());
  }
  void finish(CallId call, std::string_view payload) {
    const Held done = take(call);
    if (session) session->answer(done.client_id, ipc::ResultView{ipc::as_bytes(payload)}, {}, done.bytes);
  }
  void finish(CallId call, ipc::ErrorCode code) {
    const Held done = take(call);
    ipc::Error error;
    error.code = code;
    if (session) session->answer(done.client_id, error, {}, done.bytes);
  }
  // Answers the call with the lowest id among the held ones.
  void finish_first(std::string_view payload = "1") { finish(held.begin()->first, payload); }

  std::shared_ptr<ClientSession> session;
  std::function<void(ClientSession&, const ipc::CallRequest&)> at_call;
  ipc::WorkerList list;
  ipc::Stats statistics;
  std::vector<std::uint64_t> lines;                              // requested lines
  std::vector<std::pair<std::uint64_t, std::uint64_t>> overdue;  // line and call
  std::optional<ipc::Error> loader_error;                        // the answer to registrations
  std::optional<std::chrono::nanoseconds> loader_timeout;
  std::optional<ipc::Error> logs_error;  // the answer to subscriptions
  std::vector<ipc::LogRecord> past_lines;
  std::vector<std::string> given;  // sources

  std::vector<std::uint64_t> called, cancelled;  // by the client's ids
  std::vector<std::pair<std::uint64_t, std::uint64_t>> granted;
  std::map<CallId, Held> held;
  int lists = 0;
  int left = 0;
  std::size_t open_when_left = 0;

 private:
  Held take(CallId call) {
    const Held done = held.at(call);
    held.erase(call);
    return done;
  }

  std::uint64_t last_call_ = 0;
};

// A session between the two, started.
struct SessionFixture {
  SessionFixture() : SessionFixture(connected_sockets()) {}

  // Runs until nothing moves any more. The client does not read by itself.
  void settle() {
    for (bool moved = true; moved;) {
      moved = client.flush();
      io.restart();
      moved |= run_ready(io, turn);
    }
  }
  // Runs until nothing moves any more, with a client that reads all the time.
  void settle_reading() {
    for (bool moved = true; moved;) {
      settle();
      moved = client.receive();
    }
  }
  void send(std::string_view bytes) {
    client.send(bytes);
    settle();
  }
  void greet() {
    send(hello());
    REQUIRE(client.news() == std::vector<std::string>{"hello"});
  }

  QuietLog quiet;
  boost::asio::io_context io;
  Turn turn;
  std::shared_ptr<ClientAccounts> accounts = std::make_shared<ClientAccounts>(100, std::uint64_t{512} << 20);
  ScriptedOwner owner;
  ScriptedClient client;
  std::weak_ptr<ClientSession> watched;

 private:
  explicit SessionFixture(std::pair<UniqueFd, UniqueFd> ends) : client(std::move(ends.first)) {
    Connection::Socket socket(io);
    socket.assign(boost::asio::local::stream_protocol(), ends.second.release());
    owner.session = std::make_shared<ClientSession>(ClientId{7}, turn, std::move(socket), owner, accounts);
    watched = owner.session;
    owner.session->start();
  }
};

inline AllowedUsers only_user(uid_t user) {
  AllowedUsers users;
  users.add(user);
  return users;
}

using Lines = std::vector<std::string>;
using Ids = std::vector<std::uint64_t>;

inline Ids ids_from_1_to(std::uint64_t last) {
  Ids ids(last);
  std::iota(ids.begin(), ids.end(), 1);
  return ids;
}

// Checks the end of a session after a violation: the messages before it, the reason, the end of the stream, and that
// the owner was told once.
inline void check_cut_off(SessionFixture& session, const std::string& text, const Lines& before = {}) {
  Lines expected = before;
  expected.push_back("protocol error: " + text);
  expected.push_back("end");
  CHECK(session.client.news() == expected);
  CHECK(session.owner.left == 1);
  CHECK(session.watched.expired());
}

}  // namespace holdfast::supervisor::testing
