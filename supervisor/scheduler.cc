#include "supervisor/scheduler.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace holdfast::supervisor {
namespace {

void expect(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "scheduler: broken invariant: expected that %s\n", what);
  std::abort();
}

std::size_t index(WorkerPhase phase) { return static_cast<std::size_t>(phase); }

// What leaves a queue is mostly near its front: to end ten thousand calls at one deadline must not take ten thousand
// times the whole queue, as with std::erase().
template <typename Id>
void take_out(std::deque<Id>& queue, Id id) {
  const auto place = std::find(queue.begin(), queue.end(), id);
  expect(place != queue.end(), "what waits is in its queue");
  queue.erase(place);
}

}  // namespace

Scheduler::Scheduler(const SchedulerOptions& options) : options_(options) {
  expect(options.max_workers >= 1 && options.concurrency >= 1 && options.max_attempts >= 1,
         "max_workers, concurrency and max_attempts are at least 1");
  expect(options.cancel_grace > Duration::zero(), "cancel_grace is longer than 0");
}

void Scheduler::start(TimePoint now, Decisions& out) {
  started_ = true;
  replenish(now, out);
}

// --- calls ---------------------------------------------------------------------------------------------------------

void Scheduler::call_arrived(CallId id, ModuleId module_id, TimePoint deadline, TimePoint now, Decisions& out) {
  Module& module = modules_[module_id];
  if (module.queue.size() >= options_.queue_limit) {
    out.push_back(RefuseCall{id, RefuseCall::Reason::queue_full});
    return release_module(module_id);
  }
  const auto [entry, is_new] = calls_.try_emplace(id);
  expect(is_new, "a call's id is new");
  entry->second.module = module_id;
  ++open_calls_;
  set_timer(id, entry->second, deadline);
  module.queue.push_back(id);
  if (module.worker) {
    dispatch(module, out);
  } else {
    enqueue_waiting(module_id, module);
    assign_workers(now, out);
  }
  check();
}

void Scheduler::call_answered(CallId id, TimePoint now, Decisions& out) {
  Call& call = call_of(id);
  expect(call.worker.has_value(), "an answered call is on a worker");
  const WorkerId worker_id = *call.worker;
  Worker& worker = worker_of(worker_id);
  const ModuleId module_id = call.module;
  std::erase(worker.calls, id);
  ++worker.calls_done;
  forget(id);
  if (worker.phase == WorkerPhase::leaving) return;
  dispatch(modules_.at(module_id), out);
  if (worker.calls.empty()) {
    became_idle(worker_id, worker, now, out);
    if (!waiting_.empty()) assign_workers(now, out);
  }
  check();
}

std::optional<WorkerId> Scheduler::abandon(CallId id, TimePoint now) {
  Call& call = call_of(id);
  expect(!call.abandoned, "a call is abandoned once");
  if (!call.worker) {
    const ModuleId module_id = call.module;
    Module& module = modules_.at(module_id);
    take_out(module.queue, id);
    forget(id);
    if (module.queue.empty() && module.waiting) {
      take_out(waiting_, module_id);
      module.waiting = false;
    }
    release_module(module_id);
    return std::nullopt;
  }
  call.abandoned = true;
  --open_calls_;
  set_timer(id, call, now + options_.cancel_grace);
  return call.worker;
}

// --- workers -------------------------------------------------------------------------------------------------------

void Scheduler::worker_forked(WorkerId id, TimePoint now, Decisions& out) {
  Worker& worker = worker_of(id);
  expect(worker.phase == WorkerPhase::starting, "a worker that was forked was starting");
  set_phase(worker, WorkerPhase::standby);
  worker.idle_since = now;
  fork_again_.reset();
  assign_workers(now, out);
  // One was forked for a module that no longer waits.
  if (count(WorkerPhase::standby) > options_.standby) became_idle(id, worker, now, out);
  check();
}

void Scheduler::worker_fork_failed(WorkerId id, TimePoint now, Decisions& out) {
  expect(worker_of(id).phase == WorkerPhase::starting, "a worker whose fork failed was starting");
  fork_again_ = now + options_.fork_retry;
  worker_lost(id, CallId{0}, now, out);
}

void Scheduler::worker_loaded(WorkerId id, TimePoint now, Decisions& out) {
  Worker& worker = worker_of(id);
  if (worker.phase == WorkerPhase::leaving) return;
  expect(worker.phase == WorkerPhase::loading, "a worker that has loaded was loading");
  set_phase(worker, WorkerPhase::ready);
  if (!worker.calls.empty()) return;
  became_idle(id, worker, now, out);
  assign_workers(now, out);
}

