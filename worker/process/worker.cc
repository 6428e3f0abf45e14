#include "worker/process/worker.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <utility>

#include "ipc/large_memory.h"
#include "worker/v8/fatal_report.h"
#include "worker/v8/native_memory.h"
#include "worker/v8/warm_up.h"

namespace holdfast::worker {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Answers are sent when a turn ends. They are sent earlier when this much has gathered, or when the calls since the
// last sending took this long, and twice as long each further time. The supervisor and the clients then work on them
// while the worker goes on.
constexpr std::size_t kSendAtBytes = std::size_t{64} << 10;
constexpr std::chrono::microseconds kSendAfter{10};

// After a step that took longer than this, cancellations may have arrived.
constexpr milliseconds kSlowStep{1};

// Calls that come within this time of each other are calls in a row. After a slow step between calls in a row, calls
// have priority for as long as it took.
constexpr milliseconds kInARow{5};
// While more than this is unsent, no further request is read: the supervisor must take its answers first.
constexpr std::size_t kMaxUnsentBytes = std::size_t{4} << 20;

// Neither the line's calls nor the relayed calls fall further behind the others than this.
constexpr steady_clock::duration kMostAhead = milliseconds(100);

// How often the supervisor's socket is read while the worker busy-polls the line.
constexpr std::chrono::microseconds kLookAtSupervisor{50};

// Memory is given back when nothing was received for this long.
constexpr milliseconds kQuiet{20};

// With nanoseconds, so that a timer fires right at a step of the module's clock.
timespec as_timespec(steady_clock::duration duration) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(duration);
  return {seconds.count(), (duration - seconds).count()};
}

}  // namespace

Worker::Worker(Engine& engine, BorrowedFd socket, Line* line, ipc::SharedPage& page)
    : engine_(engine), socket_(socket), outbox_(socket), line_(line), page_(page) {}

// Warms up if no caller waits. A worker that was forked for a call has its work in the socket already.
void Worker::prepare() {
  pollfd wanted = {socket_.get(), POLLIN, 0};
  constexpr timespec kNow{};
  if (::ppoll(&wanted, 1, &kNow, nullptr) == 0) {
    make_first_call(engine_);
    encode(outbox_.buffer(), ipc::WorkerReady{});
    outbox_.send_some();
    give_back_free_pages();
  }
  host_.emplace(engine_, outbox_, line_, page_);
}

void Worker::run() {
  prepare();
  for (;;) {
    wait_for_work();
    if (soft_stop_requested()) end_between_stretches();
    sent_at_ = step_began_ = steady_clock::now();
    send_after_ = kSendAfter;
    handle_frames();
    run_turns();
    host_->run_pending_tasks();
    if (host_->is_loading()) {
      note_load(host_->follow_load(steady_clock::now()));
      handle_frames();  // those that came during the load
    }
    settle_memory();
    look_after_line();
    send_some();
    // Gives back what compiling took, most of it in the first turns. No caller waits for it now.
    if (std::has_single_bit(++turns_)) give_back_free_pages();
  }
}

// Runs the tasks that are queued now, for about as long as one slow step. The rest, and what these tasks queue, waits
// until the sockets have been read, so that calls get their share.
void Worker::run_turns() {
  const auto next = host_->next_turn();
  if (!next) return;
  const auto now = steady_clock::now();
  if (*next > now) return;
  host_->let_go(now);
  if (gives_way_until()) return;
  host_->queue_due_timers(now);
  send_some();  // answers that are ready go out, whatever the tasks do
  // Queueing timers is not part of a task's step.
  const auto began = std::exchange(step_began_, steady_clock::now());
  for (std::size_t left = host_->queued_tasks(); left > 0 && step_began_ - began <= kSlowStep; --left) {
    host_->run_task();
    end_step();
    put_calls_first();
  }
}

// After a slow step, gives calls priority for as long as it took, on top of what they have already.
void Worker::put_calls_first() {
  if (step_took_ > kSlowStep) calls_first_until_ = std::max(calls_first_until_, step_began_) + step_took_;
}

// Until when queued tasks wait, so that calls that come in the meantime run first; nothing if they need not wait.
std::optional<steady_clock::time_point> Worker::gives_way_until() const {
  const auto until = std::min(last_call_at_ + kInARow, calls_first_until_);
  if (until == steady_clock::time_point{}) return std::nullopt;
  return until > steady_clock::now() ? std::optional(until) : std::nullopt;
}

bool Worker::is_congested() const { return outbox_.unsent_bytes() > kMaxUnsentBytes; }

