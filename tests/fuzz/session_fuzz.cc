// A client's session with a client that sends anything, and an owner that answers, refuses, holds or disconnects as the
// input says. The input is a script, one step after another:
//   a step's number, then its arguments: a call's id, a length, bytes that are sent as they are
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "ipc/base/unique_fd.h"
#include "ipc/client_messages.h"
#include "supervisor/client_session.h"
#include "supervisor/net/event_loop.h"
#include "tests/support/ipc_values.h"

namespace {

using namespace holdfast;
using supervisor::CallId;
using supervisor::ClientRequests;
using supervisor::ClientSession;
using supervisor::LineCallLateness;

void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

class Script {
 public:
  explicit Script(std::string_view input) : left_(input) {}
  bool over() const { return left_.empty(); }
  std::uint8_t byte() {
    if (left_.empty()) return 0;
    const auto value = static_cast<std::uint8_t>(left_.front());
    left_.remove_prefix(1);
    return value;
  }
  std::string_view bytes(std::size_t count) {
    const auto taken = left_.substr(0, count);
    left_.remove_prefix(taken.size());
    return taken;
  }

 private:
  std::string_view left_;
};

template <typename Message>
std::string encoded(const Message& message) {
  ipc::OutputBuffer out;
  encode(out, message);
  return std::string(ipc::as_text(out.data()));
}

// A socket buffer holds more than this.
constexpr int kLeastRoom = 64 << 10;

// How the owner handles the next calls.
enum class Manner : std::uint8_t { hold, answer, answer_large, refuse, cut_off, end };

class Owner final : public ClientRequests {
 public:
  void client_called(ClientSession& client, const ipc::CallRequest& call) override {
    check(client);
    expect(!held_.contains(call.id), "no two calls with one id are open");
    expect(held_.size() < ClientSession::kMaxCallsInFlight, "no more calls are handed over than may be open");
    ++unanswered[call.id];
    switch (manner) {
      case Manner::hold: {
        const CallId id{++last_call_};
        held_[call.id] = {id, call.payload.size()};
        return client.opened(call.id, id, call.payload.size());
      }
      case Manner::answer:
        return client.answer(call.id, ipc::ResultView{call.payload}, {}, 0);
      case Manner::answer_large: {
        static const std::string large(std::size_t{100} << 10, 'x');
        return client.answer(call.id, ipc::ResultView{ipc::as_bytes(large)}, {}, 0);
      }
      case Manner::refuse: {
        ipc::Error error;
        error.message = call.function;
        return client.answer(call.id, error);
      }
      default:
        was_cut_off = true;
        return client.cut_off("at the owner's wish");
    }
  }

  void client_cancelled(ClientSession& client, CallId call) override {
    check(client);
    for (const auto& [client_id, held] : held_) {
      if (held.call != call) continue;
      ipc::Error error;
      error.code = ipc::ErrorCode::cancelled;
      return finish(client_id, error);
    }
    expect(false, "only a call that is open is cancelled");
  }

  void client_granted(CallId call, std::uint64_t) override {
    for (const auto& [client_id, held] : held_) {
      if (held.call == call) return;
    }
    expect(false, "only a call that is open is granted more");
  }

  void line_wanted(ClientSession& client, const ipc::OpenLineRequest& request) override {
    check(client);
    expect(!held_.contains(request.id), "no two calls with one id are open");
    client.refuse_line(request.id, {});
  }

  void line_call_overdue(CallId call, std::uint64_t, LineCallLateness) override {
    for (const auto& [client_id, held] : held_) {
      if (held.call == call) return;
    }
    expect(false, "only a line that is open has calls");
  }

  void workers_wanted(ClientSession& client, std::uint64_t id) override {
    check(client);
    ++lists;
    ipc::WorkerList list;
    list.workers.resize(20);
    client.show_workers(id, std::move(list));
  }

  void stats_wanted(ClientSession& client, std::uint64_t id) override {
    check(client);
    ++statistics;
    ipc::Stats all;
    all.modules.resize(20);
    client.show_stats(id, std::move(all));
  }

