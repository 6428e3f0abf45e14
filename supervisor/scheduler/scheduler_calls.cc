// The scheduler's calls: queues, which call is given to which worker, deadlines.
#include <algorithm>
#include <utility>

#include "ipc/base/invariant.h"
#include "supervisor/scheduler/scheduler.h"

namespace holdfast::supervisor {
namespace {

using std::chrono::milliseconds;

// The calls that a worker has ahead (given and not started) should keep it busy for about this long: long enough that
// it never waits for the supervisor, short enough that calls wait where they can still be given to another worker or be
// ended.
constexpr Duration kWorkAhead = milliseconds(2);
// How many calls a worker has ahead while it is not known how long the module's calls take.
constexpr std::size_t kFirstCalls = 4;
// How often to look at a worker that may have started calls without having answered.
constexpr Duration kProgressLook = milliseconds(2);
// If a worker uses this much CPU time without starting the calls that wait in it, these calls are taken back. The 6 ms
// are tolerance: the kernel may report up to a tick too much.
constexpr Duration kTooLong = kWorkAhead + milliseconds(6);

// Bounds of how long a caller that met a full queue is told to wait.
constexpr Duration kShortestRetryAfter = milliseconds(10);
constexpr Duration kLongestRetryAfter = std::chrono::seconds(10);

}  // namespace

// --- events --------------------------------------------------------------------------------------------------------

std::optional<RefuseCall> Scheduler::call_arrived(const ArrivedCall& arrived, TimePoint now, Decisions& out) {
  Module& called = module_of(arrived.module);
  if (const auto held_off = called.hold_off.until(now)) {
    return RefuseCall{RefuseCall::Reason::held_off, *held_off - now};
  }
  // In the queue, it would block calls behind it from a worker that has room.
  if (arrived.deadline <= now) {
    out.push_back(CallOverdue{arrived.id, std::nullopt});
    return std::nullopt;
  }
  const ClientId client = arrived.caller.client;
  Module& module = part_for(called, arrived.caller);
  const auto paused = paused_until(module, arrived.caller, now);
  const bool is_suspect = is_suspected(called, arrived.caller);
  const bool waits = paused || is_suspect || module.queue.is_ready() || module.queue.contains(client);
  Worker* worker = waits ? nullptr : worker_with_room(module);
  if (worker != nullptr) worker = worker_with_room(module, arrived.caller);
  if (const auto refused = refusal(module, arrived, paused, worker == nullptr, now)) return refused;
  const auto [entry, is_new] = calls_.try_emplace(arrived.id);
  expect(is_new, "a call's id is new");
  Call& call = entry->second;
  call.module = &module;
  call.caller = arrived.caller;
  call.deadline = arrived.deadline;
  call.idempotent = arrived.idempotent;
  ++open_calls_;
  set_timer(arrived.id, call, arrived.deadline);
  if (worker != nullptr) {
    give(arrived.id, call, *worker, now, out);
  } else {
    enqueue(arrived.id, call);
    if (paused) {
      pause(module, client, *paused);
    } else if (is_suspect) {
      module.queue.pause(client);
    } else if (module.queue.is_paused(client)) {
      module.queue.resume(client);
      dispatch(module, now, out);
    } else if (worker_with_room(module, arrived.caller) != nullptr) {
      dispatch(module, now, out);  // the other waiting clients have their shares
    } else {
      look_at_progress(module, now, out);
    }
    update(module, now, out);
    arrange(now, out);
  }
  check();
  return std::nullopt;
}

void Scheduler::call_answered(CallId id, Duration cpu_time, TimePoint now, Decisions& out) {
  Call& call = call_of(id);
  expect(call.worker != nullptr, "an answered call is on a worker");
  Worker& worker = *call.worker;
  Module& module = *call.module;
  const auto given =
      std::find_if(worker.calls.begin(), worker.calls.end(), [&](const auto& at) { return at.id == id; });
  // Calls start in order, so those before it have started.
  worker.started = std::max(worker.started, given->number);
  worker.calls.erase(given);
  ++worker.calls_done;
  if (cpu_time < kWorkAhead && worker.ahead < module.settings.concurrency) ++worker.ahead;
  module.cpu_per_call.add(cpu_time);
  module.queue.charge(call.caller.user, call.caller.client, cpu_time);
  module.main().hold_off.answered(options_.hold_off);
  const bool some_moved = note_answer(module, call, now);
  forget_call(id);
  if (some_moved) settle(module, now, out);
  if (module.queue.is_ready()) {
    dispatch(module, now, out);
    update(module, now, out);
  }
  if (worker.calls.empty() && worker.phase != WorkerPhase::leaving) {
    became_idle(worker, now, out);
    if (somebody_waits()) arrange(now, out);
  }
  check();
}

void Scheduler::call_ran(WorkerId id, CallId call, const Caller& left_by, Duration cpu_time) {
  Module* module = worker_of(id).module;
  if (module == nullptr) return;
  const Caller& caller = is_on(call, id) ? call_of(call).caller : left_by;
  module->queue.charge(caller.user, caller.client, cpu_time);
}

void Scheduler::call_streamed(CallId id) { call_of(id).streamed = true; }

void Scheduler::calls_started(WorkerId id, std::uint64_t count, std::optional<Duration> cpu_time, TimePoint now,
                              Decisions& out) {
  Worker& worker = worker_of(id);
  if (worker.module == nullptr) return;
  const bool has_started_some = count > worker.started;
  if (has_started_some) worker.started = std::min(count, worker.given);
  if (cpu_time) look_whether_late(worker, *cpu_time, out);
  if (!has_started_some || !worker.module->queue.is_ready()) return;
  dispatch(*worker.module, now, out);
  update(*worker.module, now, out);
  check();
}

// Takes calls back if the worker has used too much CPU time without coming to calls that it was given.
void Scheduler::look_whether_late(Worker& worker, Duration cpu_time, Decisions& out) {
  const bool has_started_those = !worker.is_behind() || worker.started >= worker.mark;
  if (!has_started_those && cpu_time - worker.cpu_at_mark < kTooLong) return;
  worker.mark = worker.given;
  worker.cpu_at_mark = cpu_time;
  if (has_started_those) return;
  worker.ahead = 1;
  out.push_back(TakeCallsBack{worker.id});
}

TakenBack Scheduler::calls_taken_back(WorkerId id, std::uint64_t started, std::uint64_t last, TimePoint now,
                                      Decisions& out) {
  Worker& worker = worker_of(id);
  expect(worker.phase != WorkerPhase::leaving && last <= worker.given, "calls that are taken back were given");
  TakenBack taken;
  std::vector<CallId> again;
  std::erase_if(worker.calls, [&](const GivenCall& given) {
    if (given.number <= started || given.number > last) return false;
    Call& call = call_of(given.id);
    call.worker = nullptr;
    if (call.abandoned) {
      taken.abandoned.push_back(given.id);
      forget_call(given.id);
      return true;
    }
    if (call.streamed) {
      taken.ended.push_back(given.id);
      forget_call(given.id);
      return true;
    }
    taken.queued.push_back(given.id);
    if (!call.timer_set || call.deadline <= now) {
      out.push_back(CallOverdue{given.id, std::nullopt});
      forget_call(given.id);
    } else {
      again.push_back(given.id);
    }
    return true;
  });
  worker.started = std::max(worker.started, last);
  for (auto call = again.rbegin(); call != again.rend(); ++call) {
    requeue(*call, call_of(*call), CallQueue::Before::own);
  }
  settle(*worker.module, now, out);
  if (worker.is_idle()) became_idle(worker, now, out);
  arrange(now, out);
  check();
  return taken;
}

std::optional<WorkerId> Scheduler::abandon(CallId id, TimePoint now, Decisions& out) {
  Call& call = call_of(id);
  expect(!call.abandoned, "a call is abandoned once");
  if (call.worker == nullptr) {
    Module& module = *call.module;
    dequeue(id, call);
    forget_call(id);
    if (!module.queue.is_ready()) {
      update(module, now, out);
      arrange(now, out);
    }
    return std::nullopt;
  }
  call.abandoned = true;
  --open_calls_;
  set_timer(id, call, now + options_.cancel_grace);
  return call.worker->id;
}

// --- refusals ------------------------------------------------------------------------------------------------------

std::optional<RefuseCall::Reason> Scheduler::full_queue(const Module& module, ClientId client) const {
  using enum RefuseCall::Reason;
  if (module.queue.size() >= module.settings.queue_limit) return module_queue_full;
  if (queued_ >= options_.total_queue_limit) return all_queues_full;
  const auto found = queued_by_client_.find(client);
  if (found != queued_by_client_.end() && found->second >= options_.client_queue_limit) return client_queue_full;
  return std::nullopt;
}

// Why the call is refused; nullopt: it is not. `waits`: no worker has room for the call now.
std::optional<RefuseCall> Scheduler::refusal(const Module& module, const ArrivedCall& call,
                                             std::optional<TimePoint> paused, bool waits, TimePoint now) const {
  using enum RefuseCall::Reason;
  if (!waits) return std::nullopt;
  const auto full = full_queue(module, call.caller.client);
  if (paused && (*paused >= call.deadline || full == client_queue_full)) {
    return RefuseCall{owner_paused, *paused - now, module.main().offences->kills(call.caller)};
  }
  if (full) return RefuseCall{*full, time_to_drain(module), 0, module.origin != nullptr};
  return std::nullopt;
}

// An estimate of how long it takes to empty the module's queue.
Duration Scheduler::time_to_drain(const Module& module) const {
  const Duration per_call = module.cpu_per_call.value().value_or(milliseconds(1));
  const auto workers = std::max<std::size_t>(module.workers.size(), 1);
  const auto calls = static_cast<Duration::rep>(std::max<std::size_t>(module.queue.size() / workers, 1));
  if (per_call >= kLongestRetryAfter / calls) return kLongestRetryAfter;
  return std::max(per_call * calls, kShortestRetryAfter);
}

// --- giving calls to workers ---------------------------------------------------------------------------------------

// How many calls a worker of the module may have ahead.
std::size_t Scheduler::window(const Module& module) const {
  const auto per_call = module.cpu_per_call.value();
  if (!per_call) return kFirstCalls;
  if (*per_call <= Duration::zero()) return module.settings.concurrency;
  return static_cast<std::size_t>(std::max<Duration::rep>(kWorkAhead / *per_call, 1));
}

// Of the workers that `filter` allows and that have room, the one that will start a further call first. Among equals,
// the one that has been there longest, so that a surplus worker is left idle.
template <typename Filter>
Scheduler::Worker* Scheduler::first_with_room(const Module& module, const Filter& filter) const {
  const std::size_t ahead = window(module);
  Worker* best = nullptr;
  for (Worker* worker : module.workers) {
    if (!worker->takes_calls() || worker->calls.size() >= module.settings.concurrency ||
        worker->not_started() >= std::min(ahead, worker->ahead) || !filter(*worker)) {
      continue;
    }
    if (best == nullptr || worker->not_started() < best->not_started() ||
        (worker->not_started() == best->not_started() && worker->calls.size() < best->calls.size())) {
      best = worker;
    }
  }
  return best;
}

Scheduler::Worker* Scheduler::worker_with_room(const Module& module) const {
  return first_with_room(module, [](const Worker&) { return true; });
}

// A worker with room on which the caller has less than its share of the places.
Scheduler::Worker* Scheduler::worker_with_room(const Module& module, const Caller& caller) const {
  return first_with_room(module, [&](const Worker& worker) {
    return !worker.places.has_its_share(caller.user, caller.client, module.settings.concurrency);
  });
}

// The first call in the queue's order for which a worker has room; nullopt: all waiting clients have their shares.
std::optional<CallId> Scheduler::next_call(Module& module) {
  const std::size_t places = module.settings.concurrency;
  const auto user_may = [&](UserId user) {
    const auto has_less = [&](const Worker& worker) { return !worker.places.user_has_its_share(user, places); };
    return first_with_room(module, has_less) != nullptr;
  };
  const auto client_may = [&](UserId user, ClientId client) {
    return worker_with_room(module, Caller{user, client, FunctionId{}}) != nullptr;
  };
  return module.queue.front_of(user_may, client_may);
}

void Scheduler::dispatch(Module& module, TimePoint now, Decisions& out) {
  while (module.queue.is_ready()) {
    std::optional<CallId> id = module.queue.front();
    const Call& first = call_of(*id);
    if (has_to_wait(module, first, now)) continue;
    const bool has_room = worker_with_room(module) != nullptr;
    if (has_room && worker_with_room(module, first.caller) == nullptr) id = next_call(module);
    if (!has_room || !id) {
      look_at_progress(module, now, out);
      break;
    }
    Call& call = call_of(*id);
    if (has_to_wait(module, call, now)) continue;
    if (call.deadline <= now) {
      dequeue(*id, call);  // without counting as served
      out.push_back(CallOverdue{*id, std::nullopt});
      forget_call(*id);
    } else {
      module.queue.pop(call.caller.client);
      count_queued(call.caller.client, -1);
      give(*id, call, *worker_with_room(module, call.caller), now, out);
    }
  }
}

void Scheduler::give(CallId id, Call& call, Worker& worker, TimePoint now, Decisions& out) {
  call.worker = &worker;
  call.place = worker.places.take(call.caller.user, call.caller.client);
  worker.calls.push_back({id, ++worker.given});
  out.push_back(DispatchCall{id, worker.id, call.caller});
  watch_if_behind(worker, now);
}

// Watches a worker that has more than one call ahead: calls may have to be taken back from it.
void Scheduler::watch_if_behind(Worker& worker, TimePoint now) {
  if (worker.is_behind()) watch(worker, now);
}

// A worker does not report when it starts a call, so it is looked at now and then.
void Scheduler::watch(Worker& worker, TimePoint now) {
  if (std::exchange(worker.is_watched, true)) return;
  watched_.push_back(worker.id);
  if (!progress_check_) progress_check_ = now + kProgressLook;
}

// Asks for a look at workers that calls of the module may be waiting for. The first waiting call does not wait for the
// next regular look.
void Scheduler::look_at_progress(Module& module, TimePoint now, Decisions& out) {
  for (Worker* worker : module.workers) {
    if ((worker->is_watched && module.queue.size() > 1) || !holds_others_back(*worker)) continue;
    out.push_back(LookAtProgress{worker->id});
    watch(*worker, now);
  }
}

bool Scheduler::holds_others_back(const Worker& worker) {
  return worker.takes_calls() && worker.not_started() > 0 && worker.module->queue.is_ready() &&
         worker.calls.size() < worker.module->settings.concurrency;
}

void Scheduler::look_at_all_progress(TimePoint now, Decisions& out) {
  progress_check_.reset();
  std::erase_if(watched_, [&](WorkerId id) {
    const auto found = workers_.find(id);
    if (found == workers_.end()) return true;
    Worker& worker = found->second;
    worker.is_watched = holds_others_back(worker) || worker.is_behind();
    if (worker.is_watched) out.push_back(LookAtProgress{id});
    return !worker.is_watched;
  });
  if (!watched_.empty()) progress_check_ = now + kProgressLook;
}

// --- the queues ----------------------------------------------------------------------------------------------------

void Scheduler::enqueue(CallId id, Call& call) {
  call.module->queue.push_back(call.caller.user, call.caller.client, id);
  count_queued(call.caller.client, +1);
}

void Scheduler::requeue(CallId id, Call& call, CallQueue::Before before) {
  call.worker = nullptr;
  call.place = {};
  call.module = &part_for(call.module->main(), call.caller);
  // A guilty owner's calls do not go before those of other guilty owners.
  if (call.module->origin != nullptr) before = CallQueue::Before::own;
  call.module->queue.push_front(call.caller.user, call.caller.client, id, before);
  count_queued(call.caller.client, +1);
}

void Scheduler::dequeue(CallId id, Call& call) {
  call.module->queue.erase(call.caller.client, id);
  count_queued(call.caller.client, -1);
}

void Scheduler::count_queued(ClientId client, int difference) {
  queued_ += static_cast<std::size_t>(difference);
  std::size_t& of_client = queued_by_client_[client];
  of_client += static_cast<std::size_t>(difference);
  if (of_client == 0) queued_by_client_.erase(client);
}

std::vector<CallId> Scheduler::end_queued_calls(Module& module) {
  std::vector<CallId> ended = module.queue.take_all();
  for (CallId id : ended) {
    count_queued(call_of(id).caller.client, -1);
    forget_call(id);
  }
  return ended;
}

// --- time ----------------------------------------------------------------------------------------------------------

void Scheduler::end_overdue(TimePoint now, Decisions& out) {
  while (!timers_.empty() && timers_.begin()->first <= now) {
    const CallId id = timers_.begin()->second;
    Call& call = call_of(id);
    clear_timer(call);
    if (call.worker == nullptr) {
      Module& module = *call.module;
      dequeue(id, call);
      forget_call(id);
      out.push_back(CallOverdue{id, std::nullopt});
      if (!module.queue.is_ready()) update(module, now, out);
    } else if (!call.abandoned) {
      out.push_back(CallOverdue{id, call.worker->id});
    } else if (call.worker->phase != WorkerPhase::leaving) {
      set_timer(id, call, now + options_.cancel_grace);
      out.push_back(CancelOverdue{id, call.worker->id});
    }
  }
}

void Scheduler::set_timer(CallId id, Call& call, TimePoint when) {
  clear_timer(call);
  // Deadlines usually rise from call to call, so the end is the right hint.
  call.timer = timers_.emplace_hint(timers_.end(), when, id);
  call.timer_set = true;
}

void Scheduler::clear_timer(Call& call) {
  if (call.timer_set) timers_.erase(call.timer);
  call.timer_set = false;
}

void Scheduler::forget_call(CallId id) {
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

bool Scheduler::is_on(CallId call, WorkerId worker) const {
  const auto found = calls_.find(call);
  return found != calls_.end() && found->second.worker != nullptr && found->second.worker->id == worker;
}

bool Scheduler::is_queued(CallId call) const {
  const auto found = calls_.find(call);
  return found != calls_.end() && found->second.worker == nullptr;
}

}  // namespace holdfast::supervisor