void Scheduler::worker_stopping(WorkerId id) {
  set_leaving(worker_of(id));
  check();
}

void Scheduler::retire(WorkerId id, TimePoint now, Decisions& out) {
  Worker& worker = worker_of(id);
  if (worker.phase == WorkerPhase::leaving || worker.retiring) return;
  expect(worker.module.has_value(), "a worker that is retired holds a module");
  worker.retiring = true;
  if (worker.phase == WorkerPhase::loading || !worker.calls.empty()) return;
  became_idle(id, worker, now, out);
  assign_workers(now, out);
  check();
}

void Scheduler::renew_standbys(TimePoint now, Decisions& out) {
  for (auto& [id, worker] : workers_) {
    if (worker.phase != WorkerPhase::standby) continue;
    set_leaving(worker);
    out.push_back(KillWorker{id, KillWorker::Reason::retired});
  }
  replenish(now, out);
  check();
}

std::vector<CallId> Scheduler::worker_lost(WorkerId id, CallId last_started, TimePoint now, Decisions& out) {
  Worker& worker = worker_of(id);
  if (worker.phase != WorkerPhase::leaving) set_leaving(worker);
  std::vector<CallId> ended;
  std::vector<CallId> again;
  for (CallId call_id : worker.calls) {
    Call& call = call_of(call_id);
    const bool started = call_id <= last_started;
    // It was told as overdue, and this is the end that it was left to: in a queue nothing would end it any more.
    const bool overdue = !call.timer_set;
    const bool ends = call.abandoned || started || overdue;
    if (!ends && call.attempts < options_.max_attempts) {
      again.push_back(call_id);
    } else if (!ends) {
      out.push_back(RefuseCall{call_id, RefuseCall::Reason::too_many_attempts});
      forget(call_id);
    } else {
      ended.push_back(call_id);
      forget(call_id);
    }
  }
  const std::optional<ModuleId> module_id = worker.module;
  --phase_counts_[index(worker.phase)];
  const bool held_slot = holds_slot(id, worker);
  workers_.erase(id);
  if (held_slot) {
    --slots_taken_;
    Module& module = modules_.at(*module_id);
    module.worker.reset();
    module.queue.insert(module.queue.begin(), again.begin(), again.end());
    for (CallId call_id : again) call_of(call_id).worker.reset();
    if (!module.queue.empty()) enqueue_waiting(*module_id, module);
    release_module(*module_id);
  } else {
    expect(again.empty(), "a worker with calls holds its module");
  }
  assign_workers(now, out);
  check();
  return ended;
}

std::vector<CallId> Scheduler::load_failed(WorkerId id, TimePoint now, Decisions& out) {
  Worker& worker = worker_of(id);
  expect(worker.module.has_value(), "a worker whose load failed has a module");
  if (!holds_slot(id, worker)) return {};
  Module& module = modules_.at(*worker.module);
  std::vector<CallId> ended;
  for (CallId call_id : worker.calls) {
    ended.push_back(call_id);
    forget(call_id);
  }
  worker.calls.clear();
  for (CallId call_id : module.queue) {
    ended.push_back(call_id);
    forget(call_id);
  }
  module.queue.clear();
  if (worker.phase != WorkerPhase::leaving) {
    set_leaving(worker);
  } else {
    // It was leaving with calls, and held its slot for their sake.
    --slots_taken_;
    module.worker.reset();
    release_module(*worker.module);
  }
  assign_workers(now, out);
  check();
  return ended;
}

// --- time ----------------------------------------------------------------------------------------------------------

