// The C++ client library: calls functions through a running holdfastd.
//
//   auto client = ipc::Client::connect(ipc::default_socket_path());
//   auto answer = client->call({.module = "calculator", .version = "v1.0.0", .function = "add",
//                               .payload = ipc::as_bytes(R"({"a":1,"b":2})")});
//   if (answer) use(answer->payload); else report(answer.error());
//
// A Client owns one connection and belongs to one thread at a time; use one for each thread that makes calls. It
// starts no thread of its own. It does not reconnect: when the connection is lost, every open call is answered
// `unavailable` with Executed::maybe, and every later call `unavailable` with Executed::no. The caller decides what
// to repeat.
#pragma once

#include <poll.h>
#include <sys/types.h>

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

#include "ipc/base/busy_poll.h"
#include "ipc/base/module_name.h"
#include "ipc/base/unique_fd.h"
#include "ipc/client_messages.h"
#include "ipc/error.h"
#include "ipc/frame.h"

namespace holdfast::ipc {

class ClientLine;

// Why there is no session. `message` can be shown as it is: it says what failed, and what to do about it where that
// is known.
struct ConnectError {
  enum class Reason { cannot_connect, version_mismatch, protocol_error };
  Reason reason;
  std::string message;
};

struct ClientOptions {
  std::string name = "holdfast-client";           // for the supervisor's log
  std::chrono::milliseconds hello_timeout{5000};  // for the supervisor's hello
  // For how long run_once(), and every call that waits, busy-polls for an answer before it sleeps; 0: it never does.
  // Busy-polls only while answers come that soon, and never beyond the timeout of run_once().
  std::chrono::microseconds busy_poll{50};
};

struct Result {
  std::string payload;
  Encoding encoding = Encoding::json;
};

// The error of a call whose connection to the supervisor is lost.
Error connection_lost(const std::string& reason, Executed executed);

// A call's result or its error, and the resources that it used in either case.
class Answer : public tl::expected<Result, Error> {
 public:
  using tl::expected<Result, Error>::expected;

  Usage usage;  // all 0 if the call never reached a worker or the connection was lost
};
using AnswerHandler = std::function<void(Answer)>;

// Takes one value of the stream that a function returned.
using ChunkHandler = std::function<void(Result)>;

// Takes one log line, or one note that lines are missing. Must not throw.
using LogHandler = std::function<void(const LogRecord&)>;

// Handlers for what a call sends before its answer. Each may be null.
struct CallReaders {
  ChunkHandler on_chunk = nullptr;
  LogHandler on_log = nullptr;
};

// A loader's answer for a module: its code, or why there is none.
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
// A loader that has the outcome later: it passes the outcome to Client::give_source() with this id. Must not throw.
using DeferredLoadHandler = std::function<void(std::uint64_t id, const ModuleName&)>;

// Which log lines to receive: of which module, how many old ones, and whether to follow.
struct LogSubscription {
  std::string_view module = {};   // empty: of any module
  std::string_view version = {};  // empty: of any version; only with a module
  std::uint32_t backlog = 0;      // how many of the latest lines to send at once
  bool follow = false;            // whether later lines are sent too
};

class Client {
 public:
  // Connects and exchanges hellos; blocks for at most the hello's timeout.
  static tl::expected<Client, ConnectError> connect(const std::string& socket_path, ClientOptions options = {});

  // Exchanges hellos over a Unix stream socket that is already connected; blocks for at most the hello's timeout.
  static tl::expected<Client, ConnectError> adopt(UniqueFd socket, ClientOptions options = {});

  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  // Open calls are dropped unanswered; the supervisor cancels them.
  ~Client();

  // The supervisor's version and limits, from its hello.
  const ServerHello& server() const { return server_; }

  // Makes one call and waits for its answer. Handlers of other open calls may run while it waits. `request.id` is
  // ignored. `readers` are those of start().
  Answer call(const CallRequest& request, CallReaders readers = {});

  // Starts a call and returns its id; `request.id` is ignored. `handler` runs exactly once, in run_once() or in a
  // call that waits (such as call(), list_workers() or stats()), never in start(); it must not throw. Never blocks:
  // what the socket does not take at once is kept (unsent_bytes()). Calls beyond server().max_calls_in_flight wait in
  // the socket. A payload beyond server().max_payload_bytes is not sent; its answer is `payload_too_large`.
  //
  // With `readers.on_chunk` the call takes a stream: the handler runs for each value that the function yields, in
  // order, under the same rules as `handler`. Values that it has taken are granted to the function again, so a client
  // that does not call run_once() makes the function wait. At most request.stream_window_bytes (0: 256 KiB) of the
  // stream, and one chunk more, are kept here until then. Without `on_chunk`, request.stream_window_bytes is ignored.
  //
  // With `readers.on_log` the supervisor also sends the lines that the function logs, and the handler runs for each.
  // If this client may not read logs, the call's answer is `permission_denied`. request.logs is ignored.
  //
  // Both run before `handler`, in the order in which chunks and lines arrived.
  std::uint64_t start(const CallRequest& request, AnswerHandler handler, CallReaders readers = {});

  // Cancels an open call; an id that is not open is ignored. The call's handler still runs, with `cancelled` or with
  // the answer that was already on its way.
  void cancel(std::uint64_t id);

  // Sends what is unsent, waits until something arrives, a signal interrupts or the timeout is over (nullopt: waits
  // without a limit), and runs the handlers of what has arrived: answers, chunks, log lines and requests for modules.
  // Handlers may start further calls. Returns how many handlers ran.
  std::size_t run_once(std::optional<std::chrono::milliseconds> timeout = std::nullopt);

