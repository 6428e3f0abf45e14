#include "supervisor/client_session.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <functional>

#include "ipc/base/text.h"
#include "ipc/base/units.h"
#include "ipc/call_rules.h"
#include "supervisor/call_errors.h"
#include "supervisor/log/log_output.h"
#include "supervisor/modules/module_source.h"

namespace holdfast::supervisor {
namespace {

constexpr std::size_t kMaxClientNameBytes = 64;

// Back-pressure: beyond any of these bounds the session stops reading from the client until it is below them again. A
// client that has been asked for a module's code is read whatever its calls hold, since these may wait for that very
// code; further calls are then refused. kMaxOpenCallBytes is the memory kept for open calls: two of the largest
// payloads.
constexpr std::size_t kMaxOpenCallBytes = std::size_t{32} << 20;
// Answers that the client has not read.
constexpr std::size_t kMaxUnsentBytes = std::size_t{1} << 20;

// Answers to calls that were in flight when the session stopped reading may still come in. A client that lets this much
// pile up is not coming back for it and is disconnected (like Redis's client-output-buffer-limit).
constexpr std::size_t kCutOffUnsentBytes = std::size_t{64} << 20;

// Log lines are not sent to a client with more unread bytes than this: calls matter more.
constexpr std::size_t kMaxUnsentForLogs = std::size_t{512} << 10;
// As protocol.capnp says.
constexpr std::size_t kMaxSubscriptions = 16;

constexpr std::size_t kMaxFileNameBytes = 255;
constexpr std::size_t kMaxLoadFailureBytes = 1024;

// As protocol.capnp says of ModuleStats.heldOffReason.
constexpr std::size_t kMaxHeldOffReasonBytes = 1024;

// The user that connected or created the peer's socket (unix(7), SO_PEERCRED); nullopt if the kernel does not say.
std::optional<uid_t> read_peer_uid(Connection::Socket& socket) {
  ucred peer = {};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return std::nullopt;
  return peer.uid;
}

// Makes statistics of any number of modules fit into a frame: at most 16384 entries of 2 kB each.
void cut_to_frame(ipc::Stats& stats) {
  auto& modules = stats.modules;
  if (modules.size() > ipc::kMaxModulesListed) {
    std::ranges::nth_element(modules, modules.begin() + ipc::kMaxModulesListed, std::greater(), &ipc::ModuleStats::cpu);
    modules.resize(ipc::kMaxModulesListed);
  }
  for (auto& module : modules) {
    module.held_off_reason = ipc::clean_utf8(module.held_off_reason, kMaxHeldOffReasonBytes);
  }
}

}  // namespace

ClientSession::ClientSession(ClientId id, Turn& turn, Socket&& socket, ClientRequests& requests,
                             const std::shared_ptr<ClientAccounts>& accounts)
    : ClientSession(id, turn, std::move(socket), read_peer_uid(socket), requests, accounts) {}

ClientSession::ClientSession(ClientId id, Turn& turn, Socket&& socket, std::optional<uid_t> peer_uid,
                             ClientRequests& requests, const std::shared_ptr<ClientAccounts>& accounts)
    : Connection(turn, std::move(socket), kGreetingLimits,
                 std::shared_ptr<Connection::FrameAccounts>(accounts, &accounts->frames), user_of(peer_uid)),
      id_(id),
      requests_(requests),
      name_(fmt::format("client {}", static_cast<std::uint64_t>(id))),
      peer_uid_(peer_uid),
      accounts_(accounts),
      places_(accounts->places, user()),
      unread_member_(accounts->unread, user()),
      calls_member_(accounts->calls, user()),
      place_(places_, *this),
      unread_(unread_member_, *this) {
  take_turns();
}

// --- messages ------------------------------------------------------------------------------------------------------

void ClientSession::on_frame(const ipc::Frame& frame) {
  handle(frame);
  if (is_open() && must_wait()) pause_until_it_leaves();
}

void ClientSession::handle(const ipc::Frame& frame) {
  const auto message = ipc::decode_client_message(frame);
  if (!message) return cut_off(message.error().message);
  if (const auto* hello = std::get_if<ipc::ClientHello>(&*message)) return greet(*hello);
  if (!greeted_) return cut_off("the first message must be hello");
  if (const auto* call = std::get_if<ipc::CallRequest>(&*message)) {
    if (open_.contains(call->id)) return cut_off(ipc::id_in_use("call", call->id));
    if (over_call_limits())
      return answer(
          call->id,
          overloaded("the client has reached its limit of open calls, and cannot be paused while it loads a module; "
                     "try again later"));
    requests_.client_called(*this, *call);
  } else if (const auto* cancel = std::get_if<ipc::CancelRequest>(&*message)) {
    if (const auto open = open_.find(cancel->id); open != open_.end()) requests_.client_cancelled(*this, open->second);
  } else if (const auto* grant = std::get_if<ipc::StreamGrant>(&*message)) {
    if (const auto open = open_.find(grant->call); open != open_.end())
      requests_.client_granted(open->second, grant->bytes);
  } else if (const auto* line = std::get_if<ipc::OpenLineRequest>(&*message)) {
    if (open_.contains(line->id)) return cut_off(ipc::id_in_use("line", line->id));
    if (over_call_limits())
      return refuse_line(line->id, overloaded("the client has reached its limit of open calls; try again later"));
    requests_.line_wanted(*this, *line);
  } else if (const auto* overdue = std::get_if<ipc::LineCallOverdue>(&*message)) {
    if (const auto open = open_.find(overdue->line); open != open_.end())
      requests_.line_call_overdue(open->second, overdue->call,
                                  overdue->is_late ? LineCallLateness::not_given_up : LineCallLateness::unanswered);
  } else if (const auto* request = std::get_if<ipc::StatsRequest>(&*message)) {
    awaits_view_ = true;
    requests_.stats_wanted(*this, request->id);
  } else if (const auto* loader = std::get_if<ipc::RegisterLoaderRequest>(&*message)) {
    requests_.loader_registered(*this, loader->id, loader->timeout);
  } else if (const auto* source = std::get_if<ipc::SourceReply>(&*message)) {
    handle_source(*source);
  } else if (const auto* logs = std::get_if<ipc::SubscribeLogsRequest>(&*message)) {
    handle_subscription(*logs);
  } else if (const auto* ended = std::get_if<ipc::EndLogsRequest>(&*message)) {
    followed_.erase(ended->id);
    account_for_place();
  } else {
    awaits_view_ = true;
    requests_.workers_wanted(*this, std::get<ipc::ListWorkersRequest>(*message).id);
  }
}

void ClientSession::greet(const ipc::ClientHello& hello) {
  if (greeted_) return cut_off("hello was sent twice");
  if (hello.client_name.size() > kMaxClientNameBytes) {
    return cut_off(fmt::format("the client's name has {} bytes; at most {} are allowed", hello.client_name.size(),
                               kMaxClientNameBytes));
  }
  if (!hello.client_name.empty()) {
    const std::string shown = ipc::clean_utf8(hello.client_name, kMaxClientNameBytes);
    name_ =
        fmt::format("client {} ({})", static_cast<std::uint64_t>(id_), ipc::printable(shown, ipc::Newlines::escape));
  }
  encode(output(), ipc::ServerHello{.protocol_version = ipc::kProtocolVersion,
                                    .server_version = HOLDFAST_VERSION,
                                    .max_frame_bytes = kFrameLimits.max_bytes,
                                    .max_payload_bytes = kMaxPayloadBytes,
                                    .max_calls_in_flight = kMaxCallsInFlight,
                                    .max_source_bytes = ModuleSources::kMaxSourceBytes});
  if (hello.protocol_version != ipc::kProtocolVersion) {
    return cut_off(fmt::format("the client speaks protocol version {}, holdfastd {} speaks {}", hello.protocol_version,
                               HOLDFAST_VERSION, ipc::kProtocolVersion));
  }
  greeted_ = true;
  set_limits(kFrameLimits);
  log_client_line(user(), ipc::LogLevel::debug, name_ + ": connected");
}

void ClientSession::on_violation(const ipc::ProtocolViolation& violation) { cut_off(violation.message); }

void ClientSession::cut_off(const std::string& violation) {
  log_client_line(
      user(), ipc::LogLevel::warning,
      fmt::format("{}: disconnected: protocol violation: {}", name_, ipc::printable(violation, ipc::Newlines::escape)));
  encode(output(), ipc::ProtocolViolation{violation});
  close();
  leave();
}

void ClientSession::turn_away(const std::string& reason) {
  encode(output(), ipc::ProtocolViolation{reason});
  close();
}

// Operations in flight may keep the object alive for a moment; its shares are given back at once.
void ClientSession::leave() {
  place_.use(0, {});
  unread_.use(0, {});
  requests_.client_left(*this);
}

void ClientSession::let_go(const std::string& reason) {
  log_client_line(user(), ipc::LogLevel::warning, fmt::format("{}: disconnected: {}", name_, reason));
  encode(output(), ipc::ProtocolViolation{reason});
  close();
  leave();
}

void ClientSession::on_end(std::string_view reason) {
  log_client_line(user(), ipc::LogLevel::debug, fmt::format("{}: left: {}", name_, reason));
  leave();
}

// --- calls ---------------------------------------------------------------------------------------------------------

void ClientSession::opened(std::uint64_t client_id, CallId call, std::size_t bytes) {
  open_.emplace(client_id, call);
  held_bytes_ += bytes;
  account_for_place();
}

void ClientSession::answer(std::uint64_t client_id, const ipc::ResultView& result, const ipc::Usage& usage,
                           std::size_t bytes) {
  if (!is_open()) return;
  ipc::encode_result(output(), client_id, result, usage);
  closed(client_id, bytes);
}

void ClientSession::answer(std::uint64_t client_id, const ipc::Error& error, const ipc::Usage& usage,
                           std::size_t bytes) {
  if (!is_open()) return;
  ipc::encode_error(output(), client_id, error, usage);
  closed(client_id, bytes);
}

void ClientSession::stream(std::uint64_t client_id, const ipc::ResultView& value) {
  if (is_open()) encode(output(), ipc::ChunkView{client_id, value});
}

void ClientSession::closed(std::uint64_t client_id, std::size_t bytes) {
  if (open_.erase(client_id) > 0) held_bytes_ -= bytes;
  account_for_place();
}

void ClientSession::refuse_line(std::uint64_t client_id, const ipc::Error& error) {
  if (!is_open()) return;
  encode(output(), ipc::LineOpened{client_id, error});
  closed(client_id, 0);
}

void ClientSession::open_line(std::uint64_t client_id, const ipc::CallTimeouts& timeouts, UniqueFd socket) {
  if (!is_open()) return;
  attach(std::move(socket));
  encode(output(), ipc::LineOpened{client_id, timeouts});
}

void ClientSession::end_line(std::uint64_t client_id, ipc::LineEnded ended) {
  if (!is_open()) return;
  ended.line = client_id;
  encode(output(), ended);
  closed(client_id, 0);
}

void ClientSession::show_workers(std::uint64_t id, ipc::WorkerList list) {
  awaits_view_ = false;
  let_others_go_first();
  if (!is_open()) return;
  list.id = id;
  encode(output(), list);
}

void ClientSession::show_stats(std::uint64_t id, ipc::Stats stats) {
  awaits_view_ = false;
  let_others_go_first();
  if (!is_open()) return;
  stats.id = id;
  cut_to_frame(stats);
  encode(output(), stats);
}

// --- sources -------------------------------------------------------------------------------------------------------

void ClientSession::answer_registration(std::uint64_t id, const std::optional<ipc::Error>& error) {
  if (!is_open()) return;
  encode(output(), ipc::LoaderRegistered{id, error});
  if (!error) loads_modules_ = true;
  account_for_place();
}

void ClientSession::want_source(std::uint64_t id, const ipc::ModuleName& name) {
  if (!is_open()) return;
  wanted_.emplace(id, name);
  encode(output(), ipc::SourceWanted{id, name});  // sending it resumes reading, in on_sent()
}

void ClientSession::handle_source(const ipc::SourceReply& source) {
  const auto wanted = wanted_.extract(source.id);
  if (!wanted) return;
  if (const auto* code = std::get_if<ipc::SourceCode>(&source.outcome)) {
    if (code->text.size() > ModuleSources::kMaxSourceBytes) {
      const std::string reason =
          fmt::format("the module's code has {}; at most {} are allowed", ipc::format_size(code->text.size()),
                      ipc::format_size(ModuleSources::kMaxSourceBytes));
      return requests_.source_given(*this, source.id, ipc::SourceFailed{reason});
    }
    const std::string file_name =
        code->file_name.empty()
            ? fmt::format("{}-{}.js", wanted.mapped().module, wanted.mapped().version)
            : ipc::printable(ipc::clean_utf8(code->file_name, kMaxFileNameBytes), ipc::Newlines::escape);
    return requests_.source_given(*this, source.id, ipc::SourceCode{code->text, file_name});
  }
  if (const auto* failed = std::get_if<ipc::SourceFailed>(&source.outcome)) {
    const std::string reason = ipc::clean_utf8(failed->reason, kMaxLoadFailureBytes);
    return requests_.source_given(*this, source.id, ipc::SourceFailed{reason});
  }
  requests_.source_given(*this, source.id, source.outcome);
}

// --- logs ----------------------------------------------------------------------------------------------------------

void ClientSession::handle_subscription(const ipc::SubscribeLogsRequest& request) {
  if (followed_.contains(request.id))
    return cut_off(fmt::format("subscription id {} is used by a subscription that has not ended", request.id));
  if (followed_.size() >= kMaxSubscriptions)
    return cut_off(fmt::format("more than {} subscriptions to logs at a time", kMaxSubscriptions));
  requests_.logs_wanted(*this, request);
  let_others_go_first();
}

void ClientSession::answer_subscription(std::uint64_t id, const std::optional<ipc::Error>& error) {
  if (is_open()) encode(output(), ipc::LogsSubscribed{id, error});
}

void ClientSession::follow_logs(std::uint64_t id, LogFilter filter) {
  followed_.emplace(id, Following{.filter = std::move(filter)});
  account_for_place();
}

void ClientSession::show_line(std::uint64_t id, const ipc::LogRecord& record) {
  if (is_open()) encode_log_record(output(), ipc::LogRecordMessage::For::subscription, id, record);
}

bool ClientSession::reads_too_slowly_for_logs() const { return unsent_bytes() > kMaxUnsentForLogs; }

void ClientSession::show_line(const ipc::LogRecord& record) {
  if (!is_open()) return;
  const bool is_slow = reads_too_slowly_for_logs();
  if (!is_slow) tell_of_dropped_lines();
  for (auto& [id, following] : followed_) {
    if (!following.filter.covers(record)) continue;
    if (is_slow) {
      // A note about dropped lines counts as that many lines.
      following.dropped += std::max<std::uint64_t>(record.dropped, 1);
      lines_were_dropped_ = true;
    } else {
      show_line(id, record);
    }
  }
}

bool ClientSession::show_line_of_call(std::uint64_t client_id, const ipc::LogRecord& record) {
  if (reads_too_slowly_for_logs()) return false;
  if (is_open()) encode_log_record(output(), ipc::LogRecordMessage::For::call, client_id, record);
  return true;
}

void ClientSession::tell_of_dropped_lines() {
  if (!std::exchange(lines_were_dropped_, false)) return;
  for (auto& [id, following] : followed_) {
    if (following.dropped == 0) continue;
    show_line(id, {.time = std::chrono::system_clock::now().time_since_epoch(),
                   .level = ipc::LogLevel::warning,
                   .module = following.filter.module,
                   .version = following.filter.version,
                   .request_id = {},
                   .text = fmt::format("{} log {} dropped: the client reads them more slowly than they come",
                                       following.dropped, following.dropped == 1 ? "line" : "lines"),
                   .dropped = std::exchange(following.dropped, 0)});
  }
}

// --- back-pressure -------------------------------------------------------------------------------------------------

void ClientSession::on_sent() {
  others_go_first_ = false;
  if (lines_were_dropped_ && unsent_bytes() == 0) tell_of_dropped_lines();
  if (unsent_bytes() > kCutOffUnsentBytes) {
    log_client_line(
        user(), ipc::LogLevel::warning,
        fmt::format("{}: disconnected: it left {} of answers unread", name_, ipc::format_size(unsent_bytes())));
    close();
    return leave();
  }
  account_for_unread();
  if (is_open() && !must_wait()) resume();
}

void ClientSession::account_for_unread() {
  if (unsent_bytes() == 0 && unread_.used() == 0) return;
  const auto now = std::chrono::steady_clock::now();
  const bool has_taken = sent_bytes() != std::exchange(sent_bytes_before_, sent_bytes());
  if (has_taken || unread_.used() == 0) took_last_ = now;
  unread_.use(unsent_bytes(), now);
  if (has_taken) unread_.made_progress(now);
  while (ClientSession* holder = accounts_->unread.over_bounds(unread_)) {
    const auto kept = holder->shared_from_this();
    holder->let_go(fmt::format("it left {} of answers unread, and memory for unread answers of its user is short",
                               ipc::format_size(holder->unsent_bytes())));
    if (holder == this) return;
  }
}

bool ClientSession::has_given_up_reading(std::chrono::steady_clock::time_point now) const {
  const bool is_much = unread_.used() > ClientAccounts::kMuchUnread;
  return unread_.used() > 0 &&
         now - took_last_ > (is_much ? std::chrono::steady_clock::duration(ClientAccounts::kMuchUnreadPatience)
                                     : ClientAccounts::kUnreadPatience);
}

bool ClientSession::over_call_limits() const {
  return open_.size() >= kMaxCallsInFlight || held_bytes_ > kMaxOpenCallBytes;
}

bool ClientSession::must_wait() const {
  return others_go_first_ || awaits_view_ || unsent_bytes() > kMaxUnsentBytes ||
         (over_call_limits() && wanted_.empty());
}

}  // namespace holdfast::supervisor