// Settles memory and accounts for the step's time. Sends answers that are ready before slow work that comes after them.
void Worker::end_step() {
  settle_memory();
  const auto now = steady_clock::now();
  const bool was_lines = host_->end_step(now);
  step_took_ = now - step_began_;
  if (was_lines && serves_line()) {
    line_ahead_ = std::min(line_ahead_ + step_took_, kMostAhead);
    page_.line_time.store(
        page_.line_time.load(std::memory_order_relaxed) + static_cast<std::uint64_t>(step_took_.count()),
        std::memory_order_relaxed);
  }
  const bool was_slow = step_took_ > kSlowStep;
  step_began_ = now;
  was_slow_ = was_slow_ || was_slow;
  const bool has_more = in_.buffered_bytes() > 0 || (serves_line() && line_->has_work(host_->open_calls()));
  const bool is_long_unsent = now - sent_at_ >= send_after_ && has_more;
  const bool is_much_unsent =
      outbox_.unsent_bytes() >= kSendAtBytes || (serves_line() && line_->unsent_bytes() >= kSendAtBytes);
  if (was_slow || is_long_unsent || is_much_unsent) {
    send_some();
    sent_at_ = now;
    send_after_ *= 2;
  }
}

// Gives back the memory that slow compiling or a large payload took. Not called if more such work comes at once.
void Worker::give_memory_back() {
  was_slow_ = false;
  give_back_at_.reset();
  ipc::LargeMemory::release_kept();
  give_back_free_pages();
}

// Returns when something was received, a timer is due, or the socket took more output.
void Worker::wait_for_work() {
  auto turn = host_->next_turn();
  if (const auto later = gives_way_until(); turn && later) turn = std::max(*turn, *later);
  const bool has_memory_to_give_back = was_slow_ || ipc::LargeMemory::kept_bytes() > 0;
  if (!turn && outbox_.empty() && !has_memory_to_give_back && !left_frames_ && !serves_line()) {
    receive(0);  // the common case: one system call, which blocks
    return;
  }
  if (has_memory_to_give_back && !give_back_at_) give_back_at_ = steady_clock::now() + kQuiet;
  auto until = turn;
  if (give_back_at_ && (!until || *give_back_at_ < *until)) until = give_back_at_;
  if (left_frames_) until = steady_clock::time_point{};
  if (serves_line()) return wait_for_both(until);
  timespec timeout = {};
  if (until) timeout = as_timespec(std::max(*until - steady_clock::now(), steady_clock::duration(0)));
  pollfd wanted = {socket_.get(), static_cast<short>((is_congested() ? 0 : POLLIN) | (outbox_.empty() ? 0 : POLLOUT)),
                   0};
  const int count = ::ppoll(&wanted, 1, until ? &timeout : nullptr, nullptr);
  if (count == 0 && !left_frames_ && give_back_at_ && *give_back_at_ <= steady_clock::now()) give_memory_back();
  if (count <= 0) return;
  if ((wanted.revents & POLLOUT) != 0) outbox_.send_some();
  if ((wanted.revents & (POLLIN | POLLHUP)) != 0 && !is_congested()) receive(MSG_DONTWAIT);
}

// Whether there is nothing to do until the line's next call, or until a later time.
bool Worker::waits_for_line_alone() const {
  return line_->wants_input() && !line_->has_output() && outbox_.empty() && !left_frames_ && host_->open_calls() == 0;
}

// Busy-polls the line. Returns true if the next call, or a soft stop, came so soon that sleeping was not worthwhile.
bool Worker::look_for_call(steady_clock::duration longest) {
  const auto receive_call = [this] { return line_->receive() || soft_stop_requested(); };
  const auto go_on = [] {};  // the filter allows no system call that yields the CPU
  if (!ipc::busy_poll_until(line_poll_, std::min(longest, line_poll_.longest()), receive_call, go_on)) return false;
  give_back_at_.reset();
  if (const auto now = steady_clock::now(); now - looked_at_supervisor_ >= kLookAtSupervisor) {
    looked_at_supervisor_ = now;
    receive(MSG_DONTWAIT);
  }
  return true;
}