  void logs_wanted(ClientSession& client, const ipc::SubscribeLogsRequest& request) override {
    check(client);
    const ipc::LogRecord record{.text = std::string(100, 'x')};
    client.show_line(request.id, record);
    if (request.follow) client.follow_logs(request.id, {std::string(request.module), std::string(request.version)});
    client.answer_subscription(request.id, std::nullopt);
    client.show_line(record);
  }

  void loader_registered(ClientSession& client, std::uint64_t id, std::chrono::nanoseconds) override {
    check(client);
    ++registrations;
    client.answer_registration(id, id % 2 == 0 ? std::nullopt : std::optional(ipc::Error{}));
  }

  void source_given(ClientSession& client, std::uint64_t id, const ipc::SourceOutcome& outcome) override {
    check(client);
    expect(wanted_.erase(id) == 1, "a source is given once, and only if it is wanted");
    if (const auto* code = std::get_if<ipc::SourceCode>(&outcome)) {
      expect(!code->file_name.empty() && code->file_name.size() < 2048, "a source has a file's name");
    }
  }

  void want_source(std::uint64_t id) {
    if (!session || !session->greeted() || !wanted_.insert(id).second) return;
    wanted_any = true;
    session->want_source(id, {"m", "v1"});
  }
  void give_up_source(std::uint64_t id) {
    if (session && wanted_.erase(id) > 0) session->give_up_source(id);
  }

  void client_left(ClientSession& client) override {
    check(client);
    expect(client.open_calls().size() == held_.size(), "the calls that are open when a client leaves are noted");
    session.reset();
    held_.clear();
    wanted_.clear();
  }

  // Answers the open call with the lowest id, if there is one.
  void answer_one(bool with_error) {
    if (held_.empty()) return;
    const std::uint64_t id = held_.begin()->first;
    if (with_error) {
      finish(id, ipc::Error{});
    } else {
      finish(id, ipc::ResultView{});
    }
  }
  bool holds_any() const { return !held_.empty(); }

  std::shared_ptr<ClientSession> session;
  Manner manner = Manner::hold;
  bool was_cut_off = false;
  bool wanted_any = false;
  std::map<std::uint64_t, std::uint64_t> unanswered;  // by the client's id: calls minus answers
  std::uint64_t lists = 0;                            // requests minus answers
  std::uint64_t statistics = 0;                       // the same
  std::uint64_t registrations = 0;                    // the same

 private:
  struct Held {
    CallId call{};
    std::size_t bytes = 0;
  };

  void check(ClientSession& client) const {
    expect(session.get() == &client, "nothing is heard of a session after its client left");
  }

  template <typename Outcome>
  void finish(std::uint64_t id, const Outcome& outcome) {
    const std::size_t bytes = held_.at(id).bytes;
    held_.erase(id);
    session->answer(id, outcome, {}, bytes);
  }

  std::map<std::uint64_t, Held> held_;  // by the client's id
  std::set<std::uint64_t> wanted_;      // sources
  std::uint64_t last_call_ = 0;
};

class World {
 public:
  World() {
    int ends[2];
    expect(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0, "there are sockets");
    client_.reset(ends[0]);
    supervisor::Connection::Socket socket(io_);
    socket.assign(boost::asio::local::stream_protocol(), ends[1]);
    owner_.session =
        std::make_shared<ClientSession>(supervisor::ClientId{1}, turn_, std::move(socket), owner_, accounts_);
    session_ = owner_.session;
    owner_.session->start();
  }

  void run(Script script) {
    while (!script.over()) step(script);
    finish();
  }

