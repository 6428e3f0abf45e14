#include "ipc/client_line.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "ipc/call_rules.h"
#include "ipc/send_some.h"
#include "ipc/server_messages.h"

namespace holdfast::ipc {
namespace {

using Clock = std::chrono::steady_clock;

Error unanswered() { return overdue(", and neither its worker nor the supervisor answered", Executed::maybe); }

}  // namespace

ClientLine::ClientLine(std::uint64_t id, ModuleName module, UniqueFd socket, const CallTimeouts& timeouts,
                       std::uint64_t max_payload_bytes)
    : id_(id),
      module_(std::move(module)),
      socket_(std::move(socket)),
      timeouts_(timeouts),
      max_payload_bytes_(max_payload_bytes),
      // The largest frame of a worker is an answer with the largest payload.
      in_({.max_bytes = max_payload_bytes + (std::size_t{1} << 20), .max_segments = 1}) {}

// --- calls ---------------------------------------------------------------------------------------------------------

void ClientLine::start(std::uint64_t id, const CallRequest& request, AnswerHandler handler) {
  const auto timeout = call_time(request.timeout, timeouts_);
  Call& call = calls_[id];
  call.place = ++sent_;
  call.sent_at = Clock::now();
  call.kept = {.id = id,
               .function = std::string(request.function),
               .payload = std::string(as_text(request.payload)),
               .request = request,
               .deadline = call.sent_at + timeout,
               .handler = std::move(handler)};
  call.kept.request.id = id;
  call.kept.request.module = call.kept.request.version = {};
  call.kept.request.stream_window_bytes = 0;
  call.kept.request.logs = false;
  encode(out_, call.kept.request);
  call.kept.request.function = {};
  call.kept.request.payload = {};
  next_look_ = std::min(next_look_, call.kept.deadline);
  ++open_calls_;
}

bool ClientLine::cancel(std::uint64_t id) {
  const auto found = calls_.find(id);
  if (found == calls_.end() || found->second.is_settled) return false;
  settle(found->second, tl::unexpected(cancelled_by_client(Executed::maybe)));
  return true;
}

// Answers the call here, and tells the worker, which still has the call, to give it up.
void ClientLine::settle(Call& call, Answer answer) {
  const auto now = Clock::now();
  answer.usage.run = now - call.sent_at;
  answered.push_back({std::move(call.kept.handler), std::move(answer)});
  call.is_settled = true;
  call.late_at = now + kLineLate;
  next_look_ = std::min(next_look_, call.late_at);
  call.kept.payload = {};
  --open_calls_;
  if (socket_) encode(out_, CancelRequest{call.kept.id});
}

std::vector<LineCallOverdue> ClientLine::look_at_times(TimePoint now) {
  std::vector<LineCallOverdue> told;
  if (now < next_look_) return told;
  next_look_ = TimePoint::max();
  Call* late = nullptr;
  for (auto& [id, call] : calls_) {
    if (!call.is_settled && call.kept.deadline <= now && !std::exchange(call.is_overdue, true)) {
      told.push_back({id_, call.place});
    }
    if (!call.is_settled && call.is_overdue && call.kept.deadline + kLineGrace <= now) {
      settle(call, tl::unexpected(unanswered()));
    }
    if (call.is_settled && call.late_at <= now) {
      call.late_at = now + kLineLate;
      if (late == nullptr || call.place < late->place) late = &call;
    }
    next_look_ = std::min(next_look_, next_look_at(call));
  }
  if (late != nullptr && socket_) told.push_back({id_, late->place, true});
  return told;
}

ClientLine::TimePoint ClientLine::next_look_at(const Call& call) {
  if (call.is_settled) return call.late_at;
  return call.is_overdue ? call.kept.deadline + kLineGrace : call.kept.deadline;
}

// --- the socket ----------------------------------------------------------------------------------------------------

void ClientLine::flush() {
  if (!socket_ || send_some(socket_, out_) == 0) return;
  // Reads what the worker sent before it ended.
  while (receive()) {
  }
  socket_.reset();
}

bool ClientLine::receive() {
  if (!socket_) return false;
  const auto space = in_.prepare();
  const ssize_t count = ::recv(socket_.get(), space.data(), space.size(), MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (count <= 0) {
    socket_.reset();  // the worker has ended; the supervisor will say how far it came
    return true;
  }
  in_.commit(static_cast<std::size_t>(count));
  take_messages(
      in_, [this] { return static_cast<bool>(socket_); }, [this](ServerMessage message) { handle(std::move(message)); },
      [this](const std::string& violation) { drop(violation); });
  return true;
}

void ClientLine::drop(std::string violation) {
  violation_ = std::move(violation);
  wish_to_give_up_ = true;
  socket_.reset();
  out_ = {};
}

void ClientLine::handle(ServerMessage message) {
  if (auto* answer = std::get_if<AnswerView>(&message)) return handle(std::move(*answer));
  if (const auto* closing = std::get_if<LineClosing>(&message)) return handle(*closing);
  drop("a message that has no place on a direct line");
}

void ClientLine::handle(AnswerView view) {
  const auto found = calls_.find(view.id);
  if (found == calls_.end()) return drop(fmt::format("an answer to call {}, which is not open", view.id));
  Call& call = found->second;
  const auto now = Clock::now();
  Answer answer;
  if (const auto* result = std::get_if<ResultView>(&view.outcome)) {
    if (result->payload.size() > max_payload_bytes_) return drop("a result that is too large");
    if (!call.is_settled) answer = Result{std::string(as_text(result->payload)), result->encoding};
  } else {
    auto& error = std::get<Error>(view.outcome);
    // A call that the client cancelled is already settled.
    const bool is_its_to_say = is_workers_to_say(error.code, call.kept.deadline, now) &&
                               (error.code != ErrorCode::cancelled || call.is_settled);
    if (!is_its_to_say) return drop(fmt::format("the error {}, which a worker may not give", to_string(error.code)));
    if (!call.is_settled) answer = tl::unexpected(cleaned(std::move(error)));
  }
  if (!call.is_settled) {
    answer.usage.run = now - call.sent_at;
    answered.push_back({std::move(call.kept.handler), std::move(answer)});
    --open_calls_;
  }
  calls_.erase(found);
  give_up_if_done();
}

// Once a withdrawn line has no calls, nothing more can come on it. The client gives it up itself, so that a worker
// which does not end the line cannot keep it.
void ClientLine::give_up_if_done() {
  if (closing_ && calls_.empty()) wish_to_give_up_ = true;
}

void ClientLine::handle(const LineClosing& closing) {
  if (std::exchange(closing_, true)) return drop("a second message of its withdrawal");
  std::vector<Call> not_taken_on;
  for (auto at = calls_.begin(); at != calls_.end();) {
    if (at->second.place <= closing.accepted) {
      ++at;
    } else {
      not_taken_on.push_back(std::move(at->second));
      at = calls_.erase(at);
    }
  }
  std::ranges::sort(not_taken_on, {}, &Call::place);
  for (Call& call : not_taken_on) {
    if (call.is_settled) continue;
    relayed.push_back(std::move(call.kept));
    --open_calls_;
  }
  give_up_if_done();
}

// --- the end -------------------------------------------------------------------------------------------------------

// Takes all calls that are not settled, in the order in which they were sent. Settled calls have their answer.
template <typename Settle>
void ClientLine::take_all(Settle settle) {
  socket_.reset();
  std::vector<Call> calls;
  for (auto& [id, call] : calls_) {
    if (!call.is_settled) calls.push_back(std::move(call));
  }
  calls_.clear();
  open_calls_ = 0;
  next_look_ = TimePoint::max();
  std::ranges::sort(calls, {}, &Call::place);
  const auto now = Clock::now();
  for (Call& call : calls) {
    const Error* error = settle(call);
    if (error == nullptr) {
      relayed.push_back(std::move(call.kept));
      continue;
    }
    Answer answer = tl::unexpected(*error);
    answer.usage.run = now - call.sent_at;
    answered.push_back({std::move(call.kept.handler), std::move(answer)});
  }
}

void ClientLine::end(const LineEnded& ended) {
  Error others = ended.others_error;
  if (!violation_.empty())
    others.message += "; the client dropped the line because its worker broke a rule: " + violation_;
  take_all([&](const Call& call) -> const Error* {
    if (call.place > ended.started) return nullptr;
    if (call.place == ended.guilty) return &ended.guilty_error;
    return call.kept.request.idempotent ? nullptr : &others;
  });
}

void ClientLine::end(const Error& error) {
  while (receive()) {
  }
  take_all([&](const Call&) { return &error; });
}

}  // namespace holdfast::ipc
