#include "tests/unit/scheduler/fairness_simulation.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace holdfast::supervisor::testing {

Duration FairnessResult::work() const {
  Duration sum{};
  for (const OfModule& module : modules) sum += module.work;
  return sum;
}

FairnessSimulation::FairnessSimulation(const FairnessWorld& world)
    : world_(world), random_(world.seed), scheduler_(world.options) {
  result_.modules.resize(world.modules.size());
}

FairnessResult FairnessSimulation::run() {
  const TimePoint end = now_ + world_.length;
  Decisions decisions;
  scheduler_.start(now_, decisions);
  for (std::size_t i = 0; i < world_.modules.size(); ++i) {
    scheduler_.configure(id_of(i), world_.modules[i].settings, now_, decisions);
  }
  carry_out(std::move(decisions));
  for (std::size_t i = 0; i < world_.modules.size(); ++i) {
    const FairnessModule& module = world_.modules[i];
    for (std::size_t call = 0; call < module.open_calls; ++call) at(now_, [this, i] { make_call(i); });
    if (module.open_calls == 0) at(now_ + module.pause, [this, i] { make_call(i); });
  }
  for (;;) {
    const auto wakeup = scheduler_.next_wakeup();
    const TimePoint next_event = events_.empty() ? end : events_.begin()->first;
    if (std::min(next_event, wakeup.value_or(end)) >= end) break;
    if (wakeup && *wakeup <= next_event) {
      now_ = std::max(now_, *wakeup);
      Decisions out;
      scheduler_.tick(now_, out);
      carry_out(std::move(out));
    } else {
      now_ = next_event;
      const auto event = std::move(events_.begin()->second);
      events_.erase(events_.begin());
      event();
    }
  }
  for (auto& [id, worker] : workers_) free_slot(worker);
  return result_;
}

void FairnessSimulation::at(TimePoint when, std::function<void()> event) { events_.emplace(when, std::move(event)); }

// --- calls ---------------------------------------------------------------------------------------------------------

void FairnessSimulation::make_call(std::size_t index) {
  const FairnessModule& module = world_.modules[index];
  const CallId id{++last_call_};
  const auto spread = static_cast<std::uint64_t>((module.longest_call - module.shortest_call).count()) + 1;
  Call& call = calls_[id];
  call.module = index;
  call.arrived = now_;
  call.time = module.shortest_call + Duration(static_cast<Duration::rep>(random_() % spread));
  if (module.one_call_is_endless_in > 0 && random_() % module.one_call_is_endless_in == 0) {
    call.time = std::chrono::hours(1000);
    call.is_endless = true;
  }
  Decisions out;
  const auto refused = scheduler_.call_arrived(
      {.id = id,
       .module = id_of(index),
       .caller = {module.user, ClientId{index + 1}, call.is_endless ? module.endless_function : FunctionId{1}},
       .deadline = now_ + module.deadline},
      now_, out);
  if (refused) {
    ++result_.modules[index].refused;
    calls_.erase(id);
    at(now_ + std::max(module.pause, refused->retry_after), [this, index] { make_call(index); });
  }
  carry_out(std::move(out));
}

// A flooding module makes the next call at once.
void FairnessSimulation::end_call(CallId id, bool answered) {
  const Call call = calls_.at(id);
  calls_.erase(id);
  if (call.abandoned) return;
  FairnessResult::OfModule& of_module = result_.modules[call.module];
  of_module.longest_answer = std::max(of_module.longest_answer, now_ - call.arrived);
  ++(answered ? of_module.answered : of_module.overdue);
  if (!call.is_endless) {
    of_module.longest_good_answer = std::max(of_module.longest_good_answer, now_ - call.arrived);
    if (!answered) ++of_module.good_overdue;
  }
  if (answered) of_module.work += call.time;
  const FairnessModule& module = world_.modules[call.module];
  at(now_ + (module.open_calls > 0 ? Duration() : module.pause), [this, index = call.module] { make_call(index); });
}

void FairnessSimulation::run_next(WorkerId id) {
  Worker& worker = workers_.at(id);
  if (!worker.loaded_at || worker.is_running || worker.is_stopping || worker.calls.empty()) return;
  const CallId next = worker.calls.front();
  const Call& call = calls_.at(next);
  worker.is_running = true;
  worker.running_since = now_;
  ++worker.started;
  at(now_ + (call.abandoned ? Duration() : call.time), [this, id, next] { finish(id, next); });
  const Duration stretch = world_.modules[call.module].stretch;
  if (!call.is_endless || stretch == Duration()) return;
  at(now_ + stretch, [this, id, next] {
    if (workers_.contains(id) && !workers_.at(id).is_stopping) stop(id, next, Blamed::owner);
  });
}

