// The scheduler's events about workers and time, and its views. Calls are in scheduler_calls.cc, the choice of workers
// in scheduler_pool.cc, guilty owners in scheduler_quarantine.cc.
#include "supervisor/scheduler/scheduler.h"

#include <algorithm>
#include <utility>

#include "ipc/base/invariant.h"

namespace holdfast::supervisor {

Scheduler::Scheduler(const SchedulerOptions& options) : options_(options) {
  expect(options.max_workers >= 1 && options.cores >= 1, "max_workers and cores are at least 1");
  expect(options.slice > Duration::zero() && options.cancel_grace > Duration::zero() &&
             options.waiting_grace > Duration::zero(),
         "slice, cancel_grace and waiting_grace are longer than 0");
}

void Scheduler::start(TimePoint now, Decisions& out) {
  started_ = true;
  arrange(now, out);
}

// --- modules -------------------------------------------------------------------------------------------------------

Scheduler::Module& Scheduler::module_of(ModuleId id) {
  const auto [entry, is_new] = modules_.try_emplace(id);
  if (is_new) {
    entry->second.id = id;
    entry->second.settings = options_.module;
  }
  return entry->second;
}

void Scheduler::configure(ModuleId id, const ModuleSettings& settings, TimePoint now, Decisions& out) {
  expect(settings.max_instances >= 1 && settings.concurrency >= 1 && settings.weight >= 1 &&
             settings.min_warm <= settings.max_instances,
         "a module's settings are in their bounds");
  Module& module = module_of(id);
  module.settings = settings;
  retire_surplus(module, now, out);
  if (module.quarantine) module.quarantine->settings = settings_of_quarantine(settings);
  settle(module, now, out);
  for (const Module* part : {&module, module.quarantine.get()}) {
    if (part == nullptr) continue;
    for (const Worker* worker : part->workers) {
      if (worker->is_idle()) check_idle_at(worker->idle_since + settings.idle_timeout);
    }
  }
  arrange(now, out);
  check();
}

bool Scheduler::forget(ModuleId id) {
  const auto found = modules_.find(id);
  if (found == modules_.end()) return true;
  for (const Module* part : {&found->second, found->second.quarantine.get()}) {
    if (part == nullptr) continue;
    if (!part->queue.empty() || part->claim != Claim::none || part->processes > 0) return false;
  }
  modules_.erase(found);
  return true;
}

// Brings both parts of a module in line with what has changed, the clean part first.
void Scheduler::settle(Module& module, TimePoint now, Decisions& out) {
  Module& main = module.main();
  dispatch(main, now, out);
  if (main.quarantine) dispatch(*main.quarantine, now, out);
  update(main, now, out);
}

// --- workers -------------------------------------------------------------------------------------------------------

void Scheduler::worker_forked(WorkerId id, TimePoint now, Decisions& out) {
  Worker& worker = worker_of(id);
  expect(worker.phase == WorkerPhase::starting, "a worker that was forked was starting");
  set_phase(worker, WorkerPhase::standby);
  worker.idle_since = now;
  fork_again_.reset();
  arrange(now, out);
  // The worker may have been forked for a module that no longer waits, or in busier times.
  if (count(WorkerPhase::standby) > options_.standby) {
    check_idle_at(now + options_.module.idle_timeout);
  }
  check();
}

void Scheduler::worker_fork_failed(WorkerId id, TimePoint now, Decisions& out) {
  expect(worker_of(id).phase == WorkerPhase::starting, "a worker whose fork failed was starting");
  forks_fail(now);
  worker_lost(id, {}, now, out);
}

void Scheduler::worker_loaded(WorkerId id, TimePoint now, Decisions& out) {
  Worker& worker = worker_of(id);
  if (worker.phase == WorkerPhase::leaving) return;
  expect(worker.phase == WorkerPhase::loading, "a worker that has loaded was loading");
  set_phase(worker, WorkerPhase::ready);
  worker.module->main().load_time.add(now - worker.assigned_at);
  worker.slice_end = now + slice_of(*worker.module);
  if (worker.calls.empty()) became_idle(worker, now, out);
  watch_if_behind(worker, now);
  arrange(now, out);
  check();
}

void Scheduler::worker_stopping(WorkerId id, CallId suspect, const std::optional<Caller>& left_by, TimePoint now,
                                Decisions& out) {
  Worker& worker = worker_of(id);
  if (worker.phase == WorkerPhase::leaving) return;
  if (is_on(suspect, id)) {
    worker.module->main().suspects.emplace(id, call_of(suspect).caller);
  } else if (left_by && worker.module != nullptr) {
    worker.module->main().suspects.emplace(id, *left_by);
  }
  worker.kept_others_waiting = keeps_others_waiting(worker);
  set_leaving(worker);
  if (worker.module != nullptr) update(*worker.module, now, out);
  arrange(now, out);
  check();
}

void Scheduler::retire(WorkerId id, TimePoint now, Decisions& out) {
  Worker& worker = worker_of(id);
  if (worker.phase == WorkerPhase::leaving || worker.retiring) return;
  expect(worker.module != nullptr, "a worker that is retired holds a module");
  worker.retiring = true;
  ++withdrawals_;
  if (worker.is_idle()) became_idle(worker, now, out);
  update(*worker.module, now, out);
  arrange(now, out);
  check();
}

void Scheduler::retire_all(ModuleId id, TimePoint now, Decisions& out) {
  Module& module = module_of(id);
  std::vector<Worker*> workers = module.workers;
  if (module.quarantine) {
    workers.insert(workers.end(), module.quarantine->workers.begin(), module.quarantine->workers.end());
  }
  for (Worker* worker : workers) retire(worker->id, now, out);
}

void Scheduler::renew_standbys(TimePoint now, Decisions& out) {
  for (auto& [id, worker] : workers_) {
    if (worker.phase == WorkerPhase::standby) remove(worker, {id, KillWorker::Reason::retired}, now, out);
  }
  arrange(now, out);
  check();
}

std::vector<EndedCall> Scheduler::worker_lost(WorkerId id, const WorkerLoss& loss, TimePoint now, Decisions& out) {
  Worker& worker = worker_of(id);
  worker.kept_others_waiting = worker.kept_others_waiting || keeps_others_waiting(worker);
  if (worker.phase != WorkerPhase::leaving) set_leaving(worker);
  const auto bill = blame(worker, loss, now);
  const std::uint64_t started = std::max(worker.started, loss.started);
  std::vector<EndedCall> ended;
  std::vector<CallId> again;
  for (const GivenCall& given : worker.calls) {
    Call& call = call_of(given.id);
    const bool was_started = given.number <= started || call.streamed;
    // It was reported as overdue, and was left to end with its worker. Back in a queue, nothing would end it any more.
    const bool was_overdue = !call.timer_set || call.deadline <= now;
    call.place = {};
    const bool may_run_again = !call.abandoned && !call.streamed && !was_overdue && given.id != loss.guilty;
    if (may_run_again && !was_started) {
      again.push_back(given.id);
    } else if (may_run_again && call.idempotent && call.retries < call.module->settings.max_retries) {
      ++call.retries;
      again.push_back(given.id);
    } else {
      using State = EndedCall::State;
      const State state = call.abandoned ? State::abandoned : was_started ? State::started : State::not_started;
      ended.push_back({given.id, state});
      forget_call(given.id);
    }
  }
  worker.calls.clear();
  Module* module = worker.module;
  if (module != nullptr) --module->processes;
  free_slot(worker);
  --phase_counts_[static_cast<std::size_t>(worker.phase)];
  workers_.erase(id);
  for (auto call = again.rbegin(); call != again.rend(); ++call) {
    requeue(*call, call_of(*call), CallQueue::Before::all);
  }
  if (bill) {
    module->queue.charge(bill->caller.user, bill->caller.client, bill->cost);
    move_to_quarantine(module->main(), bill->caller.user);
  }
  if (module != nullptr) end_suspicion(module->main(), id);
  if (module != nullptr) settle(*module, now, out);
  arrange(now, out);
  check();
  return ended;
}

std::vector<CallId> Scheduler::load_failed(WorkerId id, TimePoint now, Decisions& out, Fault fault) {
  Worker& worker = worker_of(id);
  expect(worker.module != nullptr, "a worker whose load failed has a module");
  if (std::exchange(worker.load_failed, true)) return {};
  Module& module = *worker.module;
  if (!worker.has_slot) {
    // The worker was stopped and had no calls. Calls that wait are already for another worker.
    if (fault == Fault::of_module) module.main().hold_off.failed(options_.hold_off, now);
    update(module.main(), now, out);
    arrange(now, out);
    return {};
  }
  std::vector<CallId> ended;
  for (const GivenCall& given : worker.calls) {
    ended.push_back(given.id);
    forget_call(given.id);
  }
  worker.calls.clear();
  if (worker.phase != WorkerPhase::leaving) set_phase(worker, WorkerPhase::leaving);
  free_slot(worker);
  if (fault == Fault::of_module) module.main().hold_off.failed(options_.hold_off, now);
  // If another instance has loaded the module, it serves the calls that wait.
  if (module.instances_that_take_calls() == 0) {
    const auto queued = end_queued_calls(module);
    ended.insert(ended.end(), queued.begin(), queued.end());
  }
  update(module.main(), now, out);
  arrange(now, out);
  check();
  return ended;
}

// --- time ----------------------------------------------------------------------------------------------------------

void Scheduler::tick(TimePoint now, Decisions& out) {
  end_overdue(now, out);
  end_hold_offs(now, out);
  end_pauses(now, out);
  remove_idle(now, out);
  if (progress_check_ && *progress_check_ <= now) look_at_all_progress(now, out);
  if (fork_again_ && *fork_again_ <= now) fork_again_.reset();
  arrange(now, out);
  // arrange() may end the draining of a worker.
  if (drain_check_ && *drain_check_ <= now) look_at_drains(now, out);
  check();
}

std::optional<TimePoint> Scheduler::next_wakeup() const {
  std::optional<TimePoint> next;
  const auto consider = [&](std::optional<TimePoint> when) {
    if (when) next = std::min(*when, next.value_or(*when));
  };
  if (!timers_.empty()) consider(timers_.begin()->first);
  if (!held_off_.empty()) consider(held_off_.begin()->first);
  if (!pauses_.empty()) consider(std::get<TimePoint>(*pauses_.begin()));
  consider(idle_check_);
  consider(room_check_);
  consider(drain_check_);
  consider(progress_check_);
  consider(fork_again_);
  consider(replenish_at_);
  return next;
}

// --- views ---------------------------------------------------------------------------------------------------------

Scheduler::Worker& Scheduler::worker_of(WorkerId id) {
  const auto found = workers_.find(id);
  expect(found != workers_.end(), "a worker is known");
  return found->second;
}

const Scheduler::Worker& Scheduler::worker_of(WorkerId id) const { return const_cast<Scheduler*>(this)->worker_of(id); }

WorkerView Scheduler::view(WorkerId id) const {
  const Worker& worker = worker_of(id);
  std::optional<ModuleId> module;
  if (worker.module != nullptr) module = worker.module->id;
  const bool is_quarantine = worker.module != nullptr && worker.module->origin != nullptr;
  return {worker.phase, module, is_quarantine, worker.takes_calls(), worker.calls.size(), worker.calls_done};
}

std::vector<CallId> Scheduler::calls_on(WorkerId id) const {
  std::vector<CallId> calls;
  for (const GivenCall& given : worker_of(id).calls) calls.push_back(given.id);
  return calls;
}

std::vector<std::pair<WorkerId, WorkerView>> Scheduler::workers() const {
  std::vector<std::pair<WorkerId, WorkerView>> views;
  for (const auto& [id, worker] : workers_) views.emplace_back(id, view(id));
  std::sort(views.begin(), views.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return views;
}

ModuleView Scheduler::view(ModuleId id, TimePoint now) const {
  ModuleView view = this->view(id, Part::clean, now);
  const ModuleView apart = this->view(id, Part::quarantine, now);
  view.queued += apart.queued;
  view.paused += apart.paused;
  view.calls_in_flight += apart.calls_in_flight;
  view.instances += apart.instances;
  view.claims_slot = view.claims_slot || apart.claims_slot;
  view.needs_source = view.needs_source || apart.needs_source;
  return view;
}

ModuleView Scheduler::view(ModuleId id, Part part, TimePoint now) const {
  ModuleView view;
  const auto found = modules_.find(id);
  if (found == modules_.end()) return view;
  const Module* const module = part == Part::clean ? &found->second : found->second.quarantine.get();
  if (module == nullptr) return view;
  view.queued = module->queue.size();
  view.paused = module->queue.paused_calls();
  for (const Worker* worker : module->workers) {
    view.calls_in_flight += worker->calls.size();
    if (worker->phase != WorkerPhase::leaving) ++view.instances;
    if (worker->phase == WorkerPhase::loading) view.needs_source = true;
  }
  view.held_off_until = found->second.hold_off.until(now);
  view.claims_slot = module->claim == Claim::fetching || module->claim == Claim::waiting;
  view.needs_source = view.needs_source || view.claims_slot;
  return view;
}

PoolView Scheduler::pool(TimePoint now) const {
  PoolView view;
  view.slots_taken = slots_taken_;
  view.starting = count(WorkerPhase::starting);
  view.standby = count(WorkerPhase::standby);
  view.standby_target = standby_target(now);
  view.waiting_modules = first_claims_.size();
  view.queued = queued_;
  return view;
}

void Scheduler::check() const {
  expect(slots_taken_ <= options_.max_workers, "no more workers hold a module than max_workers");
  expect(open_calls_ <= calls_.size() && queued_ <= open_calls_, "open calls are calls, queued ones are open");
  std::size_t workers = 0;
  for (std::size_t count : phase_counts_) workers += count;
  expect(workers_.size() == workers, "each worker is in one phase");
}

}  // namespace holdfast::supervisor
