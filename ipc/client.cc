#include "ipc/client.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <thread>

#include "ipc/call_rules.h"
#include "ipc/client_line.h"
#include "ipc/send_some.h"
#include "ipc/server_messages.h"
#include "ipc/socket_path.h"

namespace holdfast::ipc {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// A year stands for any longer wait; adding more to a clock's time could overflow.
constexpr milliseconds kForever = std::chrono::hours(365 * 24);

Clock::time_point after(milliseconds timeout) { return Clock::now() + std::min(timeout, kForever); }

// The window of a stream whose caller sets none.
constexpr std::uint32_t kStreamWindowBytes = std::uint32_t{256} << 10;

// Bounds every wait for the peer to take something, connect(2) included (socket(7)).
void set_send_timeout(const UniqueFd& socket, milliseconds timeout) {
  // Zero would mean no timeout.
  const auto micros = std::chrono::microseconds(std::clamp(timeout, milliseconds(1), kForever)).count();
  const timeval limit = {micros / 1'000'000, micros % 1'000'000};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

tl::unexpected<ConnectError> cannot_connect(std::string message) {
  return tl::unexpected(ConnectError{ConnectError::Reason::cannot_connect, std::move(message)});
}

// Why connect(2) to `path` failed with `error`, and what to do.
std::string connect_advice(const std::string& path, int error) {
  struct stat status = {};
  const bool is_seen = ::stat(path.c_str(), &status) == 0;
  if (error == EACCES || error == EPERM) {
    if (!is_seen)
      return "this user may not enter a directory above it; run as another user (sudo), or name another socket";
    return fmt::format(
        "the socket belongs to uid {} and gid {} with mode {:04o}, and this is uid {}; run as a user that may write "
        "to it (sudo), or give the socket another mode or group (holdfastd --socket-mode)",
        status.st_uid, status.st_gid, status.st_mode & 07777, ::geteuid());
  }
  if (is_seen && !S_ISSOCK(status.st_mode))
    return "it is not a socket; name the socket of holdfastd (--socket, HOLDFAST_SOCKET)";
  if (error == ECONNREFUSED) return "no holdfastd listens there any more; start it again";
  return "is holdfastd running, and on this socket? (--socket and HOLDFAST_SOCKET name another)";
}

Result to_result(const ResultView& view) { return {std::string(as_text(view.payload)), view.encoding}; }

Answer to_answer(AnswerView view) {
  Answer answer;
  if (auto* result = std::get_if<ResultView>(&view.outcome)) {
    answer = to_result(*result);
  } else {
    answer = tl::unexpected(std::move(std::get<Error>(view.outcome)));
  }
  answer.usage = view.usage;
  return answer;
}

}  // namespace

Error connection_lost(const std::string& reason, Executed executed) {
  return Error{.code = ErrorCode::unavailable,
               .message = fmt::format("the connection to the supervisor is lost: {}", reason),
               .stack = {},
               .retryable = true,
               .executed = executed,
               .detail = "connection_lost"};
}

// On a single core, busy-polling would keep the processes that the client waits for from running.
Client::Client(UniqueFd socket, std::chrono::microseconds busy_poll)
    : socket_(std::move(socket)),
      busy_poll_(std::thread::hardware_concurrency() > 1 ? busy_poll : std::chrono::microseconds(0)),
      line_poll_(busy_poll_.longest(), kNegligibleSleepOnLine) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

tl::expected<Client, ConnectError> Client::connect(const std::string& socket_path, ClientOptions options) {
  const auto deadline = after(options.hello_timeout);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (auto problem = socket_path_problem(socket_path)) return cannot_connect(std::move(*problem));
  std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return cannot_connect(fmt::format("cannot make a socket: {}", std::strerror(errno)));
  set_send_timeout(socket, options.hello_timeout);
  while (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == EINTR && Clock::now() < deadline) continue;
    if (errno == EAGAIN || errno == EINTR) {
      return cannot_connect(fmt::format("the supervisor at {} did not accept a connection within {} ms", socket_path,
                                        options.hello_timeout.count()));
    }
    const int error = errno;
    return cannot_connect(fmt::format("cannot connect to {}: {}; {}", socket_path, std::strerror(error),
                                      connect_advice(socket_path, error)));
  }
  return begin_session(std::move(socket), options, deadline);
}