void Scheduler::tick(TimePoint now, Decisions& out) {
  while (!timers_.empty() && timers_.begin()->first <= now) {
    const CallId id = timers_.begin()->second;
    Call& call = call_of(id);
    clear_timer(call);
    if (!call.worker) {
      abandon(id, now);
      out.push_back(CallOverdue{id, std::nullopt});
    } else if (!call.abandoned) {
      out.push_back(CallOverdue{id, call.worker});
    } else if (worker_of(*call.worker).phase != WorkerPhase::leaving) {
      set_timer(id, call, now + options_.cancel_grace);
      out.push_back(CancelOverdue{id, *call.worker});
    }
  }
  if (idle_check_ && *idle_check_ <= now) {
    idle_check_.reset();
    for (auto& [id, worker] : workers_) {
      const bool idle = worker.phase == WorkerPhase::ready && worker.calls.empty();
      const bool surplus = worker.phase == WorkerPhase::standby && count(WorkerPhase::standby) > options_.standby;
      if (!idle && !surplus) continue;
      const TimePoint limit = worker.idle_since + options_.idle_timeout;
      if (limit <= now) {
        set_leaving(worker);
        out.push_back(KillWorker{id, KillWorker::Reason::idle});
      } else {
        idle_check_ = std::min(limit, idle_check_.value_or(limit));
      }
    }
  }
  if (fork_again_ && *fork_again_ <= now) fork_again_.reset();
  assign_workers(now, out);
  check();
}

std::optional<TimePoint> Scheduler::next_wakeup() const {
  std::optional<TimePoint> next;
  const auto consider = [&](TimePoint when) { next = std::min(when, next.value_or(when)); };
  if (!timers_.empty()) consider(timers_.begin()->first);
  if (idle_check_) consider(*idle_check_);
  if (fork_again_) consider(*fork_again_);
  return next;
}

// --- the decisions -------------------------------------------------------------------------------------------------

// Gives the module's worker as many of its queued calls as it may have.
void Scheduler::dispatch(Module& module, Decisions& out) {
  if (!module.worker) return;
  Worker& worker = worker_of(*module.worker);
  if (worker.phase == WorkerPhase::leaving || worker.retiring) return;
  while (!module.queue.empty() && worker.calls.size() < options_.concurrency) {
    const CallId id = module.queue.front();
    module.queue.pop_front();
    Call& call = call_of(id);
    call.worker = module.worker;
    ++call.attempts;
    worker.calls.push_back(id);
    out.push_back(DispatchCall{id, *module.worker});
  }
}

// Gives workers to the modules that wait for one, as far as there are slots and workers, and asks for more workers.
void Scheduler::assign_workers(TimePoint now, Decisions& out) {
  while (!waiting_.empty() && count(WorkerPhase::standby) > 0) {
    if (slots_taken_ >= options_.max_workers && !evict_idle_worker(out)) break;
    const auto standby = std::find_if(workers_.begin(), workers_.end(),
                                      [](const auto& entry) { return entry.second.phase == WorkerPhase::standby; });
    const ModuleId module_id = waiting_.front();
    waiting_.pop_front();
    modules_.at(module_id).waiting = false;
    assign(standby->first, standby->second, module_id, out);
  }
  replenish(now, out);
}

void Scheduler::assign(WorkerId id, Worker& worker, ModuleId module_id, Decisions& out) {
  Module& module = modules_.at(module_id);
  set_phase(worker, WorkerPhase::loading);
  worker.module = module_id;
  module.worker = id;
  ++slots_taken_;
  out.push_back(LoadModule{id, module_id});
  dispatch(module, out);
}

// Makes room for a module that waits. The worker that has been idle longest is the least likely to be missed.
bool Scheduler::evict_idle_worker(Decisions& out) {
  std::unordered_map<WorkerId, Worker>::iterator victim = workers_.end();
  for (auto at = workers_.begin(); at != workers_.end(); ++at) {
    if (at->second.phase != WorkerPhase::ready || !at->second.calls.empty()) continue;
    if (victim == workers_.end() || at->second.idle_since < victim->second.idle_since) victim = at;
  }
  if (victim == workers_.end()) return false;
  set_leaving(victim->second);
  out.push_back(KillWorker{victim->first, KillWorker::Reason::evicted});
  return true;
}

// Asks for as many workers as are wanted on standby, and one for each module that waits and could have a slot.
void Scheduler::replenish(TimePoint now, Decisions& out) {
  if (!started_ || (fork_again_ && *fork_again_ > now)) return;
  const std::size_t idle = static_cast<std::size_t>(std::count_if(workers_.begin(), workers_.end(), [](auto& entry) {
    return entry.second.phase == WorkerPhase::ready && entry.second.calls.empty();
  }));
  const std::size_t slots = options_.max_workers - std::min(slots_taken_, options_.max_workers) + idle;
  const std::size_t wanted = options_.standby + std::min(waiting_.size(), slots);
  for (std::size_t have = count(WorkerPhase::starting) + count(WorkerPhase::standby); have < wanted; ++have) {
    const WorkerId id{++last_worker_};
    workers_.try_emplace(id);
    ++phase_counts_[index(WorkerPhase::starting)];
    out.push_back(ForkWorker{id});
  }
}