  // Asks for a direct line to the module's worker and waits for the supervisor's reply. On an error, which says why
  // there is no line, calls are relayed as before. With a line, calls of the module that have no readers go straight
  // to the worker, which takes half the time or less. The line may be withdrawn, or its worker may end, at any time:
  // calls on it that were not begun are then relayed, as later calls are, without the caller's doing. The client does
  // not open another line by itself.
  //
  // Calls on a line differ in three ways. Their Usage has only the run time, measured by this client. run_once() may
  // return early when the time of one is over. And this process reads what an untrusted worker sends
  // (docs/security.md).
  tl::expected<void, Error> open_line(const ModuleName& module);
  // Whether calls of the module go over a direct line now.
  bool has_line(const ModuleName& module) const;

  // Lists the supervisor's worker processes. Waits for the list; handlers of other open calls may run while it waits.
  tl::expected<WorkerList, Error> list_workers();

  // The supervisor's statistics. Waits for them; handlers of other open calls may run while it waits.
  tl::expected<Stats, Error> stats();

  // Registers this client as a loader of modules and waits for the supervisor's reply; `permission_denied` if this
  // client may not load modules. From then on `handler` runs for each module that the supervisor asks for, in
  // run_once() or in a call that waits; it must not throw. While it runs, nothing else of this connection is served.
  // The supervisor waits at most `timeout` for an outcome (0: the supervisor's default). A later registration
  // replaces the handler.
  tl::expected<void, Error> register_loader(LoadHandler handler, std::chrono::nanoseconds timeout = {});
  tl::expected<void, Error> register_deferred_loader(DeferredLoadHandler handler,
                                                     std::chrono::nanoseconds timeout = {});

  // Sends the outcome for the module that a deferred handler was asked for with this id. Call it once for each id, in
  // any order. Never blocks: what the socket does not take at once is kept (unsent_bytes()). Code beyond
  // server().max_source_bytes is not sent; the supervisor gets a failure that says so.
  void give_source(std::uint64_t id, const LoadOutcome& outcome);

  // Subscribes to what modules log. `handler` runs for the backlog before this returns, and for later lines in
  // run_once() or in a call that waits. `permission_denied` if this client may not read logs. Returns the
  // subscription's id.
  tl::expected<std::uint64_t, Error> subscribe_logs(const LogSubscription& subscription, LogHandler handler);
  // Ends a subscription: its handler does not run again. An id without a subscription is ignored.
  void end_logs(std::uint64_t id);

  // Calls whose handler has not run yet.
  std::size_t open_calls() const { return open_.size() + calls_on_lines() + answers_waiting_; }
  std::size_t unsent_bytes() const;
  // False once the connection is lost.
  bool connected() const { return static_cast<bool>(socket_); }
  // For the caller's own event loop: call run_once(0ms) when it is readable, or when it is writable and there are
  // unsent bytes. -1 once the connection is lost.
  int fd() const { return socket_.get(); }
  // The sockets of the direct lines that are open now, for the caller's own event loop; watch them like fd(). They
  // change whenever handlers run. next_wakeup() says by when to call run_once(0ms) in any case, for the deadlines of
  // calls on lines; nullopt: no time is set.
  std::vector<int> line_fds() const;
  std::optional<std::chrono::steady_clock::time_point> next_wakeup() const;

 private:
  // Requests that wait for a reply, by id; nullopt until the reply arrives.
  template <typename Reply>
  using Asked = std::unordered_map<std::uint64_t, std::optional<Reply>>;

  // The client is an argument because the object may have moved since the registration.
  using Loader = std::function<void(Client&, std::uint64_t id, const ModuleName&)>;

  struct LogReader {
    LogHandler handler;
    bool ended = false;  // its handler must not run again
  };
  struct OpenCall {
    AnswerHandler on_answer;
    std::shared_ptr<ChunkHandler> on_chunk;  // null: the call takes no stream
    std::uint32_t window_bytes = 0;
    std::uint64_t taken_bytes = 0;  // by its handler, and not granted again yet
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
  BusyPoll line_poll_;  // apart, because sleeping costs less where two processes alternate on one core
  FrameReader in_;
  OutputBuffer out_;
  ServerHello server_;
  bool hello_received_ = false;
  std::uint64_t next_id_ = 1;
  std::unordered_map<std::uint64_t, OpenCall> open_;
  // By the id of a call or of a subscription; the two share one sequence of ids. Shared with the lines in arrived_.
  std::unordered_map<std::uint64_t, std::shared_ptr<LogReader>> log_readers_;
  std::deque<std::variant<Answered, Chunk, Logged>> arrived_;  // not yet passed to handlers
  std::size_t answers_waiting_ = 0;                            // answers in arrived_
  Asked<WorkerList> lists_;
  Asked<Stats> stats_;
  Asked<LoaderRegistered> registrations_;
  Asked<LogsSubscribed> subscriptions_;
  Asked<LineOpened> line_words_;
  std::unordered_map<std::uint64_t, ModuleName> lines_wanted_;  // by the id of the request
  std::deque<UniqueFd> descriptors_;                            // received for lines_wanted_, in order of arrival
  std::vector<std::unique_ptr<ClientLine>> lines_;
  Loader loader_;
  std::deque<SourceWanted> wanted_;  // not yet passed to the loader
  std::string lost_because_;
};

}  // namespace holdfast::ipc