tl::expected<Client, ConnectError> Client::adopt(UniqueFd socket, ClientOptions options) {
  return begin_session(std::move(socket), options, after(options.hello_timeout));
}

tl::expected<Client, ConnectError> Client::begin_session(UniqueFd socket, const ClientOptions& options,
                                                         Clock::time_point deadline) {
  Client client(std::move(socket), options.busy_poll);
  if (auto done = client.exchange_hellos(options, deadline); !done) return tl::unexpected(done.error());
  return client;
}

tl::expected<void, ConnectError> Client::exchange_hellos(const ClientOptions& options, Clock::time_point deadline) {
  encode(out_, ClientHello{kProtocolVersion, options.name});
  flush();
  while (connected() && !hello_received_) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now());
    if (left <= milliseconds(0)) {
      return cannot_connect(fmt::format("the supervisor did not answer within {} ms", options.hello_timeout.count()));
    }
    if (!wait_for_socket(left)) continue;
    flush();
    if (connected()) receive();
  }
  // Checked first: a supervisor of another version may have ended the session for reasons that only it understands.
  if (hello_received_ && server_.protocol_version != kProtocolVersion) {
    return tl::unexpected(
        ConnectError{ConnectError::Reason::version_mismatch,
                     fmt::format("the supervisor (holdfastd {}) speaks protocol version {}, this client speaks {}",
                                 server_.server_version, server_.protocol_version, kProtocolVersion)});
  }
  if (!connected()) {
    return tl::unexpected(ConnectError{ConnectError::Reason::protocol_error,
                                       fmt::format("the supervisor ended the session: {}", lost_because_)});
  }
  return {};
}

std::uint64_t Client::start(const CallRequest& request, AnswerHandler handler, CallReaders readers) {
  const std::uint64_t id = next_id_++;
  if (!connected()) {
    answered(std::move(handler), tl::unexpected(connection_lost(lost_because_, Executed::no)));
    return id;
  }
  if (auto problem = payload_problem(request.payload.size(), server_.max_payload_bytes)) {
    // If it were sent, it could exceed the frame limit and end the session with all its calls.
    answered(std::move(handler), tl::unexpected(std::move(*problem)));
    return id;
  }
  if (ClientLine* line = line_for(request, readers)) {
    line->start(id, request, std::move(handler));
    return id;
  }
  CallRequest numbered = request;
  numbered.id = id;
  OpenCall& open = open_[id];
  open.on_answer = std::move(handler);
  numbered.logs = readers.on_log != nullptr;
  if (readers.on_log) log_readers_.emplace(id, std::make_shared<LogReader>(LogReader{std::move(readers.on_log)}));
  if (readers.on_chunk) {
    if (numbered.stream_window_bytes == 0) numbered.stream_window_bytes = kStreamWindowBytes;
    open.window_bytes = std::min(numbered.stream_window_bytes, kMaxStreamWindowBytes);
    open.on_chunk = std::make_shared<ChunkHandler>(std::move(readers.on_chunk));
  } else {
    numbered.stream_window_bytes = 0;
  }
  encode(out_, numbered);
  return id;
}

void Client::cancel(std::uint64_t id) {
  if (connected() && open_.contains(id)) return encode(out_, CancelRequest{id});
  for (const auto& line : lines_) {
    if (line->cancel(id)) return take_outcomes(*line);
  }
}

Answer Client::call(const CallRequest& request, CallReaders readers) {
  std::optional<Answer> answer;
  start(
      request, [&](Answer arrived) { answer = std::move(arrived); }, std::move(readers));
  while (!answer) run_once();
  return std::move(*answer);
}

std::size_t Client::run_once(std::optional<milliseconds> timeout) {
  if (connected()) flush();
  if (!lines_.empty()) look_at_times_of_lines();
  if (arrived_.empty() && wanted_.empty() && connected() && !look_for_answers(timeout)) wait_and_receive(timeout);
  return deliver();
}