// wait_for_work() for a worker with a direct line: waits for both sockets until `until`, or earlier deadlines of the
// line.
void Worker::wait_for_both(std::optional<steady_clock::time_point> until) {
  if (const auto deadline = line_->next_deadline()) until = std::min(*deadline, until.value_or(*deadline));
  const bool line_has_work = line_->has_work(host_->open_calls());
  const auto line_waits = line_has_work ? line_waits_until() : std::nullopt;
  if (line_waits) {
    until = std::min(*line_waits, until.value_or(*line_waits));
  } else if (line_has_work) {
    until = steady_clock::time_point{};
  }
  const auto left = [&] {
    return until ? std::max(*until - steady_clock::now(), steady_clock::duration(0)) : steady_clock::duration::max();
  };
  const bool waits_for_line = !line_waits && waits_for_line_alone();
  if (waits_for_line && look_for_call(left())) return;
  if (soft_stop_requested()) return;  // the signal came while no system call could be interrupted
  const auto began = steady_clock::now();
  const auto time = left();
  const timespec timeout = as_timespec(until ? time : steady_clock::duration(0));
  pollfd wanted[] = {
      {socket_.get(), static_cast<short>((is_congested() ? 0 : POLLIN) | (outbox_.empty() ? 0 : POLLOUT)), 0},
      // A negative descriptor is ignored: a line whose client is gone would be ready for ever.
      {line_->is_connected() ? line_->socket().get() : -1,
       static_cast<short>((line_->wants_input() && !line_waits ? POLLIN : 0) | (line_->has_output() ? POLLOUT : 0)),
       0}};
  const int count = ::ppoll(wanted, std::size(wanted), until ? &timeout : nullptr, nullptr);
  // The time that the line has waited reduces its lead, so that it does not wait as long for each relayed call.
  if (line_waits) line_ahead_ = std::max(line_ahead_ - (steady_clock::now() - began), steady_clock::duration(0));
  if (waits_for_line && time > steady_clock::duration(0)) {
    const bool has_call = count > 0 && (wanted[1].revents & POLLIN) != 0;
    line_poll_.slept(has_call ? steady_clock::now() - began : steady_clock::duration::max());
  }
  if (count == 0 && !left_frames_ && give_back_at_ && *give_back_at_ <= steady_clock::now()) give_memory_back();
  if (count <= 0) return;
  if ((wanted[0].revents & POLLOUT) != 0) outbox_.send_some();
  if ((wanted[0].revents & (POLLIN | POLLHUP)) != 0 && !is_congested()) receive(MSG_DONTWAIT);
  if ((wanted[1].revents & POLLOUT) != 0) line_->send_some();
  if ((wanted[1].revents & POLLIN) != 0) {
    line_->receive();
    give_back_at_.reset();
  } else if (wanted[1].revents != 0 && (wanted[1].revents & POLLOUT) == 0) {
    line_->end();  // its client is gone
  }
}

