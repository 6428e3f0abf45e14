// The C++ client library: calls functions through a running holdfastd.
//
//   auto client = ipc::Client::connect(ipc::default_socket_path());
//   auto answer = client->call({.module = "calculator", .version = "v1.0.0", .function = "add",
//                               .payload = ipc::as_bytes(R"({"a":1,"b":2})")});
//   if (answer) use(answer->payload); else report(answer.error());
//
// A Client owns one connection and belongs to one thread at a time; use one for each thread that makes calls. It
// starts no thread of its own. It does not reconnect: when the connection is lost, every open call is answered
// `unavailable` with Executed::maybe, and so is every later one (Executed::no); the caller decides what to repeat.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tl/expected.hpp>
#include <unordered_map>
#include <variant>
#include <vector>

#include <poll.h>
#include <sys/types.h>

#include "ipc/base/busy_poll.h"
#include "ipc/client_messages.h"
#include "ipc/error.h"
#include "ipc/frame.h"
#include "ipc/base/module_name.h"
#include "ipc/base/unique_fd.h"

namespace holdfast::ipc {

class ClientLine;

// Why there is no session. The message is whole: it names the socket and says what to do.
struct ConnectError {
  enum class Reason { cannot_connect, version_mismatch, protocol_error };
  Reason reason;
  std::string message;
};

struct ClientOptions {
  std::string name = "holdfast-client";           // for the supervisor's log
  std::chrono::milliseconds hello_timeout{5000};  // for the supervisor's hello
  // How long run_once(), and what waits by it, looks for answers before it sleeps, as long as they come so soon; 0: it
  // sleeps at once. Never for longer than the time that it is given.
  std::chrono::microseconds busy_poll{50};
};

struct Result {
  std::string payload;
  Encoding encoding = Encoding::json;
};

// What open calls get when the supervisor is gone, and later ones.
Error connection_lost(const std::string& reason, Executed executed);

// A result or an error, as any tl::expected, and what the call took either way.
class Answer : public tl::expected<Result, Error> {
 public:
  using tl::expected<Result, Error>::expected;

  Usage usage;  // all 0 where the call never got to a worker, or the connection was lost
};
using AnswerHandler = std::function<void(Answer)>;

// Takes one value of the stream that a function returned.
using ChunkHandler = std::function<void(Result)>;

// Runs for each line, and for each note that some are missing; must not throw.
using LogHandler = std::function<void(const LogRecord&)>;

// Who hears of a call before its answer; either may be missing.
struct CallReaders {
  ChunkHandler on_chunk = nullptr;
  LogHandler on_log = nullptr;
};

// What a loader gives for a module: its code, or why there is none.
struct LoadedSource {
  std::string text;       // one JavaScript file in UTF-8
  std::string file_name;  // what stacks show; empty: MODULE-VERSION.js
};
struct NoSuchModule {};
struct LoadFailure {
  std::string reason;  // for a person
};
using LoadOutcome = std::variant<LoadedSource, NoSuchModule, LoadFailure>;
using LoadHandler = std::function<LoadOutcome(const ModuleName&)>;
// The same for who has the outcome later: give_source() takes it, with this id.
using DeferredLoadHandler = std::function<void(std::uint64_t id, const ModuleName&)>;

// Whose lines, and which.
struct LogSubscription {
  std::string_view module = {};   // empty: of any
  std::string_view version = {};  // empty: of any; only with a module
  std::uint32_t backlog = 0;      // so many of the last lines
  bool follow = false;            // and those that come later
};

class Client {
 public:
  // Connects and exchanges hellos; blocks for at most the hello's timeout.
  static tl::expected<Client, ConnectError> connect(const std::string& socket_path, ClientOptions options = {});

  // The same over a stream socket that is connected already.
  static tl::expected<Client, ConnectError> adopt(UniqueFd socket, ClientOptions options = {});

  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  // Open calls are dropped unanswered; the supervisor cancels them.
  ~Client();

  // What the supervisor said of itself and its limits.
  const ServerHello& server() const { return server_; }

  // Makes one call and waits for its answer; other open calls may be answered meanwhile. `request.id` is ignored. For
  // `readers` see start().
  Answer call(const CallRequest& request, CallReaders readers = {});

