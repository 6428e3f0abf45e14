// The simulation's records, and what must hold after each event.
#include <algorithm>

#include "tests/unit/scheduler/scheduler_bench.h"
#include "tests/unit/scheduler/scheduler_simulation.h"

namespace holdfast::supervisor::testing {
namespace {

// Checking the place of each call takes longer than everything else, so it is done only once in this many checks: an
// error in it stays visible.
constexpr std::uint64_t kChecksPerLookAtCalls = 16;

}  // namespace

// --- what is known -------------------------------------------------------------------------------------------------

void Simulation::end(CallId id, const std::string& how) {
  const auto found = calls_.find(id);
  require(found != calls_.end(), "a call ends once");
  if (!found->second.abandoned) ++counts_.ends[how];
  calls_.erase(found);
}

void Simulation::enqueue(CallId id, Call& call) {
  Module& module = modules_.at(call.module);
  module.queues[queue_of(call)].push_back(id);
  module.spent_before.try_emplace(call.caller.client, module.spent);
  ++module.queued;
}

void Simulation::requeue(CallId id, Call& call, Because why) {
  Module& module = modules_.at(call.module);
  call.worker.reset();
  call.came_back = why == Because::worker_was_lost;
  module.queues[queue_of(call)].push_front(id);
  module.spent_before.try_emplace(call.caller.client, module.spent);
  ++module.queued;
}

void Simulation::dequeue(CallId id, const Call& call) {
  Module& module = modules_.at(call.module);
  const auto queue = module.queues.find(queue_of(call));
  std::erase(queue->second, id);
  --module.queued;
  if (!queue->second.empty()) return;
  module.queues.erase(queue);
  const auto is_its = [&](const auto& entry) { return entry.first.first == call.caller.client; };
  if (std::ranges::none_of(module.queues, is_its)) module.spent_before.erase(call.caller.client);
  if (module.queued == 0) module.spent = {};
}

// Ends all calls that waited for this part of the module; `ended` has them in any order.
void Simulation::end_queued(ModuleId part, const std::vector<CallId>& ended) {
  Module& module = modules_.at(main_of(part));
  for (CallId id : ended) {
    require(calls_.contains(id), "a call that waits for an unavailable module ends once");
    const Call call = calls_.at(id);
    require(call.module == main_of(part) && !call.worker, "only waiting calls of an unavailable module end");
    require(!is_quarantine(part) || module.were_guilty.contains(call.caller.client),
            "calls of owners that were never guilty do not end with the quarantine's");
    dequeue(id, call);
    end(id, "could not be loaded");
  }
  const auto is_left = [&](const auto& entry) { return !module.were_guilty.contains(entry.first.first); };
  require(is_quarantine(part) || std::none_of(module.queues.begin(), module.queues.end(), is_left),
          "all calls that wait for an unavailable module end, except those in its quarantine");
}

// A worker that leaves without calls frees its slot at once; one with calls frees it when it is lost.
void Simulation::leave(Worker& worker) {
  worker.phase = WorkerPhase::leaving;
  if (worker.calls.empty()) worker.has_slot = false;
  if (worker.module) renew_claim(*worker.module);
}

bool Simulation::keeps_others_waiting(const Worker& worker) const {
  const auto waits_elsewhere = [&](const auto& entry) { return entry.second.claims && entry.first != worker.module; };
  return worker.has_slot && slots_taken() == options_.max_workers && std::ranges::any_of(modules_, waits_elsewhere);
}

void Simulation::file_claim(ModuleId id) {
  Module& module = modules_.at(id);
  module.claims = true;
  module.claim_is_first = workers_that_take_calls(id) == 0;
}

// A module that lost its last worker claims another one behind the modules that wait already.
void Simulation::renew_claim(ModuleId id) {
  const Module& module = modules_.at(id);
  if (module.claims && module.claim_is_first != (workers_that_take_calls(id) == 0)) file_claim(id);
}

ModuleView Simulation::view(ModuleId part) const {
  using enum Scheduler::Part;
  return scheduler_.view(main_of(part), is_quarantine(part) ? quarantine : clean, now_);
}

bool Simulation::is_guilty(ModuleId module, const Caller& caller) const {
  return modules_.at(module).offences.is_guilty(options_.offences, caller);
}

std::optional<TimePoint> Simulation::paused_until(ModuleId module, const Caller& caller) const {
  return modules_.at(module).offences.paused_until(options_.offences, caller, now_);
}

// Only one part of a module can have a claim at a time: the clean part, unless that has a worker; then the quarantine.
bool Simulation::is_blocked(ModuleId part) const {
  const Module& other = modules_.at(other_part(part));
  if (!other.claims && !other.fetching) return false;
  return is_quarantine(part) == (workers_that_take_calls(main_of(part)) == 0);
}

// Whether the caller has its share of the worker's places: seven eighths of the places that other users leave, and of
// these seven eighths of what the user's other clients leave.
bool Simulation::has_its_share(const Worker& worker, const Caller& caller) const {
  const auto share = [](std::size_t total, std::size_t of_others) {
    const std::size_t left = total - std::min(total, of_others);
    return left - left / 8;
  };
  std::size_t of_user = 0, of_client = 0;
  for (const CallId call : worker.calls) {
    of_user += calls_.at(call).caller.user == caller.user;
    of_client += calls_.at(call).caller.client == caller.client;
  }
  const std::size_t concurrency = modules_.at(*worker.module).settings.concurrency;
  const std::size_t most_of_user = share(concurrency, worker.calls.size() - of_user);
  return of_user >= most_of_user || of_client >= share(most_of_user, of_user - of_client);
}

// Whether the caller has its share on some worker of the module.
bool Simulation::may_have_its_share(ModuleId part, const Caller& caller) const {
  return std::ranges::any_of(workers_, [&](const auto& entry) {
    return entry.second.module == part && entry.second.takes_calls() && has_its_share(entry.second, caller);
  });
}

ModuleId Simulation::claiming_part(ModuleId module) const {
  const ModuleId apart = quarantine_of(module);
  return view(apart).claims_slot && !view(module).claims_slot ? apart : module;
}

ModuleId Simulation::part_of(const LoadModule& load) const {
  return scheduler_.view(load.worker).is_quarantine ? quarantine_of(load.module) : load.module;
}

void Simulation::note_guilty(ModuleId module) {
  for (std::uint64_t client = 1; client <= client_count_; ++client) {
    for (std::uint64_t function = 1; function <= kFunctions; ++function) {
      const Caller caller{user_of(ClientId{client}), ClientId{client}, FunctionId{function}};
      if (is_guilty(module, caller)) modules_.at(module).were_guilty.insert(caller.client);
    }
  }
}

void Simulation::fail(ModuleId part) {
  Module& module = modules_.at(main_of(part));
  Module& apart = modules_.at(quarantine_of(main_of(part)));
  module.hold_off.failed(options_.hold_off, now_);
  const auto until = module.hold_off.until(now_);
  if (!until) return;
  module.held_off_until = until;
  module.claims = apart.claims = false;
}

std::size_t Simulation::workers_with_slot(ModuleId module) const {
  return static_cast<std::size_t>(std::count_if(workers_.begin(), workers_.end(), [&](const auto& entry) {
    return entry.second.module == module && entry.second.has_slot;
  }));
}

std::size_t Simulation::workers_that_take_calls(ModuleId module) const {
  return static_cast<std::size_t>(std::count_if(workers_.begin(), workers_.end(), [&](const auto& entry) {
    return entry.second.module == module && entry.second.takes_calls();
  }));
}

std::size_t Simulation::slots_taken() const {
  return static_cast<std::size_t>(
      std::count_if(workers_.begin(), workers_.end(), [](const auto& entry) { return entry.second.has_slot; }));
}

std::size_t Simulation::count(WorkerPhase phase) const {
  return static_cast<std::size_t>(
      std::count_if(workers_.begin(), workers_.end(), [&](const auto& entry) { return entry.second.phase == phase; }));
}

// Whether the module needs another worker; it may want one without needing it.
bool Simulation::must_claim(ModuleId id) const {
  const Module& module = modules_.at(id);
  if (workers_with_slot(id) > module.settings.max_instances) return false;
  const std::size_t instances = workers_that_take_calls(id);
  const ModuleView seen = view(id);
  return instances < module.settings.min_warm || (instances == 0 && seen.queued > seen.paused);
}

bool Simulation::is_kept_warm(const Worker& worker) const {
  return workers_that_take_calls(*worker.module) <= modules_.at(*worker.module).settings.min_warm;
}

std::size_t Simulation::kept_warm() const {
  std::size_t sum = 0;
  for (const auto& [id, module] : modules_) sum += module.settings.min_warm;
  return sum;
}

double Simulation::share(ModuleId id, std::size_t more) const {
  if (is_quarantine(id)) more += workers_with_slot(main_of(id));
  return static_cast<double>(workers_with_slot(id) + more) / static_cast<double>(modules_.at(id).settings.weight);
}

std::size_t Simulation::queued_of(ClientId client) const {
  std::size_t sum = 0;
  for (const auto& [id, module] : modules_) {
    for (const auto& [queue, calls] : module.queues) sum += queue.first == client ? calls.size() : 0;
  }
  return sum;
}

std::size_t Simulation::queued() const {
  std::size_t sum = 0;
  for (const auto& [id, module] : modules_) sum += module.queued;
  return sum;
}

// --- what must hold ------------------------------------------------------------------------------------------------

void Simulation::check() {
  ++last_place_;
  for (auto& [id, module] : modules_) {
    const bool claims_slot = view(id).claims_slot;
    require(!claims_slot || module.claims || module.fetching,
            "a module claims a slot only after its source was requested");
    require(!claims_slot || !view(other_part(id)).claims_slot, "only one part of a module claims a slot at a time");
    if (!claims_slot) module.claims = false;
    if (!is_quarantine(id)) note_guilty(id);
    if (module.claims && module.claim_is_first && module.place == 0) module.place = last_place_;
    // A caller that has its share of the places is not served.
    for (const auto& [queue, calls] : module.queues) {
      const Caller& caller = calls_.at(calls.front()).caller;
      if (may_have_its_share(id, caller)) module.spent_before[caller.client] = module.spent;
    }
    if (module.earliest_place != 0) continue;
    const bool may_have_claimed = is_quarantine(id) && is_blocked(id) && must_claim(id);
    if (module.place != 0 || may_have_claimed) module.earliest_place = last_place_;
  }
  check_pool();
  check_no_work_is_left();
  check_due(false);
  check_views();
  if (++checks_ % kChecksPerLookAtCalls == 0) check_calls();
}

void Simulation::check_pool() const {
  require(slots_taken() <= options_.max_workers, "no more than max_workers workers hold a module");
  std::size_t first_claims = 0;
  for (const auto& [id, module] : modules_) {
    require(workers_that_take_calls(id) <= module.settings.max_instances,
            "at most max_instances workers of a module take calls");
    if (module.claims && module.claim_is_first) ++first_claims;
  }
  const PoolView view = scheduler_.pool(now_);
  require(view.slots_taken == slots_taken(), "no slot is lost, and none is taken twice");
  require(view.starting == count(WorkerPhase::starting) && view.standby == count(WorkerPhase::standby) &&
              view.queued == queued() && view.waiting_modules == first_claims,
          "the pool's view matches the result of the decisions");
}

void Simulation::check_no_work_is_left() const {
  const bool has_free_worker = slots_taken() < options_.max_workers && count(WorkerPhase::standby) > 0;
  for (const auto& [id, module] : modules_) {
    require(!has_free_worker || !module.claims, "no module waits while a slot and a worker are free");
    require(!must_claim(id) || module.claims || module.fetching || is_blocked(id) ||
                modules_.at(main_of(id)).held_off_until || module.no_worker_before != TimePoint{},
            "a module that needs a worker claims one, unless it is held off");
  }
  for (const auto& [id, worker] : workers_) {
    if (!worker.takes_calls() || worker.told_started < worker.given) continue;
    const Module& module = modules_.at(*worker.module);
    const ModuleView seen = view(*worker.module);
    if (seen.queued == seen.paused || worker.calls.size() >= module.settings.concurrency) continue;
    for (const auto& [queue, calls] : modules_.at(main_of(*worker.module)).queues) {
      const Caller& caller = calls_.at(calls.front()).caller;
      const bool is_here = is_guilty(main_of(*worker.module), caller) == is_quarantine(*worker.module);
      require(!is_here || paused_until(main_of(*worker.module), caller) || has_its_share(worker, caller),
              "no call waits while a worker has started all that it has, and may have more, unless its owner is paused "
              "or has its share of the places");
    }
  }
}

// The scheduler must request a wakeup no later than the first due time; after a tick nothing may be due.
void Simulation::check_due(bool after_tick) const {
  const auto next = scheduler_.next_wakeup();
  if (after_tick) require(!next || *next > now_, "after a tick the scheduler requests no immediate wakeup");
  const auto due = first_due();
  if (due) require(next && *next <= *due, "the next wakeup is not later than the first thing that is due");
  const auto room_due = first_room_due();
  if (room_due) require(next && *next <= *room_due, "the next wakeup is not later than when a worker can make room");
}

std::optional<TimePoint> Simulation::first_due() const {
  std::optional<TimePoint> due;
  const auto consider = [&](TimePoint when) { due = std::min(when, due.value_or(when)); };
  for (const auto& [id, call] : calls_) {
    if (!call.abandoned && !call.was_overdue) consider(call.deadline);
    if (call.abandoned && workers_.at(*call.worker).phase != WorkerPhase::leaving) consider(call.give_up_at);
  }
  const bool somebody_waits =
      std::any_of(modules_.begin(), modules_.end(), [](const auto& entry) { return entry.second.claims; });
  for (const auto& [id, worker] : workers_) {
    // The scheduler may have checked this worker last while no module waited.
    if (somebody_waits && worker.draining && worker.holds_module()) {
      consider(std::max(worker.drain_due, now_) + options_.waiting_grace);
    }
    if (worker.is_idle() && worker.takes_calls() && !is_kept_warm(worker)) {
      consider(worker.idle_since + modules_.at(*worker.module).settings.idle_timeout);
    }
  }
  for (const auto& [id, module] : modules_) {
    if (must_claim(id) && !module.claims && !module.fetching && !is_blocked(id)) {
      const TimePoint held_off_until = modules_.at(main_of(id)).held_off_until.value_or(module.no_worker_before);
      consider(std::max(held_off_until, module.no_worker_before));
    }
  }
  if (no_fork_before_ && count(WorkerPhase::starting) + count(WorkerPhase::standby) < options_.standby) {
    consider(*no_fork_before_);
  }
  return due;
}

// When a worker has to make room: at the end of its slice at the latest. While a worker is being forked, its arrival
// decides.
std::optional<TimePoint> Simulation::first_room_due() const {
  if (no_fork_before_ || count(WorkerPhase::starting) > 0) return std::nullopt;
  std::size_t claims = 0;
  // Not every worker makes room for a quarantine.
  const auto is_apart = [](const auto& entry) { return is_quarantine(entry.first) && entry.second.claims; };
  if (std::any_of(modules_.begin(), modules_.end(), is_apart)) return std::nullopt;
  for (const auto& [id, module] : modules_) claims += module.claims && module.claim_is_first;
  std::size_t slots_to_come = options_.max_workers - slots_taken();
  std::size_t idle = 0;
  std::optional<TimePoint> idle_due, busy_due;
  for (const auto& [id, worker] : workers_) {
    if (!worker.has_slot) continue;
    if (!worker.takes_calls()) {
      ++slots_to_come;
    } else if (worker.phase == WorkerPhase::ready && !is_kept_warm(worker) && !modules_.at(*worker.module).claims) {
      auto& due = worker.is_idle() ? idle_due : busy_due;
      if (worker.is_idle()) ++idle;
      const TimePoint when = std::max(worker.latest_slice_end, worker.is_idle() ? worker.idle_since : TimePoint{});
      due = std::min(when, due.value_or(when));
    }
  }
  if (claims <= slots_to_come) return std::nullopt;
  if (claims <= slots_to_come + idle || !busy_due) return idle_due;
  return std::min(*busy_due, idle_due.value_or(*busy_due));
}

// The scheduler's own views must match the result of its decisions.
void Simulation::check_views() const {
  const auto views = scheduler_.workers();
  require(views.size() == workers_.size(), "workers() has all workers and no others");
  auto own = workers_.begin();
  for (const auto& [id, view] : views) {
    const Worker& worker = own->second;
    const bool has_its_module = worker.module.has_value() == view.module.has_value() &&
                                (!worker.module || (main_of(*worker.module) == *view.module &&
                                                    is_quarantine(*worker.module) == view.is_quarantine));
    require(id == own->first && view.phase == worker.phase && has_its_module &&
                view.calls_in_flight == worker.calls.size() && view.calls_done == worker.calls_done &&
                view.takes_calls == worker.takes_calls(),
            "a worker's view matches the worker's state");
    ++own;
  }
  for (const auto& [id, module] : modules_) {
    if (is_quarantine(id)) continue;
    const ModuleView view = scheduler_.view(id, now_);
    require(view.queued == module.queued, "a module's view has the number of waiting calls");
    require(view.held_off_until == module.hold_off.until(now_),
            "a module is held off after failures in a row, and not otherwise");
  }
}

void Simulation::check_calls() const {
  std::size_t open = 0;
  for (const auto& [id, call] : calls_) {
    if (!call.abandoned) ++open;
    require(scheduler_.is_queued(id) == !call.worker, "is_queued() tells whether a call waits for a worker");
    require(!call.worker || scheduler_.is_on(id, *call.worker), "is_on() tells where a call is");
  }
  require(scheduler_.open_calls() == open, "open_calls() counts the calls that are not abandoned");
}

// At the end of a run: the world has behaved, and nothing is due any more.
void Simulation::check_all_is_finished() const {
  std::uint64_t ends = 0;
  for (const auto& [how, times] : counts_.ends) ends += times;
  require(calls_.empty() && ends == counts_.calls, "each call has one end");
  require(scheduler_.open_calls() == 0, "no call is open when all have ended");
  for (const auto& [id, module] : modules_) {
    require(workers_with_slot(id) == module.settings.min_warm && !module.claims,
            "when all is idle, a module has the workers that it is to keep warm, and no others");
  }
  require(count(WorkerPhase::standby) == options_.standby && workers_.size() == options_.standby + slots_taken(),
          "when all is idle, only standby workers and workers that are kept warm are left");
}

}  // namespace holdfast::supervisor::testing
