// The parts of Client that deal with direct lines.
#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "ipc/call_rules.h"
#include "ipc/client.h"
#include "ipc/client_line.h"
#include "ipc/packet.h"

namespace holdfast::ipc {

using Clock = std::chrono::steady_clock;

// --- their life ----------------------------------------------------------------------------------------------------

bool Client::has_line(const ModuleName& module) const {
  return std::ranges::any_of(lines_, [&](const auto& line) { return line->takes_calls() && line->module() == module; });
}

void Client::line_opened(const LineOpened& opened) {
  auto wanted = lines_wanted_.extract(opened.id);
  if (wanted.empty()) return lose_connection("a direct line that was not asked for");
  const auto* timeouts = std::get_if<CallTimeouts>(&opened.outcome);
  if (timeouts == nullptr) return;
  if (descriptors_.empty()) return lose_connection("a direct line came without its socket");
  lines_.push_back(std::make_unique<ClientLine>(opened.id, std::move(wanted.mapped()), std::move(descriptors_.front()),
                                                *timeouts, server_.max_payload_bytes));
  descriptors_.pop_front();
}

void Client::line_ended(const LineEnded& ended) {
  const auto found = std::ranges::find_if(lines_, [&](const auto& line) { return line->id() == ended.line; });
  if (found == lines_.end()) return lose_connection(fmt::format("the end of line {}, which is not open", ended.line));
  const std::unique_ptr<ClientLine> line = std::move(*found);
  lines_.erase(found);
  // Everything that the worker sent has arrived by now. A worker that still lives could go on sending, but each
  // answer takes a call off the line, and anything else drops the line and ends this loop.
  while (line->receive()) {
  }
  line->end(ended);
  take_outcomes(*line);
}

void Client::end_lines() {
  const auto lines = std::exchange(lines_, {});
  for (const auto& line : lines) {
    line->end(connection_lost(lost_because_, Executed::maybe));
    take_outcomes(*line);
  }
  lines_wanted_.clear();
  descriptors_.clear();
}

// --- their calls ---------------------------------------------------------------------------------------------------

ClientLine* Client::line_for(const CallRequest& request, const CallReaders& readers) {
  if (readers.on_chunk || readers.on_log) return nullptr;
  for (const auto& line : lines_) {
    const ModuleName& module = line->module();
    if (line->takes_calls() && module.module == request.module && module.version == request.version) return line.get();
  }
  return nullptr;
}

std::size_t Client::calls_on_lines() const {
  std::size_t calls = 0;
  for (const auto& line : lines_) calls += line->open_calls();
  return calls;
}

void Client::take_outcomes(ClientLine& line) {
  for (auto& [handler, answer] : line.answered) answered(std::move(handler), std::move(answer));
  line.answered.clear();
  for (auto& call : line.relayed) {
    call.request.module = line.module().module;
    call.request.version = line.module().version;
    call.request.function = call.function;
    call.request.payload = as_bytes(call.payload);
    relay(call.id, call.request, call.deadline, std::move(call.handler));
  }
  line.relayed.clear();
  if (line.take_wish_to_give_up() && connected()) encode(out_, CancelRequest{line.id()});
}

// Relays the call with its old id, for what is left of its time.
void Client::relay(std::uint64_t id, CallRequest request, Clock::time_point deadline, AnswerHandler handler) {
  if (!connected()) {
    return answered(std::move(handler), tl::unexpected(connection_lost(lost_because_, Executed::no)));
  }
  request.timeout = deadline - Clock::now();
  if (request.timeout.count() <= 0) {
    return answered(std::move(handler), tl::unexpected(overdue(" before its direct line's worker began it")));
  }
  open_[id].on_answer = std::move(handler);
  encode(out_, request);
}

void Client::look_at_times_of_lines() {
  const auto now = Clock::now();
  for (const auto& line : lines_) {
    for (const LineCallOverdue& overdue : line->look_at_times(now)) encode(out_, overdue);
    take_outcomes(*line);
  }
}

// --- their sockets ---------------------------------------------------------------------------------------------------

// Waits for the lines and the connection to the supervisor, whichever comes first.
void Client::wait_for_lines(std::optional<std::chrono::milliseconds> timeout) {
  if (const auto wakeup = next_wakeup()) {
    const auto left =
        std::max(std::chrono::ceil<std::chrono::milliseconds>(*wakeup - Clock::now()), std::chrono::milliseconds(0));
    timeout = std::min(left, timeout.value_or(left));
  }
  std::vector<pollfd> wanted;
  const auto want = [&](int fd, std::size_t unsent) {
    wanted.push_back({fd, static_cast<short>(POLLIN | (unsent == 0 ? 0 : POLLOUT)), 0});
  };
  want(socket_.get(), out_.size_bytes());
  for (const auto& line : lines_) want(line->fd(), line->unsent_bytes());  // poll(2) ignores -1
  if (!wait_for(wanted, timeout, open_.empty() ? line_poll_ : busy_poll_)) return look_at_times_of_lines();
  flush();
  receive_from_lines();
  if (connected() && (wanted.front().revents & ~POLLOUT) != 0) receive();
}

// Returns and sets errno like recv(2). If no line is wanted, recv(2) lets the kernel close descriptors that come all
// the same.
ssize_t Client::receive_into(std::span<std::byte> space) {
  if (lines_wanted_.empty()) return ::recv(socket_.get(), space.data(), space.size(), MSG_DONTWAIT);
  auto received = receive_with_descriptors(socket_, space);
  if (!received) {
    errno = received.error().value();
    return -1;
  }
  for (UniqueFd& fd : received->fds) descriptors_.push_back(std::move(fd));
  return static_cast<ssize_t>(received->bytes);
}

bool Client::receive_from_lines() {
  bool received = false;
  for (const auto& line : lines_) {
    if (!line->receive()) continue;
    received = true;
    take_outcomes(*line);
  }
  return received;
}

// --- for the caller's loop -----------------------------------------------------------------------------------------

std::size_t Client::unsent_bytes() const {
  std::size_t bytes = out_.size_bytes();
  for (const auto& line : lines_) bytes += line->unsent_bytes();
  return bytes;
}

std::vector<int> Client::line_fds() const {
  std::vector<int> fds;
  for (const auto& line : lines_) {
    if (line->fd() >= 0) fds.push_back(line->fd());
  }
  return fds;
}

std::optional<Clock::time_point> Client::next_wakeup() const {
  std::optional<Clock::time_point> next;
  for (const auto& line : lines_) {
    if (line->next_look() == Clock::time_point::max()) continue;
    next = std::min(line->next_look(), next.value_or(line->next_look()));
  }
  return next;
}

}  // namespace holdfast::ipc
