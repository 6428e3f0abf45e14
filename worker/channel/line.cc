#include "worker/channel/line.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "ipc/call_rules.h"
#include "ipc/send_some.h"

namespace holdfast::worker {
namespace {

// The largest payload plus its overhead: all of the worker's memory that a client can occupy by sending.
constexpr ipc::FrameLimits kLimits{.max_bytes = std::size_t{17} << 20, .max_segments = 64};

// While more than this is unsent, nothing is read: the client must take its answers first.
constexpr std::size_t kMaxUnsentBytes = std::size_t{4} << 20;

// How long a client may take to read its last answers once the line is withdrawn.
constexpr std::chrono::seconds kLastWait{1};

void count(std::atomic<std::uint64_t>& counter) {
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

}  // namespace

// --- the line's life -----------------------------------------------------------------------------------------------

bool Line::open(const ipc::OpenWorkerLine& request, std::uint64_t max_payload_bytes) {
  if (state_ != State::unopened) return false;
  state_ = State::open;
  request_ = request;
  max_payload_bytes_ = max_payload_bytes;
  in_.set_limits(kLimits);
  return true;
}

void Line::close() {
  if (state_ != State::open) return;
  state_ = State::closing;
  encode(out_, ipc::LineClosing{taken_});
}

void Line::end(std::string violation) {
  if (!is_connected()) return;
  state_ = State::ending;
  violation_ = std::move(violation);
  out_ = {};
  may_have_frames_ = false;
}

bool Line::is_done(TimePoint now) {
  if (!is_served() || state_ == State::open || !calls_.empty()) return false;
  if (state_ == State::ending || out_.empty()) return true;
  if (!last_wait_) last_wait_ = now + kLastWait;
  return *last_wait_ <= now;
}

void Line::answer_own_call(ipc::OutputBuffer& out) {
  state_ = State::ended;
  if (violation_.empty()) return ipc::encode_worker_result(out, request_.call, {});
  ipc::encode_worker_error(out, request_.call, ipc::make_error(ipc::ErrorCode::protocol_error, std::move(violation_)));
}

// --- the socket ----------------------------------------------------------------------------------------------------

bool Line::wants_input() const { return is_connected() && !may_have_frames_ && out_.size_bytes() <= kMaxUnsentBytes; }

bool Line::receive() {
  if (!wants_input()) return false;
  const auto space = in_.prepare();
  const ssize_t count = ::recv(socket_.get(), space.data(), space.size(), MSG_DONTWAIT);
  if (count < 0 && (errno == EINTR || errno == EAGAIN)) return false;
  if (count <= 0) {
    end();
    return true;
  }
  in_.commit(static_cast<std::size_t>(count));
  received_at_.reset();
  may_have_frames_ = true;
  find_cancelled();
  return true;
}

void Line::send_some() {
  if (is_connected() && ipc::send_some(socket_, out_) != 0) end();
}

// Finds calls that were cancelled while they waited here, so that they are not begun.
void Line::find_cancelled() {
  cancelled_.clear();
  in_.look_ahead([this](const ipc::Frame& frame) {
    if (const auto id = ipc::cancelled_call(frame)) cancelled_.push_back(*id);
  });
}

// --- calls ---------------------------------------------------------------------------------------------------------

std::optional<Line::Work> Line::next(std::size_t open_calls, TimePoint now) {
  const TimePoint received_at = received_at_.value_or(now);
  received_at_ = received_at;
  while (is_connected() && has_work(open_calls)) {
    const auto frame = in_.next();
    if (!frame) {
      end(frame.error().message);
    } else if (!frame->has_value()) {
      may_have_frames_ = false;
    } else if (const auto message = ipc::decode_client_message(**frame); !message) {
      end(message.error().message);
    } else if (const auto* call = std::get_if<ipc::CallRequest>(&*message)) {
      if (auto work = take(*call, received_at)) return work;
    } else if (const auto* cancel = std::get_if<ipc::CancelRequest>(&*message)) {
      if (auto work = take(*cancel)) return work;
    } else {
      end("a message that is not allowed on a direct line");
    }
  }
  return std::nullopt;
}

std::optional<Line::Work> Line::take(const ipc::CallRequest& call, TimePoint received_at) {
  if (state_ == State::closing) return std::nullopt;  // close() told the client how many were accepted
  const auto has_its_id = [&](const OpenCall& open) { return open.client_id == call.id && !open.answered; };
  if (!call.module.empty() || !call.version.empty() || call.stream_window_bytes > 0 || call.logs) {
    end("a call on a direct line must not name a module, take a stream or ask for logs");
    return std::nullopt;
  }
  if (std::ranges::any_of(calls_, has_its_id)) {
    end(ipc::id_in_use("call", call.id));
    return std::nullopt;
  }
  ++taken_;
  if (const auto found = std::ranges::find(cancelled_, call.id); found != cancelled_.end()) {
    cancelled_.erase(found);
    tell(call.id, ipc::cancelled_by_client(ipc::Executed::no));
    return std::nullopt;
  }
  if (const auto problem = ipc::size_problem(call, max_payload_bytes_)) {
    tell(call.id, *problem);
    return std::nullopt;
  }
  const auto timeout = ipc::call_time(call.timeout, {request_.default_timeout, request_.longest_timeout});
  const std::uint64_t number = ipc::SharedPage::kLineBit | taken_;
  calls_.push_back({number, call.id, received_at + timeout});
  return ipc::WorkerCall{.id = number,
                         .function = call.function,
                         .payload = call.payload,
                         .encoding = call.encoding,
                         .arguments = call.arguments,
                         .deadline = received_at + timeout,
                         .result_encoding = call.result_encoding};
}

std::optional<Line::Work> Line::take(const ipc::CancelRequest& cancel) {
  if (const auto ahead = std::ranges::find(cancelled_, cancel.id); ahead != cancelled_.end()) cancelled_.erase(ahead);
  for (OpenCall& open : calls_) {
    if (open.client_id != cancel.id || open.answered) continue;
    open.answered = true;
    tell(open.client_id, ipc::cancelled_by_client(ipc::Executed::maybe));
    return ipc::WorkerCancel{open.number, ipc::CancelReason::cancelled};
  }
  return std::nullopt;  // its answer may have crossed this message
}

std::optional<ipc::WorkerCancel> Line::next_to_give_up(TimePoint now) {
  for (OpenCall& open : calls_) {
    if (open.answered) continue;
    if (state_ == State::ending) {
      open.answered = true;
      return ipc::WorkerCancel{open.number, ipc::CancelReason::cancelled};
    }
    if (open.deadline > now) continue;
    open.answered = true;
    tell(open.client_id, ipc::overdue_while_waiting());
    return ipc::WorkerCancel{open.number, ipc::CancelReason::deadline_exceeded};
  }
  return std::nullopt;
}

std::optional<Line::TimePoint> Line::next_deadline() const {
  std::optional<TimePoint> next = last_wait_;
  for (const OpenCall& open : calls_) {
    if (!open.answered) next = std::min(open.deadline, next.value_or(open.deadline));
  }
  return next;
}

void Line::answer(std::uint64_t number, const ipc::ResultView& result) {
  const auto open = std::ranges::find(calls_, number, &OpenCall::number);
  if (open == calls_.end()) return;
  if (!open->answered && is_connected()) {
    count(page_.line_results);
    ipc::encode_result(out_, open->client_id, result, {});
  }
  calls_.erase(open);
}

void Line::answer(std::uint64_t number, const ipc::Error& error) {
  const auto open = std::ranges::find(calls_, number, &OpenCall::number);
  if (open == calls_.end()) return;
  if (!open->answered) tell(open->client_id, error);
  calls_.erase(open);
}

void Line::tell(std::uint64_t client_id, const ipc::Error& error) {
  if (!is_connected()) return;
  count(page_.line_errors[static_cast<std::size_t>(error.code)]);
  ipc::encode_error(out_, client_id, error, {});
}

}  // namespace holdfast::worker
