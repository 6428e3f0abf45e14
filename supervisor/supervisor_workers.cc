// The supervisor's workers: what they report, and what happens when they end.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "ipc/base/text.h"
#include "supervisor/call_errors.h"
#include "supervisor/log/log_output.h"
#include "supervisor/supervisor.h"

namespace holdfast::supervisor {
namespace {

using std::chrono::steady_clock;

}  // namespace

KnownModule* Supervisor::module_of(WorkerId worker) {
  const auto module = scheduler_.view(worker).module;
  return module ? &modules_.of(*module) : nullptr;
}

std::string Supervisor::module_name_of(WorkerId worker) {
  const KnownModule* module = module_of(worker);
  return module == nullptr ? "standby" : to_string(module->name);
}

void Supervisor::zygote_ready() {
  if (ready_) {
    scheduler_.start(steady_clock::now(), decisions_);
    carry_out();
    std::exchange(ready_, nullptr)();
  }
  spdlog::debug("zygote: ready");
}

void Supervisor::zygote_failed(const std::string& reason, ZygoteFailure failure) {
  if (stopped_) return;
  if (failure == ZygoteFailure::final) return stop(fmt::format("cannot start workers: {}", reason));
  spdlog::error("zygote: {}; any workers of this zygote end with it", reason);
}

void Supervisor::zygote_replaced() {
  spdlog::debug("zygote: replaced by another; workers that hold a module keep running under the old one");
  scheduler_.renew_standbys(steady_clock::now(), decisions_);
  carry_out();
}

void Supervisor::worker_forked(WorkerId worker) {
  views_.worker_was_forked();
  scheduler_.worker_forked(worker, steady_clock::now(), decisions_);
  carry_out();
}

void Supervisor::worker_fork_failed(WorkerId worker, const std::string& reason) {
  spdlog::error("cannot fork a worker: {}", reason);
  scheduler_.worker_fork_failed(worker, steady_clock::now(), decisions_);
  carry_out();
}

// All standbys are alike, so the first one shows how much of the memory each takes.
void Supervisor::worker_prepared(WorkerId) {
  const std::uint64_t bytes = workers_.empty_private_bytes();
  if (options_.standby_memory_bytes == 0 || bytes == 0 || std::exchange(standbys_measured_, true)) return;
  scheduler_.bound_standbys(options_.standby_memory_bytes / bytes);
}

void Supervisor::worker_loaded(WorkerId worker) {
  open_lines(worker);
  scheduler_.worker_loaded(worker, steady_clock::now(), decisions_);
  carry_out();
}

void Supervisor::worker_load_failed(WorkerId worker, const ipc::Error& told) {
  ipc::Error error = cleaned(told);
  error.code = ipc::ErrorCode::load_failed;
  error.executed = ipc::Executed::no;
  KnownModule& module = *module_of(worker);
  log_client_line(kUnknownUser, ipc::LogLevel::warning,
                  fmt::format("{}: cannot be loaded: {}", to_string(module.name),
                              ipc::printable(error.message, ipc::Newlines::escape)));
  remember_failure(module, error);
  for (CallId call : scheduler_.load_failed(worker, steady_clock::now(), decisions_)) finish(call, error);
  carry_out();
}

bool Supervisor::worker_answered(WorkerId worker, CallId id, const ipc::ResultView& result, Duration run) {
  if (!scheduler_.is_on(id, worker)) return false;
  Call& call = calls_.at(id);
  if (call.line) {
    line_answered(worker, id, call, nullptr);
    return true;
  }
  if (result.payload.size() > ClientSession::kMaxPayloadBytes) return false;
  const TimePoint now = steady_clock::now();
  if (call.client != nullptr) answer(call, result);
  end_answered(worker, id, call, run, now);
  return true;
}

bool Supervisor::worker_answered(WorkerId worker, CallId id, const ipc::Error& error, Duration run) {
  if (!scheduler_.is_on(id, worker)) return false;
  Call& call = calls_.at(id);
  if (call.line) {
    line_answered(worker, id, call, &error);
    return true;
  }
  const TimePoint now = steady_clock::now();
  // Only the supervisor cancels calls.
  if (error.code == ipc::ErrorCode::cancelled && call.client != nullptr) return false;
  if (!is_workers_to_say(error.code, call.deadline, now)) return false;
  if (call.client != nullptr) answer(call, cleaned(error));
  end_answered(worker, id, call, run, now);
  return true;
}

void Supervisor::end_answered(WorkerId worker, CallId id, const Call& call, Duration run, TimePoint now) {
  // The cost is reported by the worker itself. It affects only the shares of its own module's callers, and how many
  // workers these claim.
  const Duration cost =
      std::min<Duration>(run, now - call.given_at) + (workers_.meter(worker).unclaimed_share() - call.unclaimed_before);
  workers_.call_ended(worker);
  forget(id);
  scheduler_.call_answered(id, cost, now, decisions_);
  carry_out();
}

void Supervisor::worker_ran(WorkerId worker, CallId call, const Caller& caller, Duration time) {
  scheduler_.call_ran(worker, call, caller, time);
}

bool Supervisor::worker_streamed(WorkerId worker, CallId id, const ipc::ResultView& value) {
  if (!scheduler_.is_on(id, worker)) return false;
  Call& call = calls_.at(id);
  const std::size_t bytes = value.payload.size();
  const bool has_room = call.ungranted_bytes + call.withheld_bytes < call.stream_window_bytes;
  if (bytes > ClientSession::kMaxPayloadBytes || !has_room) return false;
  call.ungranted_bytes += ipc::chunk_cost(bytes);
  call.streamed_bytes += bytes;
  scheduler_.call_streamed(id);
  if (call.client != nullptr) call.client->stream(call.client_id, value);
  pass_grants_on(id, call);
  return true;
}

void Supervisor::worker_logged(WorkerId worker, const ipc::LogLine& line) {
  KnownModule& module = *module_of(worker);
  const WorkerProcess& process = *workers_.process(worker);
  const auto call = calls_.find(process.call_with_number(line.call));
  const auto reader = call == calls_.end() ? std::nullopt : call->second.log_reader();
  const TimePoint now = steady_clock::now();
  switch (logs_.rule_on(module, line, reader, now)) {
    case ModuleLogs::Ruling::accepted:
      return logs_.publish(module, line, line.call == 0 ? std::string() : process.request_id(line.call), reader);
    case ModuleLogs::Ruling::dropped:
      return;
    case ModuleLogs::Ruling::flood:
      return workers_.hold(worker, now + ModuleLogs::kFloodPause);
  }
}

void Supervisor::worker_used(WorkerId worker, Duration cpu_time) {
  if (KnownModule* module = module_of(worker)) module->counts.usage.cpu += cpu_time;
}

void Supervisor::worker_is_worn_out(WorkerId worker) {
  spdlog::info("{}: replacing its worker: it has used half of its CPU time (--cpu-limit)", module_name_of(worker));
  scheduler_.retire(worker, steady_clock::now(), decisions_);
  carry_out();
}

// Idle workers make room, the largest first, and no other workers are given a module in their place.
void Supervisor::memory_is_short(std::uint64_t bytes) {
  std::vector<std::pair<std::uint64_t, WorkerId>> idle;
  for (const auto& [worker, view] : scheduler_.workers()) {
    if (view.phase != WorkerPhase::ready || view.calls_in_flight > 0 || !view.takes_calls) continue;
    idle.emplace_back(workers_.memory_bytes(worker), worker);
  }
  std::sort(idle.rbegin(), idle.rend());
  const TimePoint now = steady_clock::now();
  std::uint64_t freed = 0;
  for (const auto& [held, worker] : idle) {
    if (freed >= bytes) break;
    freed += held;
    spdlog::info("{}: removing its idle worker: all modules together hold more memory than --memory-budget",
                 module_name_of(worker));
    scheduler_.retire(worker, now, decisions_);
  }
  carry_out();
  scheduler_.bound_workers(scheduler_.pool(now).slots_taken, now, decisions_);
  carry_out();
}

void Supervisor::memory_is_enough() {
  scheduler_.bound_workers(std::nullopt, steady_clock::now(), decisions_);
  carry_out();
}

void Supervisor::worker_stopping(WorkerId worker, CallId suspect, const std::optional<Caller>& left_by) {
  scheduler_.worker_stopping(worker, suspect, left_by, steady_clock::now(), decisions_);
  carry_out();
}

void Supervisor::worker_ended(WorkerId worker, const WorkerEnd& end) {
  if (stopped_) return;
  drain_looks_.erase(worker);
  const std::string name = module_name_of(worker);
  const Limits& limits = workers_.limits(worker);
  const auto now = steady_clock::now();
  WorkerEnd shown = end;
  shown.stack = ipc::clean_utf8(end.stack, 32 << 10);
  shown.detail = ipc::clean_utf8(end.detail, 1 << 10);
  if (end.cause == EndCause::removed) {
    spdlog::debug("{}: worker removed", name);
  } else {
    const auto call = calls_.find(end.running);
    const ClientSession* client = call == calls_.end() ? nullptr : call->second.client;
    const UserId seen = end.seen_caller ? end.seen_caller->user : kUnknownUser;
    log_client_line(
        client == nullptr ? seen : client->user(), ipc::LogLevel::warning,
        fmt::format("{}: worker ended: {}", name, ipc::printable(describe(shown, limits), ipc::Newlines::escape)));
  }
  if (end.cause == EndCause::lock_failed) scheduler_.forks_fail(now);
  // The call that the worker reports as running counts only if the worker has that call.
  if (!scheduler_.is_on(shown.guilty, worker)) shown.guilty = end.running;
  shown.was_left = end.seen_caller && !scheduler_.is_on(shown.guilty, worker) && is_fault_of_module(end);
  KnownModule* module = module_of(worker);
  if (module != nullptr) logs_.tell_of_dropped(*module);
  bool is_fault = is_fault_of_module(end);
  if (module != nullptr && failed_to_load(end)) {
    const ipc::Error error = load_error(shown, limits);
    remember_failure(*module, error);
    is_fault = false;  // counted as a failed load
    for (CallId call : scheduler_.load_failed(worker, now, decisions_)) finish(call, error);
  }
  std::string guilty_function;
  const WorkerProcess& process = *workers_.process(worker);
  WorkerLoss loss{.started = end.started,
                  .guilty = shown.guilty,
                  .seen_call = end.running,
                  .seen = end.seen_caller,
                  .told_call = end.said,
                  .told = end.said_caller,
                  .own_fault = is_fault};
  // The page may claim any time for the start of the stretch. If it says that there was no stretch, nothing ran.
  const StretchView at_end = process.stretch();
  const auto ran_since = [&](TimePoint earliest) {
    return at_end.running == ipc::SharedPage::kNothing ? Duration::zero()
                                                       : now - std::clamp(at_end.start, earliest, now);
  };
  if (scheduler_.is_on(shown.guilty, worker)) {
    const Call& guilty = calls_.at(shown.guilty);
    guilty_function = guilty.function;
    loss.own_fault = is_fault_of_call(end);
    loss.time = ran_since(guilty.given_at);
  } else if (loss.seen || loss.told) {
    loss.own_fault = is_fault_of_call(end);  // the call may have been open when the worker was stopped
    loss.time = ran_since(process.forked_at());
  } else if (process.line_started() > 0) {
    // Any call on the line may have left something running, and the scheduler does not see those calls.
    loss.own_fault = false;
  }
  if (module != nullptr && is_fault) remember_failure(*module, guilty_error(shown, limits));
  const std::vector<CallId> calls = scheduler_.calls_on(worker);
  for (const EndedCall& ended : scheduler_.worker_lost(worker, loss, now, decisions_)) {
    if (Call& call = calls_.at(ended.call); call.line && call.line->is_open) {
      end_line(ended.call, call, shown, limits, guilty_function);
    } else if (ended.call == shown.guilty) {
      finish(ended.call, guilty_error(shown, limits));
    } else if (ended.state == EndedCall::State::not_started) {
      // Its deadline passed before it was begun.
      finish(ended.call, overdue_in_queue(0, std::nullopt));
    } else if (calls_.at(ended.call).deadline <= now) {
      finish(ended.call, overdue_while_waiting());
    } else {
      finish(ended.call, bystander_error(shown, limits, guilty_function));
    }
  }
  note_attempts(calls);
  carry_out();
}

}  // namespace holdfast::supervisor
