// The workers from the supervisor's side: what the supervisor wants of them, and the watch on their time. The watch on
// their memory is in workers_memory.cc; what they say and what becomes of forks is handled in workers_events.cc.
#include "supervisor/workers/workers.h"

#include <algorithm>
#include <utility>

#include "ipc/base/invariant.h"

namespace holdfast::supervisor {
namespace {

using std::chrono::milliseconds;

// How often memory is looked at while the memory of all together may soon be used up.
constexpr milliseconds kMemoryLookWhenShort{100};
// How often a worker that is at work without a call is looked at, and how often one that is halted for that may go
// on.
constexpr milliseconds kBackgroundLook{50};

// When to look next at workers with this stretch budget that need no look of their own: all at the same time.
Workers::Clock::time_point next_common_look(const Limits& limits, Workers::Clock::time_point now) {
  const auto pause = std::min<Workers::Clock::duration>(limits.stretch / 2, MemoryWatch::kLook);
  return now + pause - now.time_since_epoch() % pause;
}

}  // namespace

Workers::Workers(boost::asio::io_context& io, Turn& turn, Broker& broker, const WorkersOptions& options,
                 WorkerEvents& events, ZygoteEvents& zygote_events)
    : io_(io),
      turn_(turn),
      broker_(broker),
      options_(options),
      events_(events),
      zygotes_(io, turn, broker, options.zygotes, zygote_events, *this),
      budget_(options.memory_budget_bytes) {}

void Workers::wake_at(WorkerId worker, Entry& entry, Clock::time_point when) {
  auto& wakeup = entry.agenda.wakeup;
  if (wakeup) {
    if ((*wakeup)->first <= when) return;
    wakeups_.erase(*wakeup);
  }
  wakeup = wakeups_.emplace(when, worker);
}

void Workers::remove_entry(WorkerId worker) {
  const auto found = entries_.find(worker);
  if (const auto& wakeup = found->second.agenda.wakeup) wakeups_.erase(*wakeup);
  budget_.forget(worker);
  background_.forget(worker);
  entries_.erase(found);
}

Workers::Entry& Workers::entry_of(WorkerId worker) {
  const auto found = entries_.find(worker);
  expect(found != entries_.end(), "a worker that is named has not ended");
  return found->second;
}

const Workers::Entry& Workers::entry_of(WorkerId worker) const { return const_cast<Workers*>(this)->entry_of(worker); }

bool Workers::has_unsent(WorkerId worker) const {
  const WorkerProcess* const found = process(worker);
  return found != nullptr && found->unsent_bytes() > 0;
}

const WorkerProcess* Workers::process(WorkerId worker) const {
  const auto found = entries_.find(worker);
  return found == entries_.end() ? nullptr : found->second.process.get();
}

// --- what the supervisor wants --------------------------------------------------------------------------------------

void Workers::fork(WorkerId worker) {
  entries_.try_emplace(worker);
  zygotes_.request(worker);
}

void Workers::hold(WorkerId worker, Clock::time_point until) {
  Entry& entry = entry_of(worker);
  entry.process->pause();
  entry.agenda.resume_at = until;
  wake_at(worker, entry, until);
  turn_.ensure_end();  // which arms the timer
}

void Workers::load(WorkerId worker, const ipc::LoadRequest& request, const Limits& limits) {
  Entry& entry = entry_of(worker);
  entry.process->send(request);
  // Asking the broker takes time, in which the worker can begin.
  if (!entry.process->has_pid()) (void)entry.process->flush();
  zygotes_.in_use(worker);
  const auto now = Clock::now();
  entry.load.send(now);
  if (!entry.process->is_known_to_broker() && empty_bytes() != 0) {
    // The worker has what all have that hold no module yet. The broker is asked about it when the next call begins or
    // ends, at the soonest MemoryWatch::kFresh from now, so that its first call does not wait for that.
    entry.memory.seen(now);
    entry.metering.meter.saw_memory(empty_bytes());
  }
  entry.limits = limits;
  entry.stretches = StretchWatch(limits.stretch);
  entry.metering.meter.begin(entry.process->cpu_time().value_or(Clock::duration::zero()));
  entry.metering.read_at = Clock::now();
  entry.agenda.look_at = next_common_look(limits, Clock::now());
  wake_at(worker, entry, *entry.agenda.look_at);
}

void Workers::call(WorkerId worker, const ipc::WorkerCall& call, const Caller& caller) {
  Entry& entry = entry_of(worker);
  read_meter(entry);
  entry.metering.meter.call_begins();
  if (entry.halts.is_halted()) go_on(entry, Clock::now());
  entry.process->send(call, caller);
}

void Workers::open_line(WorkerId worker, const ipc::OpenWorkerLine& open) {
  Entry& entry = entry_of(worker);
  read_meter(entry);
  entry.metering.meter.call_begins();
  if (entry.halts.is_halted()) go_on(entry, Clock::now());
  entry.process->send(open);
}

void Workers::call_ended(WorkerId worker) { entry_of(worker).metering.meter.call_ends(); }

const UsageMeter& Workers::meter(WorkerId worker) {
  Entry& entry = entry_of(worker);
  read_meter(entry);
  return entry.metering.meter;
}

// Read once in a turn: the clock costs a system call, and a turn is short.
CpuUse Workers::read_meter(Entry& entry) {
  Metering& metering = entry.metering;
  if (metering.read_in_turn == turn_.number() || entry.ending.has_hung_up()) return CpuUse::some_or_unknown;
  metering.read_in_turn = turn_.number();
  const auto cpu_time = entry.process->cpu_time();
  if (!cpu_time) return CpuUse::some_or_unknown;
  const CpuUse use = note_cpu_time(entry, *cpu_time);
  metering.read_at = Clock::now();
  metering.meter.read_unclaimed(entry.process->unclaimed_time());
  if (entry.memory.is_stale(metering.read_at)) see_memory(entry, metering.read_at);
  return use;
}

CpuUse Workers::note_cpu_time(Entry& entry, Clock::duration cpu_time) {
  const auto used = entry.metering.meter.read(cpu_time);
  if (used == Clock::duration::zero()) return CpuUse::none;
  if (entry.load.phase() != ModuleLoad::Phase::none) events_.worker_used(entry.process->id(), used);
  return CpuUse::some_or_unknown;
}

std::optional<Workers::Clock::time_point> Workers::loaded_at(WorkerId worker) const {
  return entry_of(worker).load.loaded_at();
}

Workers::Clock::duration Workers::told_run_time(WorkerId worker) const { return entry_of(worker).told_run_time.sum(); }

const Limits& Workers::limits(WorkerId worker) const { return entry_of(worker).limits; }

void Workers::cancel(WorkerId worker, CallId call, ipc::CancelReason reason) {
  entry_of(worker).process->send_cancel(call, reason);
}

void Workers::grant(WorkerId worker, CallId call, std::uint64_t bytes) {
  entry_of(worker).process->send_grant(call, bytes);
}

std::optional<StretchView> Workers::stretch_of(WorkerId worker, CallId call) const {
  const WorkerProcess* const found = process(worker);
  if (found == nullptr) return std::nullopt;
  const StretchView view = found->stretch();
  return view.running == static_cast<std::uint64_t>(call) ? std::optional(view) : std::nullopt;
}

void Workers::begin_end(Entry& entry, EndCause cause, CallId guilty, const StretchView& found,
                        std::optional<std::string> detail) {
  if (entry.ending.decision() != nullptr) return;
  const WorkerProcess& process = *entry.process;
  auto seen_caller = process.caller_of(guilty);
  const bool is_for_what_ran = guilty != CallId{} && guilty == CallId{found.running};
  if (!seen_caller && is_for_what_ran) seen_caller = process.caller_of(found.number);
  const bool is_loading = entry.load.phase() == ModuleLoad::Phase::sent && found.running == ipc::SharedPage::kLoading;
  entry.ending.decide(
      {.cause = cause, .while_loading = is_loading, .guilty = guilty, .found = found, .seen_caller = seen_caller},
      std::move(detail));
  entry.agenda.look_at.reset();
}

bool Workers::stop(WorkerId worker, EndCause cause, CallId guilty, const StretchView& found) {
  Entry& entry = entry_of(worker);
  if (entry.ending.decision() != nullptr) return true;
  if (entry.ending.has_hung_up()) return false;
  begin_end(entry, cause, guilty, found);
  read_meter(entry);
  if (entry.halts.is_halted()) go_on(entry, Clock::now());
  entry.process->ask_to_stop();
  give_time_to_end(entry, Clock::now());
  tell_of_stop(entry);
  return true;
}

void Workers::tell_of_stop(const Entry& entry) {
  const WorkerEnding::Decision& decision = *entry.ending.decision();
  events_.worker_stopping(entry.process->id(), decision.guilty, decision.seen_caller);
}

void Workers::kill(WorkerId worker, EndCause cause, std::string detail, CallId guilty) {
  Entry& entry = entry_of(worker);
  if (entry.ending.phase() == WorkerEnding::Phase::none) {
    begin_end(entry, cause, guilty, entry.process->stretch(), std::move(detail));
  }
  budget_.forget(worker);  // what it holds is free soon; no other worker must end for that
  entry.process->kill();
}

// --- time ----------------------------------------------------------------------------------------------------------

std::optional<Workers::Clock::time_point> Workers::next_wakeup() const {
  std::optional<Clock::time_point> next = zygotes_.next_wakeup();
  if (!wakeups_.empty()) next = std::min(wakeups_.begin()->first, next.value_or(wakeups_.begin()->first));
  if (background_.any_stopped()) next = std::min(next_turn_at_, next.value_or(next_turn_at_));
  return next;
}

void Workers::tick(Clock::time_point now) {
  zygotes_.tick(now);
  give_turns(now);
  while (!wakeups_.empty() && wakeups_.begin()->first <= now) {
    const WorkerId worker = wakeups_.begin()->second;
    Entry& entry = entry_of(worker);
    wakeups_.erase(wakeups_.begin());
    entry.agenda.wakeup.reset();
    wake(worker, entry, now);
  }
}

// The last step may end the worker and remove its entry: nothing is looked at afterwards.
void Workers::wake(WorkerId worker, Entry& entry, Clock::time_point now) {
  if (!entry.process) return;
  Agenda& agenda = entry.agenda;
  if (agenda.look_at && *agenda.look_at <= now) look(entry, now);
  if (const auto at = entry.patience.look_at(); at && *at <= now) kill_if_out_of_patience(entry, now);
  const bool resumes = agenda.resume_at && *agenda.resume_at <= now;
  if (resumes) agenda.resume_at.reset();
  const auto settle_at = entry.ending.settle_at();
  const bool settles = !resumes && settle_at && *settle_at <= now;
  for (const auto& when :
       {agenda.look_at, entry.patience.look_at(), agenda.resume_at, settles ? std::nullopt : settle_at}) {
    if (when) wake_at(worker, entry, *when);
  }
  if (resumes) {
    const auto process = entry.process;
    process->resume();
  } else if (settles) {
    finish_if_ended(worker, entry);
  }
}

// Whether the worker has nothing to do, as far as its page is believed. If it did something since the last full look,
// the page's count of stretches shows it.
bool Workers::looks_idle(const Entry& entry, const StretchView& view) {
  return entry.metering.meter.calls() == 0 && entry.load.is_done() && view.running == ipc::SharedPage::kNothing;
}

void Workers::look(Entry& entry, Clock::time_point now) {
  const WorkerId worker = entry.process->id();
  if (entry.load.is_overdue(now)) {
    begin_end(entry, EndCause::protocol_violation, CallId{}, entry.process->stretch(),
              "it neither loaded its module nor said why it could not");
    events_.worker_stopping(worker, CallId{}, std::nullopt);
    return entry.process->kill();
  }
  StretchView view = entry.process->stretch();
  view.start = std::clamp(view.start, Clock::time_point(), now);  // the worker may say anything
  view = entry.halts.without(view);
  const bool is_idle = looks_idle(entry, view);
  if (is_idle && !entry.memory.is_over_limit() && entry.idle.may_wait(view, now)) {
    entry.agenda.look_at = next_common_look(entry.limits, now);
    return;
  }
  const auto verdict = entry.stretches.look(
      view, now, [&] { return entry.process->cpu_time(); },
      CpuReading{entry.metering.read_at, entry.metering.meter.cpu_time()});
  if (verdict.exceeded) {
    stop(worker, EndCause::cpu_exceeded, CallId{view.running}, view);
    return;
  }
  const Clock::duration pause = budget_.is_half_used() ? kMemoryLookWhenShort : MemoryWatch::kLook;
  entry.agenda.look_at = is_idle ? next_common_look(entry.limits, now) : std::min(verdict.look_again, now + pause);
  see_memory(entry, now);
  const CpuUse use = read_meter(entry);
  count_mappings(entry, now);
  entry.idle.looked(worker, view, use, now);
  if (end_for_memory(entry, view, now)) return;
  note_background(entry, view, now);
  if (entry.is_worn_out) return;
  entry.is_worn_out = options_.cpu_time.count() > 0 &&
                      entry.process->cpu_time().value_or(Clock::duration::zero()) >= options_.cpu_time / 2;
  if (entry.is_worn_out) events_.worker_is_worn_out(worker);
}

// --- background work, and patience with workers that are ending -----------------------------------------------------

void Workers::note_background(Entry& entry, const StretchView& view, Clock::time_point now) {
  const WorkerId worker = entry.process->id();
  auto& look_at = entry.agenda.look_at;
  const auto found = entry.background.look(entry.metering.meter, entry.load, view, now);
  if (found.is_at_work) look_at = std::min(look_at.value_or(now + kBackgroundLook), now + kBackgroundLook);
  if (found.worked <= Clock::duration::zero() || !background_.worked(worker, found.worked, now)) return;
  entry.process->halt();
  entry.halts.halt(view.count, now);
  look_at.reset();
  next_turn_at_ = std::max(next_turn_at_, now + kBackgroundLook);
}

void Workers::go_on(Entry& entry, Clock::time_point now) {
  if (!entry.halts.is_halted()) return;
  const WorkerId worker = entry.process->id();
  entry.stretches.was_halted(entry.halts.go_on(entry.process->stretch().count, now));
  background_.called(worker);
  entry.process->go_on();
  if (entry.ending.phase() != WorkerEnding::Phase::none) return;
  entry.background.went_on(now);
  entry.agenda.look_at = now + kBackgroundLook;
  wake_at(worker, entry, *entry.agenda.look_at);
}

void Workers::give_turns(Clock::time_point now) {
  if (!background_.any_stopped() || now < next_turn_at_) return;
  next_turn_at_ = now + kBackgroundLook;
  if (const auto worker = background_.next_turn(now)) go_on(entry_of(*worker), now);
}

void Workers::give_time_to_end(Entry& entry, Clock::time_point now) {
  entry.patience.begin(now, entry.process->cpu_time().value_or(Clock::duration::zero()));
  wake_at(entry.process->id(), entry, *entry.patience.look_at());
}

void Workers::kill_if_out_of_patience(Entry& entry, Clock::time_point now) {
  if (entry.patience.is_over(now, entry.process->cpu_time())) entry.process->kill();
}

}  // namespace holdfast::supervisor