  // Starts a call and returns its id. `handler` is run exactly once, by run_once() or what waits (call(),
  // list_workers(), stats()), never from here; it must not throw. Never blocks: what the socket does not take at once
  // is kept, see unsent_bytes(). Calls beyond server().max_calls_in_flight wait in the socket. A payload beyond
  // server().max_payload_bytes is not sent; its answer is `payload_too_large`.
  //
  // With `readers.on_chunk` the call takes a stream: it is run for each value that the function yields, in order, under
  // the same rules. What it has taken is granted anew, so that a client which does not come to run_once() holds the
  // function up; of the stream's values at most request.stream_window_bytes, 0: 256 KiB, and one chunk more wait here
  // meanwhile. Without it, request.stream_window_bytes is ignored.
  //
  // With `readers.on_log` the lines that the function logs are wanted, too: it is run for each. The answer is
  // permission_denied where this client may not read what modules log; request.logs is ignored.
  //
  // Both are run before `handler`, and in the order in which chunks and lines came.
  std::uint64_t start(const CallRequest& request, AnswerHandler handler, CallReaders readers = {});

  // Tells the supervisor that the answer is no longer wanted. The handler still runs, with `cancelled` or with the
  // answer that was on its way.
  void cancel(std::uint64_t id);

  // Sends what is unsent, waits until something arrives, a signal does or the timeout is over (nothing: for ever), and
  // runs the handlers of the calls that were answered and of the modules that are wanted. Handlers may start further
  // calls. Returns how many ran.
  std::size_t run_once(std::optional<std::chrono::milliseconds> timeout = std::nullopt);

  // Asks for a direct line to the module's worker and waits for the supervisor's word; the error says why there is
  // none, and calls are relayed as ever. From then on calls of the module that have no readers go straight to the
  // worker, where they take half of the time or less. The line may be withdrawn at any time, and its
  // worker may end: calls on it that were not begun are then relayed, as later ones are, and no caller notices. A line
  // is not opened again by itself.
  //
  // What differs for calls on a line: of Usage they have the run time alone, as it is measured here; run_once() may
  // come back early when the time of one is over; and this process reads what an untrusted one sends
  // (docs/security.md).
  tl::expected<void, Error> open_line(const ModuleName& module);
  // Whether calls of the module go by a line now.
  bool has_line(const ModuleName& module) const;

  // The supervisor's worker processes; waits for the list, and lets other open calls be answered meanwhile.
  tl::expected<WorkerList, Error> list_workers();

  // What the supervisor has counted; waits for it in the same way.
  tl::expected<Stats, Error> stats();

  // Offers this client as a loader of modules and waits for the supervisor's word; permission_denied if it may not.
  // From then on `handler` is run for each module that is wanted, wherever handlers of calls are; it must not throw.
  // While it runs nothing else of this connection is served. The supervisor waits for an outcome for `timeout` at most,
  // 0 for its default. A second time, `handler` takes the place of the one before.
  tl::expected<void, Error> register_loader(LoadHandler handler, std::chrono::nanoseconds timeout = {});
  tl::expected<void, Error> register_deferred_loader(DeferredLoadHandler handler,
                                                     std::chrono::nanoseconds timeout = {});

  // The outcome for the module that a deferred handler was asked for under this id, once for each, in any order. Never
  // blocks, as start(). Code beyond server().max_source_bytes is not sent; the supervisor is told so as a failure.
  void give_source(std::uint64_t id, const LoadOutcome& outcome);

  // Reads what modules log. `handler` is run for the lines that there are before this returns; for those that follow
  // later, wherever handlers of calls are. permission_denied if this client may not read them. Returns the
  // subscription's id.
  tl::expected<std::uint64_t, Error> subscribe_logs(const LogSubscription& subscription, LogHandler handler);
  // No line of it is handed out any more.
  void end_logs(std::uint64_t id);

  // Calls whose handler is still to be run.
  std::size_t open_calls() const { return open_.size() + calls_on_lines() + answers_waiting_; }
  std::size_t unsent_bytes() const;
  // False once the connection is lost.
  bool connected() const { return static_cast<bool>(socket_); }
  // For the caller's own event loop: call run_once(0ms) when it is readable, or writable with unsent bytes.
  int fd() const { return socket_.get(); }
  // The same of direct lines, which come and go; and by when to call it in any case, for the times of the calls on
  // them.
  std::vector<int> line_fds() const;
  std::optional<std::chrono::steady_clock::time_point> next_wakeup() const;

 private:
  // Questions that wait for their reply, by the request's id; nothing: it is not here yet.
  template <typename Reply>
  using Asked = std::unordered_map<std::uint64_t, std::optional<Reply>>;

