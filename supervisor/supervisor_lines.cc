// Direct lines: sockets that lead from a client straight to a worker. To the scheduler each line is one long call. The
// calls made on the line are between the worker and the client. The supervisor reads what it must know about them from
// the worker's page, and the client reports calls that are overdue. A worker gives out one line in its life.
#include <fmt/format.h>

#include <algorithm>

#include "ipc/base/text.h"
#include "supervisor/call_errors.h"
#include "supervisor/log/log_output.h"
#include "supervisor/supervisor.h"

namespace holdfast::supervisor {
namespace {

using std::chrono::steady_clock;

// Idle lines are not looked for more often than this, however short the idle timeout is.
constexpr std::chrono::milliseconds kLeastQuiet{100};

ipc::Error no_line(ipc::ErrorCode code, std::string message) {
  ipc::Error error = make_error(code, "there is no direct line: " + std::move(message));
  error.retryable = code == ipc::ErrorCode::unavailable;
  return error;
}

// For calls that were begun on a line whose worker lives but no longer serves the line.
ipc::Error line_is_closed() {
  ipc::Error error = make_error(ipc::ErrorCode::unavailable, "the direct line was closed before the call was answered",
                                ipc::Executed::maybe);
  error.retryable = true;
  error.detail = "line_closed";
  return error;
}

// Raises `counted` to `now` and returns the difference. `now` comes from the worker and may be any number; it must not
// make the counts go back.
std::uint64_t rise(std::uint64_t& counted, std::uint64_t now) {
  const std::uint64_t risen = now > counted ? now - counted : 0;
  counted += risen;
  return risen;
}

// Adds the calls on the line that are not counted yet to its module's counts. `process`: the line's worker; null: it
// has ended.
void count(OpenCall& line, const WorkerProcess* process) {
  if (process == nullptr) return;
  const LineCounts now = process->line_counts();
  LineCounts& counted = line.line->counted;
  ModuleCounts& counts = line.module->counts;
  const std::uint64_t results = rise(counted.results, now.results);
  counts.results += results;
  counts.calls += results;
  for (std::size_t code = 0; code < now.errors.size(); ++code) {
    const std::uint64_t errors = rise(counted.errors[code], now.errors[code]);
    counts.errors[code] += errors;
    counts.calls += errors;
  }
}

}  // namespace

// --- a line's beginning --------------------------------------------------------------------------------------------

void Supervisor::line_wanted(ClientSession& client, const ipc::OpenLineRequest& request) {
  const auto refuse = [&](const ipc::Error& error) {
    client.refuse_line(request.id, error);
    carry_out();  // what was decided when its module became known
  };
  if (!options_.direct_line) {
    return refuse(no_line(ipc::ErrorCode::permission_denied, "holdfastd was started without --direct-line"));
  }
  if (shutdown_at_) return refuse(shutting_down(ipc::Executed::no));
  const auto found = find_module(request.module, request.version);
  if (!found) {
    client.let_others_go_first();  // the broker was asked
    return refuse(found.error());
  }
  KnownModule& module = **found;
  if (module.settings.concurrency < 2) {
    // The line would take the only place, and other clients' calls would wait until it ends.
    return refuse(no_line(ipc::ErrorCode::permission_denied, "the module's calls run one at a time (--concurrency 1)"));
  }
  const CallId id{++last_call_};
  const TimePoint now = steady_clock::now();
  const ArrivedCall arrived{.id = id,
                            .module = module.id,
                            .caller = {client.user(), client.id(), FunctionId{}},
                            .deadline = now + module.settings.timeout};
  if (const auto refused = scheduler_.call_arrived(arrived, now, decisions_)) {
    refuse(refusal(*refused, module, options_.scheduler));
    return code_.forget_if_unused(module);
  }
  open_call(client, request.id, arrived, module, 0, now).line = std::make_unique<DirectLine>();
  carry_out();
}

void Supervisor::dispatch_line(WorkerId worker, CallId id, Call& call) {
  const ModuleSettings& settings = call.module->settings;
  workers_.open_line(worker, {.call = static_cast<std::uint64_t>(id),
                              .default_timeout = settings.timeout,
                              .longest_timeout = options_.longest_timeout,
                              .max_calls = static_cast<std::uint32_t>(
                                  std::min<std::size_t>(settings.concurrency, ClientSession::kMaxCallsInFlight)),
                              .busy_poll = options_.busy_poll});
  call.share_before = workers_.meter(worker).share();
  // Otherwise the line is opened when the module is loaded.
  if (workers_.loaded_at(worker)) open_line(worker, id, call);
}

void Supervisor::open_lines(WorkerId worker) {
  if (!options_.direct_line) return;
  for (CallId id : scheduler_.calls_on(worker)) {
    if (Call& call = calls_.at(id); call.line) open_line(worker, id, call);
  }
}

void Supervisor::open_line(WorkerId worker, CallId id, Call& call) {
  const bool has_left = call.client == nullptr;  // the socket must not go to another client
  const Caller caller = has_left ? Caller{} : Caller{call.client->user(), call.client->id(), FunctionId{}};
  UniqueFd socket = workers_.take_line(worker, id, caller);
  if (has_left) return;
  if (!socket) {
    refuse_or_end_line(call,
                       no_line(ipc::ErrorCode::unavailable,
                               "the module's worker has given out its line already; calls go through the supervisor"));
    // If this worker has no other calls, it is retired so that the next request gets another worker. The worker answers
    // the abandoned request itself.
    if (scheduler_.view(worker).calls_in_flight == 1) scheduler_.retire(worker, steady_clock::now(), decisions_);
    return abandon(id, ipc::CancelReason::cancelled);
  }
  call.line->is_open = true;
  call.line->quiet_since = steady_clock::now();
  lines_.insert(id);
  look_at_lines_at_ = steady_clock::now();
  scheduler_.call_streamed(id);  // a line is not begun again on another worker
  call.client->open_line(call.client_id, {call.module->settings.timeout, options_.longest_timeout}, std::move(socket));
}

// --- a line's end --------------------------------------------------------------------------------------------------

// Line calls that were begun and not answered get this error; the client repeats the others.
void Supervisor::refuse_or_end_line(Call& call, const ipc::Error& error) {
  if (call.client == nullptr) return;
  if (call.line->is_open) {
    const WorkerProcess* process = workers_.process(call.worker);
    call.client->end_line(
        call.client_id,
        {.started = process == nullptr ? 0 : process->line_started(), .guilty_error = error, .others_error = error});
  } else {
    call.client->refuse_line(call.client_id, error);
  }
  call.client = nullptr;
}

// The client hears of the end of an open line only when it is certain that no further call is begun. The caller carries
// out what is decided.
void Supervisor::give_up_line(CallId id, Call& call) {
  if (std::exchange(call.line->is_given_up, true)) return;
  if (!call.line->is_open) refuse_or_end_line(call, cancelled_by_client(ipc::Executed::no));
  abandon(id, ipc::CancelReason::cancelled);
}

// The worker no longer serves the line, or never did.
void Supervisor::line_answered(WorkerId worker, CallId id, Call& call, const ipc::Error* error) {
  if (call.line->is_open) count(call, workers_.process(call.worker));
  if (error != nullptr && call.line->is_open) {
    log_client_line(call.client == nullptr ? kUnknownUser : call.client->user(), ipc::LogLevel::warning,
                    fmt::format("{}: its direct line to {} ended: {}",
                                call.client == nullptr ? "a client" : call.client->name(), to_string(call.module->name),
                                ipc::printable(ipc::clean_utf8(error->message, 1024), ipc::Newlines::escape)));
  }
  refuse_or_end_line(call, line_is_closed());
  const Duration cpu_time = workers_.meter(worker).share() - call.share_before;
  // The cost of one call on the line, which the scheduler plans with.
  const std::uint64_t calls = std::max<std::uint64_t>(call.line->counted.answered(), 1);
  workers_.call_ended(worker);
  forget(id);
  scheduler_.call_answered(id, cpu_time / static_cast<Duration::rep>(std::min<std::uint64_t>(calls, INT32_MAX)),
                           steady_clock::now(), decisions_);
  carry_out();
}

// Tells the client that the worker has ended, and forgets the line.
void Supervisor::end_line(CallId id, Call& call, const WorkerEnd& end, const Limits& limits,
                          const std::string& guilty_function) {
  count(call, workers_.process(call.worker));
  if (call.client != nullptr) {
    call.client->end_line(call.client_id, {.started = end.line_started,
                                           .guilty = end.guilty == id ? end.guilty_on_line : 0,
                                           .guilty_error = guilty_error(end, limits),
                                           .others_error = bystander_error(end, limits, guilty_function)});
    call.client = nullptr;
  }
  forget(id);
}

void Supervisor::close_line(Call& call) {
  if (std::exchange(call.line->is_closing, true)) return;
  call.line->closing_since = steady_clock::now();
  look_at_lines_at_ = call.line->closing_since;
  workers_.close_line(call.worker);
}

void Supervisor::close_lines_of_withdrawn_workers() {
  if (lines_.empty() || (!shutdown_at_ && withdrawals_seen_ == scheduler_.withdrawals())) return;
  withdrawals_seen_ = scheduler_.withdrawals();
  for (CallId id : lines_) {
    Call& call = calls_.at(id);
    if (shutdown_at_ || !scheduler_.view(call.worker).takes_calls) close_line(call);
  }
}

// --- calls on lines ------------------------------------------------------------------------------------------------

// The client may claim this at any time, just as it may set any deadline. If the worker is ended for it, the line's
// owner is to blame.
void Supervisor::line_call_overdue(CallId id, std::uint64_t number, LineCallLateness lateness) {
  Call& call = calls_.at(id);
  if (!call.line || !call.line->is_open || number == 0) return;
  const WorkerId worker = call.worker;
  const WorkerProcess& process = *workers_.process(worker);
  const TimePoint now = steady_clock::now();
  const StretchView found = process.stretch();
  const bool is_running = process.running_on_line(found) == number;
  if (is_running && lateness == LineCallLateness::unanswered) {
    workers_.stop(worker, EndCause::deadline_exceeded, id, found);
    return;
  }
  if (lateness == LineCallLateness::unanswered || number > process.line_started()) return;
  if (is_running && found.start <= now - options_.scheduler.cancel_grace) {
    workers_.stop(worker, EndCause::ignored_cancel, id, found);
    return;
  }
  DirectLine& line = *call.line;
  if (std::exchange(line.late_call, number) != number) {
    call.late.begin_again();
  } else if (now - line.late_call_at < options_.scheduler.cancel_grace / 2) {
    return;  // an honest client reports a call once in each cancel_grace
  }
  line.late_call_at = now;
  if (!is_stuck(call, worker)) return;
  scheduler_.worker_stopping(worker, id, std::nullopt, now, decisions_);
  workers_.kill(worker, EndCause::ignored_cancel, "", id);
  carry_out();
}

void Supervisor::count_lines() {
  for (CallId id : lines_) {
    Call& line = calls_.at(id);
    count(line, workers_.process(line.worker));
  }
}

// Closes a line on which no call was begun for as long as a worker may be idle; then the worker counts as idle. Gives
// up a line that is still not closed when the time of every call on it is over.
void Supervisor::look_at_lines(TimePoint now) {
  if (!look_at_lines_at_ || *look_at_lines_at_ > now) return;
  look_at_lines_at_.reset();
  for (CallId id : lines_) {
    Call& call = calls_.at(id);
    DirectLine& line = *call.line;
    if (line.is_given_up) continue;
    const std::uint64_t started = workers_.process(call.worker)->line_started();
    if (std::exchange(line.started, started) != started) line.quiet_since = now;
    const TimePoint due = line.is_closing
                              ? line.closing_since + options_.longest_timeout + kLeastQuiet
                              : line.quiet_since + std::max<Duration>(call.module->settings.idle_timeout, kLeastQuiet);
    if (due > now) {
      look_at_lines_at_ = std::min(due, look_at_lines_at_.value_or(due));
    } else if (line.is_closing) {
      give_up_line(id, call);
    } else {
      close_line(call);
    }
  }
  carry_out();
}

}  // namespace holdfast::supervisor