 private:
  void step(Script& script) {
    switch (script.byte() % 19) {
      case 0:
        return send(encoded(ipc::ClientHello{ipc::kProtocolVersion, script.bytes(script.byte() % 80)}));
      case 1:
        return send(encoded(ipc::ClientHello{script.byte(), "other"}));
      case 2:
        return send(call(script.byte(), script.bytes(script.byte())));
      case 3: {
        const std::size_t count = std::size_t{script.byte()} * 5;
        const std::uint64_t first = std::uint64_t{script.byte()} << 8;
        for (std::size_t i = 0; i < count; ++i) send(call(first + i, ""));
        return;
      }
      case 4: {
        static const std::string large(std::size_t{256} << 10, 'x');
        return send(call(script.byte(), std::string_view(large).substr(0, std::size_t{script.byte()} << 10)));
      }
      case 5:
        return send(encoded(ipc::CancelRequest{script.byte()}));
      case 6:
        for (std::size_t count = script.byte(); count-- > 0;) send(encoded(ipc::ListWorkersRequest{count}));
        return;
      case 7:
        return send(script.bytes(script.byte()));
      case 8: {
        // A frame whose body comes from the script.
        ipc::testing::Segments segments(1 + script.byte() % 3);
        for (auto& segment : segments) {
          const auto body = script.bytes(script.byte());
          segment.resize((body.size() + sizeof(ipc::Word) - 1) / sizeof(ipc::Word));
          if (!body.empty()) std::memcpy(segment.data(), body.data(), body.size());
        }
        return send(ipc::testing::framed(segments));
      }
      case 9:
        owner_.manner = static_cast<Manner>(script.byte() % static_cast<std::uint8_t>(Manner::end));
        return;
      case 10: {
        const std::uint8_t what = script.byte();
        for (int i = 0; i <= what / 2; ++i) owner_.answer_one(what % 2 == 1);
        return;
      }
      case 11:
        return settle();
      case 12:
        return receive();
      case 14:
        return send(encoded(ipc::RegisterLoaderRequest{script.byte(), std::chrono::nanoseconds(script.byte())}));
      case 15:
        return owner_.want_source(script.byte() % 8);
      case 16:
        return owner_.give_up_source(script.byte() % 8);
      case 17: {
        const std::uint64_t id = script.byte() % 8;
        const std::string_view text = script.bytes(script.byte());
        if (script.byte() % 4 == 0) return send(encoded(ipc::SourceReply{id, ipc::SourceNotFound{}}));
        if (script.byte() % 4 == 0) return send(encoded(ipc::SourceReply{id, ipc::SourceFailed{text}}));
        return send(encoded(ipc::SourceReply{id, ipc::SourceCode{ipc::as_bytes(text), text}}));
      }
      case 13:
        for (std::size_t count = script.byte(); count-- > 0;) send(encoded(ipc::StatsRequest{count}));
        return;
      default:
        // The client disconnects, or only stops sending.
        if (script.byte() % 4 != 0) return settle();
        client_left_ = true;
        if (script.byte() % 2 == 0) return client_.reset();
        ::shutdown(client_.get(), SHUT_WR);
    }
  }

  static std::string call(std::uint64_t id, std::string_view payload) {
    return encoded(
        ipc::CallRequest{.id = id, .module = "m", .version = "v1", .function = "f", .payload = ipc::as_bytes(payload)});
  }

  void send(std::string_view bytes) { out_ += bytes; }

  void flush() {
    while (!out_.empty() && client_) {
      const ssize_t count = ::send(client_.get(), out_.data(), out_.size(), MSG_NOSIGNAL);
      if (count < 0 && errno == EAGAIN) return;
      if (count < 0) return out_.clear();
      out_.erase(0, static_cast<std::size_t>(count));
    }
    out_.clear();
  }

  // Runs until nothing moves any more unless the client reads.
  void settle() {
    std::size_t left;
    do {
      left = out_.size();
      flush();
      io_.restart();
    } while (supervisor::run_ready(io_, turn_) || out_.size() < left);
    if (owner_.session) {
      expect(owner_.session->open_calls().size() <= ClientSession::kMaxCallsInFlight,
             "no more calls are open than may be");
    } else if (!session_ended_) {
      session_ended_ = true;
      expect(session_.expired(), "nothing holds a session that has ended");
      // The reason for the disconnection is sent only if a client that does not read has left room for it.
      int unread = 0;
      no_room_ = client_ && ::ioctl(client_.get(), FIONREAD, &unread) == 0 && unread > kLeastRoom;
    }
  }