bool FairnessSimulation::only_waits(const Worker& worker) const {
  if (!worker.is_running) return false;
  const Call& call = calls_.at(worker.calls.front());
  return call.is_endless && world_.modules[call.module].endless_calls_wait;
}

Duration FairnessSimulation::cpu_time(const Worker& worker) const {
  if (!worker.is_running || only_waits(worker)) return worker.cpu_time;
  return worker.cpu_time + (now_ - worker.running_since);
}

void FairnessSimulation::finish(WorkerId id, CallId call) {
  const auto found = workers_.find(id);
  if (found == workers_.end() || found->second.is_stopping) return;
  found->second.cpu_time = cpu_time(found->second);
  found->second.is_running = false;
  found->second.calls.pop_front();
  const Duration time = calls_.at(call).abandoned ? Duration() : calls_.at(call).time;
  end_call(call, true);
  Decisions out;
  scheduler_.call_answered(call, time, now_, out);
  carry_out(std::move(out));
  run_next(id);
}

// --- workers -------------------------------------------------------------------------------------------------------

void FairnessSimulation::stop(WorkerId id, CallId guilty, Blamed blamed) {
  Worker& worker = workers_.at(id);
  if (std::exchange(worker.is_stopping, true)) return;
  at(now_ + world_.stop_time, [this, id, guilty, blamed] { lose(id, guilty, blamed); });
  Decisions out;
  scheduler_.worker_stopping(id, blamed == Blamed::owner ? guilty : CallId{}, std::nullopt, now_, out);
  carry_out(std::move(out));
}

void FairnessSimulation::lose(WorkerId id, CallId guilty, Blamed blamed) {
  Worker& worker = workers_.at(id);
  free_slot(worker);
  WorkerLoss loss = {.started = worker.started, .guilty = guilty};
  if (blamed == Blamed::owner) {
    loss.own_fault = true;
    loss.time = world_.modules[calls_.at(guilty).module].stretch;
  }
  workers_.erase(id);
  Decisions out;
  for (const EndedCall& ended : scheduler_.worker_lost(id, loss, now_, out)) end_call(ended.call, false);
  carry_out(std::move(out));
}

void FairnessSimulation::free_slot(Worker& worker) {
  if (!std::exchange(worker.has_slot, false)) return;
  if (worker.loaded_at) result_.modules[*worker.module].slot_time += now_ - *worker.loaded_at;
  if (worker.draining_since) result_.longest_drain = std::max(result_.longest_drain, now_ - *worker.draining_since);
}

bool FairnessSimulation::has_worker(std::size_t module) const {
  return std::any_of(workers_.begin(), workers_.end(), [&](const auto& entry) {
    return entry.second.module == module && scheduler_.view(entry.first).takes_calls;
  });
}

void FairnessSimulation::have_source(std::size_t module) {
  const std::size_t ahead = scheduler_.pool(now_).waiting_modules;
  const bool is_first = !has_worker(module);
  Decisions out;
  scheduler_.source_ready(id_of(module), now_, out);
  if (is_first && scheduler_.view(id_of(module), now_).claims_slot) waits_[module] = {now_, ahead};
  carry_out(std::move(out));
}

// --- what is decided -----------------------------------------------------------------------------------------------

void FairnessSimulation::carry_out(Decisions decisions) {
  see_who_waits();
  for (const Decision& decision : decisions) {
    std::visit([&](const auto& what) { carry_out(what); }, decision);
  }
}

// A module stops waiting when it has a slot, has its own worker again, or has nothing to do.
void FairnessSimulation::see_who_waits() {
  for (auto& [id, worker] : workers_) {
    if (!worker.draining_since || !scheduler_.view(id).takes_calls) continue;
    result_.longest_drain = std::max(result_.longest_drain, now_ - *worker.draining_since);
    worker.draining_since.reset();
  }
  std::erase_if(waits_, [&](const auto& entry) {
    const auto& [module, wait] = entry;
    if (scheduler_.view(id_of(module), now_).claims_slot && !has_worker(module)) return false;
    Duration& longest = result_.longest_wait[wait.ahead];
    longest = std::max(longest, now_ - wait.since);
    return true;
  });
}