// --- bookkeeping ---------------------------------------------------------------------------------------------------

bool Scheduler::holds_slot(WorkerId id, const Worker& worker) const {
  if (!worker.module) return false;
  const auto module = modules_.find(*worker.module);
  return module != modules_.end() && module->second.worker == id;
}

void Scheduler::enqueue_waiting(ModuleId id, Module& module) {
  if (module.waiting) return;
  module.waiting = true;
  waiting_.push_back(id);
}

void Scheduler::became_idle(WorkerId id, Worker& worker, TimePoint now, Decisions& out) {
  if (worker.retiring) {
    set_leaving(worker);
    out.push_back(KillWorker{id, KillWorker::Reason::retired});
    return;
  }
  worker.idle_since = now;
  const TimePoint limit = now + options_.idle_timeout;
  if (!idle_check_) idle_check_ = limit;  // an earlier one finds out itself
}

// A worker that leaves without calls gives up its module and its slot at once; one with calls, when it is lost: until
// then it is not known which of them are to run again, and in which order.
void Scheduler::set_leaving(Worker& worker) {
  set_phase(worker, WorkerPhase::leaving);
  if (!worker.module || !worker.calls.empty()) return;
  --slots_taken_;
  const ModuleId module_id = *worker.module;
  Module& module = modules_.at(module_id);
  module.worker.reset();
  if (!module.queue.empty()) enqueue_waiting(module_id, module);
  release_module(module_id);
}

void Scheduler::set_phase(Worker& worker, WorkerPhase phase) {
  --phase_counts_[index(worker.phase)];
  ++phase_counts_[index(phase)];
  worker.phase = phase;
}

// A module without a worker and without calls is not remembered.
void Scheduler::release_module(ModuleId id) {
  const auto found = modules_.find(id);
  if (found != modules_.end() && !found->second.worker && found->second.queue.empty()) modules_.erase(found);
}

void Scheduler::set_timer(CallId id, Call& call, TimePoint when) {
  clear_timer(call);
  // Deadlines mostly rise from call to call, so that the end is the right hint.
  call.timer = timers_.emplace_hint(timers_.end(), when, id);
  call.timer_set = true;
}

void Scheduler::clear_timer(Call& call) {
  if (call.timer_set) timers_.erase(call.timer);
  call.timer_set = false;
}

void Scheduler::forget(CallId id) {
  const auto found = calls_.find(id);
  if (!found->second.abandoned) --open_calls_;
  clear_timer(found->second);
  calls_.erase(found);
}

Scheduler::Call& Scheduler::call_of(CallId id) {
  const auto found = calls_.find(id);
  expect(found != calls_.end(), "a call is known");
  return found->second;
}

Scheduler::Worker& Scheduler::worker_of(WorkerId id) {
  const auto found = workers_.find(id);
  expect(found != workers_.end(), "a worker is known");
  return found->second;
}

const Scheduler::Worker& Scheduler::worker_of(WorkerId id) const { return const_cast<Scheduler*>(this)->worker_of(id); }

WorkerView Scheduler::view(WorkerId id) const {
  const Worker& worker = worker_of(id);
  return {worker.phase, worker.module, worker.calls.size(), worker.calls_done};
}

std::vector<std::pair<WorkerId, WorkerView>> Scheduler::workers() const {
  std::vector<std::pair<WorkerId, WorkerView>> views;
  for (const auto& [id, worker] : workers_) views.emplace_back(id, view(id));
  std::sort(views.begin(), views.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return views;
}

bool Scheduler::is_on(CallId call, WorkerId worker) const {
  const auto found = calls_.find(call);
  return found != calls_.end() && found->second.worker == worker;
}

bool Scheduler::is_queued(CallId call) const {
  const auto found = calls_.find(call);
  return found != calls_.end() && !found->second.worker;
}

void Scheduler::check() const {
  expect(slots_taken_ <= options_.max_workers, "no more workers hold a module than max_workers");
  expect(open_calls_ <= calls_.size(), "open calls are calls");
  expect(
      workers_.size() == phase_counts_[0] + phase_counts_[1] + phase_counts_[2] + phase_counts_[3] + phase_counts_[4],
      "each worker is in one phase");
}

}  // namespace holdfast::supervisor