  void receive() {
    while (client_ && !ended_) {
      const auto space = in_.prepare();
      const ssize_t count = ::recv(client_.get(), space.data(), space.size(), 0);
      if (count < 0 && errno == EAGAIN) return;
      if (count <= 0) {
        ended_ = true;
        return;
      }
      in_.commit(static_cast<std::size_t>(count));
      for (;;) {
        const auto frame = in_.next();
        expect(frame.has_value(), "the session keeps to the framing");
        if (!frame->has_value()) break;
        const auto message = ipc::decode_server_message(**frame);
        expect(message.has_value(), "the session sends messages that can be decoded");
        check(*message);
      }
    }
  }

  void check(const ipc::ServerMessage& message) {
    expect(!violated_, "a protocol error is the last message");
    if (std::holds_alternative<ipc::ServerHello>(message)) {
      expect(!greeted_, "the session says hello once");
      greeted_ = true;
    } else if (const auto* answer = std::get_if<ipc::AnswerView>(&message)) {
      expect(greeted_, "answers follow the hello");
      const auto* error = std::get_if<ipc::Error>(&answer->outcome);
      if (error != nullptr && error->code == ipc::ErrorCode::overloaded) {
        expect(owner_.wanted_any, "the session refuses calls itself only where it cannot let its client wait");
        return;
      }
      expect(owner_.unanswered[answer->id]-- > 0, "each answer is to a call that was handed over and is unanswered");
    } else if (std::holds_alternative<ipc::WorkerList>(message)) {
      expect(owner_.lists-- > 0, "each list was asked for");
    } else if (std::holds_alternative<ipc::Stats>(message)) {
      expect(owner_.statistics-- > 0, "statistics were asked for");
    } else if (std::holds_alternative<ipc::LoaderRegistered>(message)) {
      expect(owner_.registrations-- > 0, "each registration was asked for");
    } else if (const auto* wanted = std::get_if<ipc::SourceWanted>(&message)) {
      expect(greeted_ && wanted->name.module == "m", "a source is wanted as the owner said");
    } else {
      expect(!std::get<ipc::ProtocolViolation>(message).message.empty(), "a protocol error says what was broken");
      violated_ = true;
    }
  }

  // The owner answers everything and the client reads everything; then the final state is checked.
  void finish() {
    owner_.manner = Manner::answer;
    std::size_t left;
    do {
      while (owner_.holds_any()) owner_.answer_one(false);
      left = out_.size();
      settle();
      receive();
      settle();
    } while (owner_.holds_any() || out_.size() < left || !owner_all_sent());
    receive();
    if (!client_) {
      expect(owner_.session == nullptr, "a client that closed its socket has left");
      return;
    }
    if (violated_) {
      expect(owner_.session == nullptr, "after a violation the session has ended");
      expect(ended_, "after a violation the connection is closed");
    }
    if (owner_.was_cut_off) expect(violated_ || no_room_, "a client that is cut off is told");
    if (violated_ || no_room_ || client_left_) return;
    expect(owner_.session != nullptr, "a session ends only with its client or a violation");
    for (const auto& [id, count] : owner_.unanswered) expect(count == 0, "each call has its answer");
    expect(owner_.lists == 0 && owner_.statistics == 0 && owner_.registrations == 0, "each question has its answer");
  }

  bool owner_all_sent() const { return owner_.session == nullptr || owner_.session->all_sent(); }

  boost::asio::io_context io_;
  supervisor::Turn turn_;
  const std::shared_ptr<supervisor::ClientAccounts> accounts_ =
      std::make_shared<supervisor::ClientAccounts>(100, std::uint64_t{512} << 20);
  Owner owner_;
  std::weak_ptr<ClientSession> session_;
  UniqueFd client_;
  std::string out_;  // the client's unsent bytes
  ipc::FrameReader in_;
  bool greeted_ = false;
  bool violated_ = false;
  bool ended_ = false;
  bool session_ended_ = false;
  bool no_room_ = false;
  bool client_left_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  spdlog::set_level(spdlog::level::off);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  World().run(Script({reinterpret_cast<const char*>(data), size}));
  return 0;
}