  // Takes the client as an argument, for it may have been moved since.
  using Loader = std::function<void(Client&, std::uint64_t id, const ModuleName&)>;

  struct LogReader {
    LogHandler handler;
    bool ended = false;  // nothing more is wanted
  };
  struct OpenCall {
    AnswerHandler on_answer;
    std::shared_ptr<ChunkHandler> on_chunk;  // null: it takes no stream
    std::uint32_t window_bytes = 0;
    std::uint64_t taken_bytes = 0;  // by its handler, and not granted yet
  };
  struct Answered {
    AnswerHandler handler;
    Answer answer;
  };
  struct Chunk {
    std::uint64_t call;
    std::shared_ptr<ChunkHandler> handler;
    Result value;
  };
  struct Logged {
    std::shared_ptr<LogReader> reader;
    LogRecord record;
  };

  Client(UniqueFd socket, std::chrono::microseconds busy_poll);

  static tl::expected<Client, ConnectError> begin_session(UniqueFd socket, const ClientOptions& options,
                                                          std::chrono::steady_clock::time_point deadline);
  tl::expected<void, ConnectError> exchange_hellos(const ClientOptions& options,
                                                   std::chrono::steady_clock::time_point deadline);
  // --- direct lines
  ClientLine* line_for(const CallRequest& request, const CallReaders& readers);
  std::size_t calls_on_lines() const;
  void take_outcomes(ClientLine& line);
  void relay(std::uint64_t id, CallRequest request, std::chrono::steady_clock::time_point deadline,
             AnswerHandler handler);
  void look_at_times_of_lines();
  void line_opened(const LineOpened& opened);
  void line_ended(const LineEnded& ended);
  void end_lines();

  bool look_for_answers(std::optional<std::chrono::milliseconds> timeout);
  void wait_and_receive(std::optional<std::chrono::milliseconds> timeout);
  void wait_for_lines(std::optional<std::chrono::milliseconds> timeout);
  bool receive_from_lines();
  bool wait_for_socket(std::optional<std::chrono::milliseconds> timeout);
  bool wait_for(std::span<pollfd> wanted, std::optional<std::chrono::milliseconds> timeout, BusyPoll& poll);
  void flush();
  // False if nothing had arrived.
  bool receive();
  ssize_t receive_into(std::span<std::byte> space);
  std::size_t deliver();
  void deliver(Answered answered);
  void deliver(Chunk chunk);
  void deliver(Logged logged);
  void handle(ServerMessage message);
  void answered(AnswerHandler handler, Answer answer);
  void grant(std::uint64_t call, std::size_t taken_bytes);
  tl::expected<void, Error> register_as(Loader loader, std::chrono::nanoseconds timeout);
  template <typename Request, typename Reply>
  tl::expected<Reply, Error> ask(Request request, Asked<Reply>& asked);
  template <typename Reply>
  void note_reply(Reply reply, Asked<Reply>& asked, const char* what);
  void lose_connection(std::string reason);

  UniqueFd socket_;
  BusyPoll busy_poll_;
  BusyPoll line_poll_;  // what sleep costs there is another matter: two processes can take turns on one core
  FrameReader in_;
  OutputBuffer out_;
  ServerHello server_;
  bool hello_received_ = false;
  std::uint64_t next_id_ = 1;
  std::unordered_map<std::uint64_t, OpenCall> open_;
  // Of calls and of subscriptions, whose ids are of one kind. Shared with lines that are not handed out yet.
  std::unordered_map<std::uint64_t, std::shared_ptr<LogReader>> log_readers_;
  std::deque<std::variant<Answered, Chunk, Logged>> arrived_;  // not yet handed to their handlers
  std::size_t answers_waiting_ = 0;                            // among them
  Asked<WorkerList> lists_;
  Asked<Stats> stats_;
  Asked<LoaderRegistered> registrations_;
  Asked<LogsSubscribed> subscriptions_;
  Asked<LineOpened> line_words_;
  std::unordered_map<std::uint64_t, ModuleName> lines_wanted_;  // by the number under which they were asked for
  std::deque<UniqueFd> descriptors_;                            // that came for them, in order
  std::vector<std::unique_ptr<ClientLine>> lines_;
  Loader loader_;
  std::deque<SourceWanted> wanted_;  // not yet handed to the loader
  std::string lost_because_;
};

}  // namespace holdfast::ipc