void FairnessSimulation::carry_out(const ForkWorker& fork) {
  workers_[fork.worker];
  at(now_ + world_.fork_time, [this, id = fork.worker] {
    Decisions out;
    scheduler_.worker_forked(id, now_, out);
    carry_out(std::move(out));
  });
}

void FairnessSimulation::carry_out(const FetchSource& fetch) {
  at(now_, [this, module = module_of(fetch.module)] { have_source(module); });
}

void FairnessSimulation::carry_out(const LoadModule& load) {
  const std::size_t module = module_of(load.module);
  Worker& worker = workers_.at(load.worker);
  worker.module = module;
  worker.has_slot = true;
  ++result_.modules[module].turns;
  at(now_ + world_.modules[module].load_time, [this, id = load.worker] {
    const auto found = workers_.find(id);
    if (found == workers_.end() || found->second.is_stopping) return;
    found->second.loaded_at = now_;
    Decisions out;
    scheduler_.worker_loaded(id, now_, out);
    carry_out(std::move(out));
    run_next(id);
  });
}

void FairnessSimulation::carry_out(const DispatchCall& dispatch) {
  workers_.at(dispatch.worker).calls.push_back(dispatch.call);
  at(now_, [this, id = dispatch.worker] {
    if (workers_.contains(id)) run_next(id);
  });
}

void FairnessSimulation::carry_out(const LookAtProgress& look) {
  at(now_, [this, id = look.worker] {
    if (!workers_.contains(id)) return;
    Decisions out;
    scheduler_.calls_started(id, workers_.at(id).started, cpu_time(workers_.at(id)), now_, out);
    carry_out(std::move(out));
  });
}

void FairnessSimulation::carry_out(const TakeCallsBack& take) {
  at(now_, [this, id = take.worker] {
    if (!workers_.contains(id)) return;
    Worker& worker = workers_.at(id);
    const std::size_t kept = worker.is_running ? 1 : 0;
    const std::uint64_t started = worker.started;
    worker.started += worker.calls.size() - kept;
    worker.calls.resize(kept);
    Decisions out;
    const TakenBack taken = scheduler_.calls_taken_back(id, started, worker.started, now_, out);
    for (const CallId call : taken.abandoned) end_call(call, false);
    carry_out(std::move(out));
  });
}

void FairnessSimulation::carry_out(const DrainWorker& drain) {
  workers_.at(drain.worker).draining_since = now_;
  ++result_.drained;
}

void FairnessSimulation::carry_out(const DrainOverdue& overdue) {
  at(now_, [this, overdue] {
    const auto found = workers_.find(overdue.worker);
    if (found == workers_.end() || found->second.is_stopping || !found->second.draining_since) return;
    if (overdue.has_had_its_time || only_waits(found->second)) stop(overdue.worker, CallId{}, Blamed::nobody);
  });
}

void FairnessSimulation::carry_out(const KillWorker& kill) {
  Worker& worker = workers_.at(kill.worker);
  free_slot(worker);
  worker.is_stopping = true;
  at(now_ + world_.stop_time, [this, id = kill.worker] { lose(id, CallId{}, Blamed::nobody); });
}

// A running call is ended with its worker; any other call is taken back.
void FairnessSimulation::carry_out(const CallOverdue& overdue) {
  if (!overdue.worker) return end_call(overdue.call, false);
  at(now_, [this, call = overdue.call, id = *overdue.worker] {
    if (!calls_.contains(call) || !workers_.contains(id)) return;
    const Worker& worker = workers_.at(id);
    if (worker.is_stopping) return;
    const bool is_on_cpu = worker.is_running && worker.calls.front() == call;
    const bool is_given_up = is_on_cpu && only_waits(worker);
    if (is_on_cpu && !is_given_up) return stop(id, call, Blamed::nobody);
    Decisions out;
    scheduler_.abandon(call, now_, out);
    end_call(call, false);
    calls_[call].abandoned = true;
    carry_out(std::move(out));
    if (is_given_up) at(now_, [this, id, call] { finish(id, call); });
  });
}

void FairnessSimulation::carry_out(const CancelOverdue&) {}  // the calls before it end or are stopped anyway

}  // namespace holdfast::supervisor::testing