void Worker::receive(int flags) {
  const auto space = in_.prepare();
  const ssize_t count = ::recv(socket_.get(), space.data(), space.size(), flags);
  if (count < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (count <= 0) ::_exit(0);  // the supervisor closed the socket, or is gone
  in_.commit(static_cast<std::size_t>(count));
  give_back_at_.reset();
}

// Handles received frames. A call that was cancelled while it waited here is not begun; cancellations are looked for
// when several frames wait at once. Calls that come with their module wait until it is loaded.
void Worker::handle_frames() {
  received_ = true;
  left_frames_ = false;
  frames_since_ = step_began_;
  while (!host_->is_loading()) {
    // The line's calls and the supervisor's get equal shares of the time while there are both. A side without work
    // does not fall behind.
    constexpr steady_clock::duration kEven{};
    bool had_work = line_ahead_ <= kEven && handle_line();
    if (!had_work) line_ahead_ = std::max(line_ahead_, kEven);
    if (line_ahead_ >= kEven) {
      const bool had_frame = handle_frame();
      if (!had_frame && !line_waits_until()) line_ahead_ = kEven;
      had_work = had_work || had_frame;
    }
    if (!had_work && (line_waits_until() || !handle_line())) break;
    // After a slow step, or after quick steps that took as long together, read the sockets and run queued tasks before
    // the frames that are left.
    left_frames_ = step_began_ - frames_since_ > kSlowStep;
    if (left_frames_) break;
  }
  cancelled_.clear();
}

bool Worker::handle_frame() {
  const auto frame = in_.next();
  // The supervisor does not break the protocol. If it seems to, the worker is broken and must not go on.
  if (!frame) end_by_broken_protocol("frames are whole: " + frame.error().message);
  if (!frame->has_value()) return false;
  const auto request = ipc::decode_worker_request(**frame);
  if (!request) end_by_broken_protocol("a frame is a request: " + request.error().message);
  if (std::exchange(received_, false) && in_.buffered_bytes() > 0) find_cancelled();
  handle(*request);
  end_step();
  if (std::holds_alternative<ipc::LoadRequest>(*request)) {
    frames_since_ = step_began_;  // its calls are begun at once
    return true;
  }
  if (std::holds_alternative<ipc::WorkerCall>(*request)) last_call_at_ = last_relayed_at_ = step_began_;
  if (serves_line()) line_ahead_ = std::max(line_ahead_ - step_took_, -kMostAhead);
  return true;
}

void Worker::find_cancelled() {
  cancelled_.clear();
  in_.look_ahead([this](const ipc::Frame& frame) {
    if (const auto call = ipc::cancelled_worker_call(frame)) cancelled_.push_back(*call);
  });
}

void Worker::handle(const ipc::WorkerRequest& request) {
  if (const auto* call = std::get_if<ipc::WorkerCall>(&request)) {
    if (!loaded_) end_by_broken_protocol("a module is loaded before it is called");
    if (!take(call->id)) return;
    if (std::find(cancelled_.begin(), cancelled_.end(), call->id) != cancelled_.end()) return host_->spare(call->id);
    host_->start(*call);
  } else if (const auto* cancel = std::get_if<ipc::WorkerCancel>(&request)) {
    if (serves_line() && line_->own_call() == cancel->call) return line_->end();
    host_->cancel(cancel->call, cancel->reason);
  } else if (const auto* grant = std::get_if<ipc::StreamGrant>(&request)) {
    host_->grant(grant->call, grant->bytes);
  } else if (const auto* open = std::get_if<ipc::OpenWorkerLine>(&request)) {
    if (!loaded_) end_by_broken_protocol("a module is loaded before a line to it is opened");
    if (take(open->call)) open_line(*open);
  } else if (std::holds_alternative<ipc::CloseWorkerLine>(request)) {
    if (line_ != nullptr) line_->close();
  } else {
    note_load(host_->load(std::get<ipc::LoadRequest>(request)));
  }
}

// Takes the call if it is still the worker's. If not, the supervisor has taken it back, and gives it to another
// worker or sends it again under another number.
bool Worker::take(std::uint64_t call) {
  if (soft_stop_requested()) end_between_stretches();  // the call is then begun on another worker
  const std::uint64_t place = ipc::SharedPage::place_of(call);
  std::uint64_t last = page_.last_taken.load(std::memory_order_relaxed);
  while (last < place) {
    if (page_.last_taken.compare_exchange_weak(last, place, std::memory_order_acq_rel)) return true;
  }
  return false;
}

// --- the direct line -----------------------------------------------------------------------------------------------

void Worker::open_line(const ipc::OpenWorkerLine& request) {
  if (line_ != nullptr && line_->open(request, host_->max_payload_bytes())) {
    line_poll_ = ipc::BusyPoll(request.busy_poll, ipc::kNegligibleSleepOnLine);
    return;
  }
  ipc::encode_worker_error(
      outbox_.buffer(), request.call,
      make_error(ipc::ErrorCode::protocol_error, "the worker has no direct line, or has opened it already"));
}

// The supervisor may send a call only once the one before is answered, and needs a CPU for that. A line that is ahead
// of relayed calls waits for the next of them, but no longer than it is ahead. Nothing if it need not wait.
std::optional<steady_clock::time_point> Worker::line_waits_until() const {
  if (line_ahead_ <= steady_clock::duration::zero()) return std::nullopt;
  const auto until = last_relayed_at_ + line_ahead_;
  return until > steady_clock::now() ? std::optional(until) : std::nullopt;
}

// Begins or cancels one call of the line. Returns whether there was one.
bool Worker::handle_line() {
  if (!serves_line()) return false;
  const auto work = line_->next(host_->open_calls(), step_began_);
  if (!work) return false;
  const auto* call = std::get_if<ipc::WorkerCall>(&*work);
  if (call != nullptr) {
    host_->start(*call);
  } else {
    const auto& cancel = std::get<ipc::WorkerCancel>(*work);
    host_->cancel(cancel.call, cancel.reason);
  }
  end_step();
  if (call != nullptr) last_call_at_ = step_began_;
  return true;
}

void Worker::look_after_line() {
  if (!serves_line()) return;
  while (const auto cancel = line_->next_to_give_up(step_began_)) host_->cancel(cancel->call, cancel->reason);
  line_->send_some();
  if (line_->is_done(step_began_)) line_->answer_own_call(outbox_.buffer());
}

void Worker::send_some() {
  outbox_.send_some();
  if (serves_line()) line_->send_some();
}

void Worker::note_load(LoadState state) {
  if (state == LoadState::pending) return;
  loaded_ = state == LoadState::loaded;
  if (!loaded_) {
    outbox_.send_all();
    ::_exit(0);
  }
  outbox_.send_some();  // the time of loading must not count as the first call's
}

}  // namespace holdfast::worker