// Busy-polls where that pays; true if something came. Does not busy-poll for several answers: those that arrive
// during one sleep are read together.
bool Client::look_for_answers(std::optional<milliseconds> timeout) {
  if (unsent_bytes() > 0 || open_.size() + calls_on_lines() != 1) return false;
  const auto longest =
      timeout ? std::min<Clock::duration>(busy_poll_.longest(), std::min(*timeout, kForever)) : busy_poll_.longest();
  const auto receive_relayed = [this] { return receive(); };
  if (!open_.empty()) return busy_poll_until(busy_poll_, longest, receive_relayed, let_others_run);
  const auto receive_on_line = [this] { return receive_from_lines(); };
  return busy_poll_until(line_poll_, longest, receive_on_line, let_others_run);
}

template <typename Request, typename Reply>
tl::expected<Reply, Error> Client::ask(Request request, Asked<Reply>& asked) {
  request.id = next_id_++;
  asked.emplace(request.id, std::nullopt);
  if (connected()) encode(out_, request);
  while (connected() && !asked.at(request.id)) run_once();
  const auto reply = asked.extract(request.id);
  if (!reply.mapped()) return tl::unexpected(connection_lost(lost_because_, Executed::no));
  return std::move(*reply.mapped());
}

template <typename Reply>
void Client::note_reply(Reply reply, Asked<Reply>& asked, const char* what) {
  const auto found = asked.find(reply.id);
  if (found == asked.end() || found->second) return lose_connection(fmt::format("{} not asked for", what));
  found->second = std::move(reply);
}

tl::expected<WorkerList, Error> Client::list_workers() { return ask(ListWorkersRequest{}, lists_); }

tl::expected<Stats, Error> Client::stats() { return ask(StatsRequest{}, stats_); }

tl::expected<void, Error> Client::register_loader(LoadHandler handler, std::chrono::nanoseconds timeout) {
  return register_as([handler = std::move(handler)](Client& client, std::uint64_t id,
                                                    const ModuleName& name) { client.give_source(id, handler(name)); },
                     timeout);
}

tl::expected<void, Error> Client::register_deferred_loader(DeferredLoadHandler handler,
                                                           std::chrono::nanoseconds timeout) {
  return register_as(
      [handler = std::move(handler)](Client&, std::uint64_t id, const ModuleName& name) { handler(id, name); },
      timeout);
}

tl::expected<void, Error> Client::register_as(Loader loader, std::chrono::nanoseconds timeout) {
  // The loader is set before the request: the first SourceWanted may come right after the supervisor's reply.
  Loader previous = std::exchange(loader_, std::move(loader));
  auto registered = ask(RegisterLoaderRequest{.id = 0, .timeout = timeout}, registrations_);
  if (registered && !registered->error) return {};
  loader_ = std::move(previous);
  return tl::unexpected(registered ? std::move(*registered->error) : std::move(registered.error()));
}

tl::expected<void, Error> Client::open_line(const ModuleName& module) {
  if (has_line(module)) return {};
  // next_id_ is the id that ask() will use. The line may be opened, and end, before ask() returns.
  lines_wanted_.emplace(next_id_, module);
  auto opened = ask(OpenLineRequest{.id = 0, .module = module.module, .version = module.version}, line_words_);
  if (!opened) return tl::unexpected(std::move(opened.error()));
  if (auto* error = std::get_if<Error>(&opened->outcome)) return tl::unexpected(std::move(*error));
  return {};
}

void Client::give_source(std::uint64_t id, const LoadOutcome& outcome) {
  if (!connected()) return;
  if (const auto* source = std::get_if<LoadedSource>(&outcome)) {
    if (source->text.size() <= server_.max_source_bytes) {
      return encode(out_, SourceReply{id, SourceCode{as_bytes(source->text), source->file_name}});
    }
    // If it were sent, it could exceed the frame limit and end the session.
    const std::string reason = fmt::format("the module's code has {} bytes; the supervisor accepts at most {}",
                                           source->text.size(), server_.max_source_bytes);
    return encode(out_, SourceReply{id, SourceFailed{reason}});
  }
  if (const auto* failure = std::get_if<LoadFailure>(&outcome)) {
    return encode(out_, SourceReply{id, SourceFailed{failure->reason}});
  }
  encode(out_, SourceReply{id, SourceNotFound{}});
}

