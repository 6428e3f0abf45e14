// How the supervisor carries out what the scheduler decides.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <utility>

#include "ipc/base/units.h"
#include "ipc/shared_page.h"
#include "supervisor/call_errors.h"
#include "supervisor/supervisor.h"

namespace holdfast::supervisor {
namespace {

using std::chrono::steady_clock;

UseLook look_at_use(const WorkerProcess* process) {
  const Duration cpu_time = process == nullptr ? Duration::zero() : process->cpu_time().value_or(Duration::zero());
  return {steady_clock::now(), cpu_time};
}

// For the log: why a worker is removed.
std::string reason_of(const KillWorker& decision) {
  switch (decision.reason) {
    case KillWorker::Reason::evicted:
      return fmt::format(
          "evicted for a module that waits: idle for {}, loads in {}, the cheapest to lose (idle workers: {})",
          ipc::format_duration(decision.idle_for), ipc::format_duration(decision.load_time), decision.candidates);
    case KillWorker::Reason::slice_over:
      return "its slice is over, and it has finished its calls";
    case KillWorker::Reason::idle:
      return "idle";
    case KillWorker::Reason::retired:
      return "replaced by another";
  }
  return "";
}

}  // namespace

// Carrying out a decision may lead to further ones, which are appended while the loop runs.
void Supervisor::carry_out() {
  turn_.ensure_end();
  if (carrying_out_) return;
  carrying_out_ = true;
  for (std::size_t i = 0; i < decisions_.size(); ++i) {
    const Decision decision = decisions_[i];
    std::visit([this](const auto& what) { carry_out(what); }, decision);
  }
  decisions_.clear();
  carrying_out_ = false;
}

void Supervisor::carry_out(const ForkWorker& decision) { workers_.fork(decision.worker); }

void Supervisor::carry_out(const FetchSource& decision) { code_.fetch(modules_.of(decision.module)); }

void Supervisor::carry_out(const LoadModule& decision) {
  KnownModule& module = modules_.of(decision.module);
  ++module.counts.cold_starts;
  const auto source = code_.take(module);
  if (!source) {
    const bool is_own_fault = !is_shortage(source.error());
    if (is_own_fault) remember_failure(module, source.error());
    const auto fault = is_own_fault ? Scheduler::Fault::of_module : Scheduler::Fault::of_others;
    for (CallId call : scheduler_.load_failed(decision.worker, steady_clock::now(), decisions_, fault)) {
      finish(call, source.error());
    }
    workers_.kill(decision.worker, EndCause::removed);
    return;
  }
  if (code_.note_content(module, *source)) {
    for (const auto& [worker, view] : scheduler_.workers()) {
      if (worker == decision.worker || view.module != module.id) continue;
      scheduler_.retire(worker, steady_clock::now(), decisions_);
    }
  }
  spdlog::debug("{}: loading {}", to_string(module.name), source->file_name);
  const ModuleSettings& settings = module.settings;
  const Environment environment = settings_.environment_of(module.name);
  workers_.load(decision.worker,
                {.module = module.name.module,
                 .version = module.name.version,
                 .file_name = source->file_name,
                 .source = ipc::as_bytes(source->text),
                 .memory_bytes = settings.memory_bytes,
                 .max_payload_bytes = ClientSession::kMaxPayloadBytes,
                 .clock_resolution = options_.clock_resolution,
                 .allow_code_from_strings = options_.code_from_strings.covers(module.name),
                 .lenient_results = settings.lenient_results,
                 .environment = {environment.begin(), environment.end()}},
                {settings.stretch, settings.memory_bytes});
}

void Supervisor::carry_out(const DispatchCall& decision) {
  const auto found = calls_.find(decision.call);
  if (found == calls_.end()) return;  // its module could not be read
  Call& call = found->second;
  if (call.attempts++ > 0) ++call.module->counts.retries;
  call.worker = decision.worker;
  call.given_at = steady_clock::now();
  if (call.line) return dispatch_line(decision.worker, decision.call, call);
  workers_.call(decision.worker,
                {.id = static_cast<std::uint64_t>(decision.call),
                 .function = call.function,
                 .payload = call.payload.bytes(),
                 .encoding = call.encoding,
                 .arguments = call.arguments,
                 .deadline = call.deadline,
                 .result_encoding = call.result_encoding,
                 .stream_window_bytes = call.stream_window_bytes,
                 .payload_owner = call.payload.owner()},
                decision.caller);
  const UsageMeter& meter = workers_.meter(decision.worker);
  call.share_before = meter.share();
  call.unclaimed_before = meter.unclaimed_share();
}

void Supervisor::carry_out(const LookAtProgress& decision) {
  const WorkerProcess* process = workers_.process(decision.worker);
  if (process == nullptr) return;
  // CPU time of the worker's direct line is left out: the worker itself gives the line its share.
  scheduler_.calls_started(decision.worker, process->calls_started(), workers_.cpu_time_without_line(decision.worker),
                           steady_clock::now(), decisions_);
}

void Supervisor::carry_out(const TakeCallsBack& decision) {
  if (scheduler_.view(decision.worker).phase == WorkerPhase::leaving || !may_leave_unsent(decision.worker)) return;
  const auto [started, last] = workers_.take_back_calls(decision.worker);
  if (started == last) return;
  const TakenBack taken = scheduler_.calls_taken_back(decision.worker, started, last, steady_clock::now(), decisions_);
  for (CallId id : taken.queued) {
    Call& call = calls_.at(id);
    call.taken_back(workers_.loaded_at(decision.worker));
    workers_.call_ended(decision.worker);
  }
  for (CallId id : taken.abandoned) {
    workers_.call_ended(decision.worker);
    forget(id);
  }
  for (CallId id : taken.ended) {
    workers_.call_ended(decision.worker);
    finish(id, gave_way_for_memory());
  }
}

// The parts of calls that were sent before the calls were taken back stay in the worker's output and are charged to no
// user any more, so they are bounded.
bool Supervisor::may_leave_unsent(WorkerId worker) {
  constexpr std::size_t kMostLeft = std::size_t{64} << 20;
  std::size_t left = workers_.process(worker)->unsent_bytes();
  if (left == 0) return true;
  std::erase_if(left_unsent_, [&](WorkerId other) {
    const WorkerProcess* const process = workers_.process(other);
    const std::size_t unsent = process == nullptr || other == worker ? 0 : process->unsent_bytes();
    left += unsent;
    return unsent == 0;
  });
  if (left > kMostLeft) return false;
  left_unsent_.insert(worker);
  return true;
}

void Supervisor::carry_out(const DrainWorker& decision) {
  KnownModule& module = *module_of(decision.worker);
  ++module.counts.drains;
  drain_looks_[decision.worker] = look_at_use(workers_.process(decision.worker));
  spdlog::debug("{}: draining its worker: its slice is over and {} waits", to_string(module.name),
                to_string(modules_.of(decision.for_module).name));
}

// Calls only wait if no call is on the CPU according to the worker's page, and the worker has used the CPU for less
// than half of the time since the last look. CPU time alone does not tell: a call that waits for a CPU on a busy
// machine uses little CPU time, but the page says that it runs.
void Supervisor::carry_out(const DrainOverdue& decision) {
  const WorkerProcess* process = workers_.process(decision.worker);
  // A decision carried out before this one may have ended the draining.
  if (process == nullptr || scheduler_.view(decision.worker).takes_calls) return;
  const UseLook now = look_at_use(workers_.process(decision.worker));
  const UseLook before = std::exchange(drain_looks_[decision.worker], now);
  const bool is_idle = process->stretch().running == ipc::SharedPage::kNothing;
  const bool only_waits = is_idle && now.cpu_time - before.cpu_time < (now.at - before.at) / 2;
  if (!only_waits && !decision.has_had_its_time) return;
  const auto grace = options_.scheduler.waiting_grace * (only_waits ? 1 : Scheduler::kGracesOfWorking);
  scheduler_.worker_stopping(decision.worker, CallId{}, std::nullopt, steady_clock::now(), decisions_);
  workers_.kill(decision.worker, EndCause::slot_given_away,
                fmt::format("calls that {} hold a slot for at most {} while others wait (--waiting-grace)",
                            only_waits ? "only wait" : "go on running", ipc::format_duration(grace)));
}

void Supervisor::carry_out(const KillWorker& decision) {
  KnownModule* module = module_of(decision.worker);
  if (module != nullptr && decision.reason == KillWorker::Reason::evicted) ++module->counts.evictions;
  if (spdlog::should_log(spdlog::level::debug)) {
    spdlog::debug("{}: removing its worker ({})", module_name_of(decision.worker), reason_of(decision));
  }
  workers_.kill(decision.worker, EndCause::removed);
}

void Supervisor::carry_out(const CallOverdue& decision) {
  if (!decision.worker) {
    const Call& call = calls_.at(decision.call);
    return finish(decision.call, overdue_in_queue(call.attempts, call.module->last_failure));
  }
  // The calls on an open line have deadlines of their own.
  if (const auto& line = calls_.at(decision.call).line; line && line->is_open) return;
  const auto found = workers_.stretch_of(*decision.worker, decision.call);
  if (found && workers_.stop(*decision.worker, EndCause::deadline_exceeded, decision.call, *found)) return;
  const bool is_loaded = workers_.loaded_at(*decision.worker).has_value();
  answer(calls_.at(decision.call), is_loaded ? overdue_while_waiting() : overdue_in_load());
  abandon(decision.call, ipc::CancelReason::deadline_exceeded);
}

// A worker reads a cancellation after the calls that were sent before it, and runs the aborts of several calls in
// order. While it works through those, it is only late. If the call itself has been on the CPU for `cancel_grace`,
// nothing else will run. Otherwise no call is blamed: it is not known whether the call's functions have heard of the
// cancellation.
void Supervisor::carry_out(const CancelOverdue& decision) {
  const auto found = workers_.stretch_of(decision.worker, decision.call);
  if (found && found->start <= steady_clock::now() - options_.scheduler.cancel_grace) {
    workers_.stop(decision.worker, EndCause::ignored_cancel, decision.call, *found);
    return;
  }
  if (!is_stuck(calls_.at(decision.call), decision.worker)) return;
  scheduler_.worker_stopping(decision.worker, CallId{}, std::nullopt, steady_clock::now(), decisions_);
  workers_.kill(decision.worker, EndCause::ignored_cancel);
}

bool Supervisor::is_stuck(Call& call, WorkerId worker) {
  const WorkerProcess& process = *workers_.process(worker);
  const StretchView stretch = process.stretch();
  const Duration told = workers_.told_run_time(worker);
  return call.late.is_stuck({.runs = stretch.running != ipc::SharedPage::kNothing,
                             .stretches = stretch.count,
                             .answers = scheduler_.view(worker).calls_done + process.line_counts().answered(),
                             .told = told,
                             .untold = process.cpu_time().value_or(Duration::zero()) - told},
                            options_.scheduler.cancel_grace, workers_.limits(worker).stretch);
}

}  // namespace holdfast::supervisor