tl::expected<std::uint64_t, Error> Client::subscribe_logs(const LogSubscription& subscription, LogHandler handler) {
  // The id that ask() will use: lines arrive before the supervisor's reply.
  const std::uint64_t id = next_id_;
  log_readers_.emplace(id, std::make_shared<LogReader>(LogReader{std::move(handler)}));
  auto subscribed = ask(SubscribeLogsRequest{.id = 0,
                                             .module = subscription.module,
                                             .version = subscription.version,
                                             .backlog = subscription.backlog,
                                             .follow = subscription.follow},
                        subscriptions_);
  if (!subscribed || subscribed->error || !subscription.follow) log_readers_.erase(id);
  if (!subscribed) return tl::unexpected(std::move(subscribed.error()));
  if (subscribed->error) return tl::unexpected(std::move(*subscribed->error));
  return id;
}

void Client::end_logs(std::uint64_t id) {
  const auto found = log_readers_.find(id);
  if (found == log_readers_.end() || open_.contains(id)) return;
  found->second->ended = true;
  log_readers_.erase(found);
  if (connected()) encode(out_, EndLogsRequest{id});
}

void Client::wait_and_receive(std::optional<milliseconds> timeout) {
  if (!lines_.empty()) return wait_for_lines(timeout);
  if (!wait_for_socket(timeout)) return;
  flush();
  if (connected()) receive();
}

bool Client::wait_for_socket(std::optional<milliseconds> timeout) {
  pollfd wanted = {socket_.get(), static_cast<short>(POLLIN | (out_.empty() ? 0 : POLLOUT)), 0};
  return wait_for({&wanted, 1}, timeout, busy_poll_);
}

bool Client::wait_for(std::span<pollfd> wanted, std::optional<milliseconds> timeout, BusyPoll& poll) {
  // poll(2) takes an int; a negative one waits without a limit.
  constexpr auto kLongest = milliseconds(std::numeric_limits<int>::max());
  const int wait = timeout ? static_cast<int>(std::clamp(*timeout, milliseconds(0), kLongest).count()) : -1;
  const auto began = Clock::now();
  const int count = ::poll(wanted.data(), wanted.size(), wait);
  if (wait != 0) poll.slept(Clock::now() - began);
  return count > 0;  // an interrupted wait counts as one in which nothing happened
}

void Client::flush() {
  for (const auto& line : lines_) {
    line->flush();
    take_outcomes(*line);
  }
  const int error = send_some(socket_, out_);
  if (error == 0) return;
  // Reads what the supervisor sent before it closed, which says more than this error.
  while (connected() && receive()) {
  }
  if (connected()) lose_connection(std::strerror(error));
}

bool Client::receive() {
  const auto space = in_.prepare();
  const ssize_t count = receive_into(space);
  if (count < 0) {
    if (errno == EAGAIN || errno == EINTR) return false;
    lose_connection(std::strerror(errno));
    return true;
  }
  if (count == 0) {
    lose_connection(in_.buffered_bytes() == 0 ? "it was closed" : "it was closed in the middle of a message");
    return true;
  }
  in_.commit(static_cast<std::size_t>(count));
  take_messages(
      in_, [this] { return connected(); }, [this](ServerMessage message) { handle(std::move(message)); },
      [this](const std::string& violation) { lose_connection(violation); });
  if (descriptors_.size() > lines_wanted_.size()) lose_connection("descriptors came that were not asked for");
  return true;
}

void Client::handle(ServerMessage message) {
  if (auto* answer = std::get_if<AnswerView>(&message)) {
    const auto open = open_.find(answer->id);
    if (open == open_.end()) return lose_connection(fmt::format("an answer to call {}, which is not open", answer->id));
    answered(std::move(open->second.on_answer), to_answer(std::move(*answer)));
    log_readers_.erase(answer->id);
    open_.erase(open);
  } else if (auto* chunk = std::get_if<ChunkView>(&message)) {
    const auto open = open_.find(chunk->call);
    if (open == open_.end() || !open->second.on_chunk) {
      return lose_connection(fmt::format("a chunk for call {}, which takes no stream", chunk->call));
    }
    arrived_.push_back(Chunk{chunk->call, open->second.on_chunk, to_result(chunk->value)});
  } else if (auto* hello = std::get_if<ServerHello>(&message)) {
    if (hello_received_) return lose_connection("a second hello");
    server_ = std::move(*hello);
    hello_received_ = true;
    in_.accept_frames_of(server_.max_frame_bytes);
  } else if (auto* workers = std::get_if<WorkerList>(&message)) {
    note_reply(std::move(*workers), lists_, "a list of workers that was");
  } else if (auto* stats = std::get_if<Stats>(&message)) {
    note_reply(std::move(*stats), stats_, "statistics that were");
  } else if (auto* registered = std::get_if<LoaderRegistered>(&message)) {
    note_reply(std::move(*registered), registrations_, "a loader's registration that was");
  } else if (auto* wanted = std::get_if<SourceWanted>(&message)) {
    if (!loader_) return lose_connection("a module's code was asked for, and no loader is registered");
    wanted_.push_back(std::move(*wanted));
  } else if (auto* line = std::get_if<LogRecordMessage>(&message)) {
    if (line->id == 0 || line->id >= next_id_) return lose_connection("a log line that was not asked for");
    // A line of a subscription that has ended may have been on its way.
    const auto reader = log_readers_.find(line->id);
    if (reader != log_readers_.end()) arrived_.push_back(Logged{reader->second, std::move(line->record)});
  } else if (auto* subscribed = std::get_if<LogsSubscribed>(&message)) {
    note_reply(std::move(*subscribed), subscriptions_, "a subscription that was");
  } else if (auto* opened = std::get_if<LineOpened>(&message)) {
    line_opened(*opened);
    if (connected()) note_reply(std::move(*opened), line_words_, "a direct line that was");
  } else if (const auto* ended = std::get_if<LineEnded>(&message)) {
    line_ended(*ended);
  } else if (std::holds_alternative<LineClosing>(message)) {
    lose_connection("a line's withdrawal, which may come only on the line itself");
  } else {
    lose_connection(std::get<ProtocolViolation>(message).message);
  }
}

std::size_t Client::deliver() {
  // One by one, because a handler may itself wait for a call whose answer is further back in the list. Handlers may
  // also start calls that fail at once and add to the list; those wait for the next deliver().
  std::size_t count = 0;
  for (std::size_t left = arrived_.size(); left > 0 && !arrived_.empty(); --left, ++count) {
    auto what = std::move(arrived_.front());
    arrived_.pop_front();
    std::visit([this](auto arrived) { deliver(std::move(arrived)); }, std::move(what));
  }
  for (; !wanted_.empty(); ++count) {
    const SourceWanted wanted = std::move(wanted_.front());
    wanted_.pop_front();
    const Loader loader = loader_;  // the handler may register another
    loader(*this, wanted.id, wanted.name);
  }
  return count;
}

void Client::answered(AnswerHandler handler, Answer answer) {
  arrived_.push_back(Answered{std::move(handler), std::move(answer)});
  ++answers_waiting_;
}

void Client::deliver(Answered answered) {
  --answers_waiting_;
  answered.handler(std::move(answered.answer));
}

void Client::deliver(Chunk chunk) {
  const std::size_t bytes = chunk.value.payload.size();
  (*chunk.handler)(std::move(chunk.value));
  grant(chunk.call, bytes);
}

// Grants when half of the window was taken, not for each chunk: there may be many small ones.
void Client::grant(std::uint64_t call, std::size_t taken_bytes) {
  const auto open = open_.find(call);
  if (open == open_.end() || !connected()) return;
  OpenCall& stream = open->second;
  stream.taken_bytes += chunk_cost(taken_bytes);
  if (stream.taken_bytes < stream.window_bytes / 2) return;
  encode(out_, StreamGrant{call, std::exchange(stream.taken_bytes, 0)});
}

void Client::deliver(Logged logged) {
  if (!logged.reader->ended) logged.reader->handler(logged.record);
}

void Client::lose_connection(std::string reason) {
  lost_because_ = std::move(reason);
  socket_.reset();
  out_ = OutputBuffer();
  for (auto& [id, call] : open_) {
    answered(std::move(call.on_answer), tl::unexpected(connection_lost(lost_because_, Executed::maybe)));
  }
  open_.clear();
  end_lines();
  log_readers_.clear();
  wanted_.clear();
}

}  // namespace holdfast::ipc
