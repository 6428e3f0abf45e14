// The scheduler's pool: which module gets a slot, which worker makes room, how many workers there are.
#include <algorithm>
#include <cmath>
#include <utility>

#include "ipc/base/invariant.h"
#include "supervisor/scheduler/scheduler.h"

namespace holdfast::supervisor {
namespace {

using std::chrono::milliseconds;

// The least time that starting a worker takes; used also while it is not known how long the module takes to load.
constexpr Duration kLeastLoadTime = milliseconds(1);
// Modules that load faster than this are treated alike: the difference is not worth it.
constexpr Duration kQuickLoad = milliseconds(5);
// A standby worker is made within this time. So the number of standbys is the number that is used in this time.
constexpr std::chrono::duration<double> kStandbyHorizon = milliseconds(50);
// The shortest time between two looks at how many standbys are wanted. That number changes within seconds. The bound is
// needed because an idle timeout may be 0.
constexpr Duration kLeastTargetLook = milliseconds(100);

// If modules are never held off: how long after a failure a worker that is only kept warm is tried again.
constexpr Duration kWarmRetry = std::chrono::seconds(1);

template <typename T>
void take_out(std::deque<T>& queue, T what) {
  const auto place = std::find(queue.begin(), queue.end(), what);
  expect(place != queue.end(), "a module that waits is in the list of claims");
  queue.erase(place);
}

}  // namespace

// --- claims --------------------------------------------------------------------------------------------------------

std::size_t Scheduler::Module::instances_that_take_calls() const {
  return static_cast<std::size_t>(
      std::count_if(workers.begin(), workers.end(), [](const Worker* worker) { return worker->takes_calls(); }));
}

bool Scheduler::wants_worker(const Module& module) const {
  const ModuleSettings& settings = module.settings;
  // While workers drain or leave, one other may take their place.
  if (module.workers.size() > settings.max_instances) return false;
  const std::size_t instances = module.instances_that_take_calls();
  if (instances < settings.min_warm) return true;
  if (!module.queue.is_ready()) return false;
  if (instances == 0) return true;
  if (instances >= std::min(settings.max_instances, options_.cores)) return false;
  const auto per_call = module.cpu_per_call.value();
  if (!per_call) return false;
  // Starting another worker takes about as long as loading the module. Is the queue longer than that?
  const Duration start = std::max(module.main().load_time.value().value_or(kLeastLoadTime), kLeastLoadTime);
  return *per_call > start * static_cast<Duration::rep>(instances) / static_cast<Duration::rep>(module.queue.size());
}

// Brings the claims of both parts of the module in line with what they need. To be called after any change to the queue
// or the workers of either part.
void Scheduler::update(Module& module, TimePoint now, Decisions& out) {
  Module& main = module.main();
  renew_claim(main, now, out);
  if (main.quarantine) renew_claim(*main.quarantine, now, out);
}

void Scheduler::renew_claim(Module& module, TimePoint now, Decisions& out) {
  if (!wants_worker(module)) return drop_claim(module);
  const HoldOff& hold_off = module.main().hold_off;
  auto until = hold_off.until(now);
  // No call waits for it, so nothing else would keep it from failing again and again.
  const TimePoint not_before = hold_off.failed_at() + kWarmRetry;
  if (!until && module.queue.empty() && options_.hold_off.longest_delay == Duration::zero() && not_before > now) {
    until = not_before;
  }
  if (module.no_worker_before > now) until = std::max(module.no_worker_before, until.value_or(TimePoint::min()));
  // It failed while it waited; or since it was held off, it has failed again or has shown that it works.
  if (module.claim == Claim::held_off || (until && module.claim == Claim::waiting)) drop_claim(module);
  if (module.claim == Claim::none) {
    if (until) {
      module.claim = Claim::held_off;
      held_off_.emplace(*until, &module);
    } else if (!shares_claim(module, now)) {
      module.claim = Claim::fetching;
      out.push_back(FetchSource{module.id});
    }
  } else if (module.claim == Claim::waiting && module.claim_is_first != (module.instances_that_take_calls() == 0)) {
    drop_claim(module);
    file_claim(module);
  }
}

// A source is fetched for one worker. So while one part of the module has a claim, the other part has none. The claim
// belongs to the quarantine if that cannot do without a worker and the clean part has one, else to the clean part.
bool Scheduler::shares_claim(Module& module, TimePoint now) {
  Module& main = module.main();
  if (!main.quarantine) return false;
  Module& quarantine = *main.quarantine;
  Module& other = &module == &main ? quarantine : main;
  if (other.claim != Claim::fetching && other.claim != Claim::waiting) return false;
  const bool is_quarantines =
      main.instances_that_take_calls() > 0 && wants_worker(quarantine) && quarantine.no_worker_before <= now;
  if (is_quarantines == (&module == &quarantine)) take_over_claim(module, other);
  return true;
}

void Scheduler::take_over_claim(Module& module, Module& other) {
  if (other.claim == Claim::waiting) {
    drop_claim(other);
    file_claim(module);
  } else {
    other.claim = Claim::none;
    module.claim = Claim::fetching;
    module.source_is_stale = std::exchange(other.source_is_stale, false);
  }
}

void Scheduler::file_claim(Module& module) {
  module.claim = Claim::waiting;
  module.claim_is_first = module.instances_that_take_calls() == 0;
  if (!module.claim_is_first) return further_claims_.push_back(&module);
  if (module.place == 0) module.place = ++last_place_;
  // The place is nearly always behind all others.
  auto at = first_claims_.end();
  while (at != first_claims_.begin() && (*std::prev(at))->place > module.place) --at;
  first_claims_.insert(at, &module);
}

// A source that is being fetched comes in any case; only then is it decided whether it is still wanted.
void Scheduler::drop_claim(Module& module) {
  if (module.claim == Claim::waiting) {
    take_out(module.claim_is_first ? first_claims_ : further_claims_, &module);
  } else if (module.claim == Claim::held_off) {
    const auto found = std::find_if(held_off_.begin(), held_off_.end(), [&](auto& at) { return at.second == &module; });
    held_off_.erase(found);
  } else {
    return;
  }
  module.claim = Claim::none;
}

void Scheduler::source_ready(ModuleId id, TimePoint now, Decisions& out) {
  Module& module = fetching_part(module_of(id));
  expect(module.claim == Claim::fetching, "a source that is ready was asked for");
  if (std::exchange(module.source_is_stale, false)) return out.push_back(FetchSource{id});
  module.claim = Claim::none;
  const bool must_wait = module.main().hold_off.until(now) || module.no_worker_before > now;
  if (must_wait || !wants_worker(module)) return update(module.main(), now, out);
  file_claim(module);
  arrange(now, out);
  check();
}

// The part of the module whose claim is fetching the source.
Scheduler::Module& Scheduler::fetching_part(Module& module) {
  const bool is_quarantines = module.quarantine && module.quarantine->claim == Claim::fetching;
  return is_quarantines ? *module.quarantine : module;
}

std::vector<CallId> Scheduler::source_failed(ModuleId id, TimePoint now, Decisions& out, Fault fault) {
  Module& module = fetching_part(module_of(id));
  expect(module.claim == Claim::fetching, "a source that could not be had was asked for");
  if (std::exchange(module.source_is_stale, false)) {
    out.push_back(FetchSource{id});
    return {};
  }
  module.claim = Claim::none;
  std::vector<CallId> ended;
  // If there are instances, they serve the calls that wait.
  if (module.instances_that_take_calls() == 0) ended = end_queued_calls(module);
  // Without a hold-off, a source that is still wanted would be fetched again at once.
  if (fault == Fault::of_module || wants_worker(module)) module.main().hold_off.failed(options_.hold_off, now);
  update(module.main(), now, out);
  check();
  return ended;
}

void Scheduler::end_hold_off(ModuleId id, TimePoint now, Decisions& out) {
  Module& module = module_of(id);
  module.hold_off.reset();
  update(module, now, out);
  arrange(now, out);
  check();
}

void Scheduler::source_changed(ModuleId id, TimePoint now, Decisions& out) {
  Module& module = module_of(id);
  module.hold_off.reset();
  forgive_all(module);  // they were committed by calls of code that is replaced
  for (Module* part : {&module, module.quarantine.get()}) {
    if (part == nullptr) continue;
    if (part->claim == Claim::fetching) {
      part->source_is_stale = true;
    } else {
      drop_claim(*part);
    }
  }
  retire_all(id, now, out);
  update(module, now, out);
  arrange(now, out);
  check();
}

void Scheduler::end_hold_offs(TimePoint now, Decisions& out) {
  while (!held_off_.empty() && held_off_.begin()->first <= now) {
    Module& module = *held_off_.begin()->second;
    held_off_.erase(held_off_.begin());
    module.claim = Claim::none;
    update(module.main(), now, out);
  }
}

// --- slots ---------------------------------------------------------------------------------------------------------

void Scheduler::bound_workers(std::optional<std::size_t> most, TimePoint now, Decisions& out) {
  if (most) most = std::max<std::size_t>(*most, 1);
  most_workers_ = most;
  arrange(now, out);
  check();
}

// Brings the pool in line with the claims. To be called after any change to workers or claims.
void Scheduler::arrange(TimePoint now, Decisions& out) {
  room_check_.reset();
  assign_workers(now, out);
  drain_for_claims(now, out);
  replenish(now, out);
}

void Scheduler::assign_workers(TimePoint now, Decisions& out) {
  while (somebody_waits()) {
    Module& module = *(first_claims_.empty() ? further_claims_ : first_claims_).front();
    if (resume_draining(module, now, out)) continue;
    if (count(WorkerPhase::standby) == 0) return;
    while (slots_taken_ >= slots()) {
      if (!evict_idle_worker(module, now, out)) return;
    }
    const auto standby = std::find_if(workers_.begin(), workers_.end(),
                                      [](const auto& entry) { return entry.second.phase == WorkerPhase::standby; });
    drop_claim(module);
    assign(standby->second, module, now, out);
  }
}

// If the module that is next to get a slot still has a worker that drains for others, it keeps that worker.
bool Scheduler::resume_draining(Module& module, TimePoint now, Decisions& out) {
  for (Worker* worker : module.workers) {
    if (!worker->draining || !worker->holds_module() || worker->retiring) continue;
    worker->draining = false;
    worker->slice_end = now + slice_of(module);
    drop_claim(module);
    module.place = 0;
    dispatch(module, now, out);
    update(module, now, out);
    return true;
  }
  return false;
}

void Scheduler::assign(Worker& worker, Module& module, TimePoint now, Decisions& out) {
  set_phase(worker, WorkerPhase::loading);
  worker.module = &module;
  worker.has_slot = true;
  worker.assigned_at = now;
  module.workers.push_back(&worker);
  ++module.processes;
  module.place = 0;
  ++slots_taken_;
  cold_starts_.add(now);
  if (!replenish_at_) replenish_at_ = now + options_.replenish_after;
  out.push_back(LoadModule{worker.id, module.id});
  dispatch(module, now, out);
  update(module, now, out);
}

Duration Scheduler::slice_of(const Module& module) const {
  return options_.slice * static_cast<Duration::rep>(module.settings.weight);
}

bool Scheduler::is_kept_warm(const Worker& worker) const {
  const std::size_t kept = worker.module->settings.min_warm;
  return kept > 0 && worker.module->instances_that_take_calls() <= kept;
}

// When an idle worker becomes worth less than a slot for a module that waits. A caller that calls again within the time
// that a start takes would have been better off if the worker had stayed. So it stays for that long, which costs at
// most twice what the best choice would.
TimePoint Scheduler::evictable_from(const Worker& worker) const {
  const Duration load_time = std::max(worker.module->main().load_time.value().value_or(kLeastLoadTime), kLeastLoadTime);
  return std::min(worker.idle_since + load_time, std::max(worker.slice_end, worker.idle_since));
}

void Scheduler::check_room_at(TimePoint when) { room_check_ = std::min(when, room_check_.value_or(when)); }

// The longer a worker has been idle, the less likely it is needed soon; and the faster its module loads, the less a
// wrong choice costs.
bool Scheduler::evict_idle_worker(const Module& claimant, TimePoint now, Decisions& out) {
  Worker* victim = nullptr;
  double least_loss = 0;
  KillWorker decision{.worker = {}, .reason = KillWorker::Reason::evicted};
  for (auto& [id, worker] : workers_) {
    if (!worker.is_idle() || !worker.takes_calls() || worker.module == &claimant || is_kept_warm(worker)) continue;
    if (const TimePoint from = evictable_from(worker); from > now) {
      check_room_at(from);
      continue;
    }
    ++decision.candidates;
    const Duration idle_for = now - worker.idle_since;
    const Duration load_time = worker.module->main().load_time.value().value_or(kLeastLoadTime);
    const double loss =
        static_cast<double>(std::max(load_time, kQuickLoad).count()) / static_cast<double>(idle_for.count() + 1);
    const bool is_less = loss < least_loss || (loss == least_loss && victim != nullptr && id < victim->id);
    if (victim != nullptr && !is_less) continue;
    victim = &worker;
    least_loss = loss;
    decision.worker = id;
    decision.idle_for = idle_for;
    decision.load_time = load_time;
  }
  if (victim == nullptr) return false;
  remove(*victim, decision, now, out);
  return true;
}

// Slots that are free, or will become free without any further worker having to drain.
std::size_t Scheduler::slots_to_come(TimePoint now) const {
  std::size_t slots = this->slots() - std::min(this->slots(), slots_taken_);
  for (const auto& [id, worker] : workers_) {
    if (!worker.has_slot) continue;
    const bool evictable = worker.is_idle() && worker.takes_calls() && !is_kept_warm(worker);
    if (!worker.takes_calls() || (evictable && evictable_from(worker) <= now)) ++slots;
  }
  return slots;
}

void Scheduler::drain_for_claims(TimePoint now, Decisions& out) {
  if (!somebody_waits()) return;
  std::size_t slots = slots_to_come(now);
  // A module whose worker is made to drain may itself claim a slot, which goes to the end of first_claims_.
  for (std::size_t i = 0; i < first_claims_.size(); ++i) {
    if (slots > 0) {
      --slots;
    } else if (!drain_for(*first_claims_[i], now, out) && first_claims_[i]->origin == nullptr) {
      return;
    }
  }
  if (slots == 0 && !further_claims_.empty()) drain_for(*further_claims_.front(), now, out);
}

// The module with the most instances for its weight gives first, then the one whose user has most. A module that
// already has a worker gets another only from a module that has more than it will then have.
bool Scheduler::drain_for(const Module& claimant, TimePoint now, Decisions& out) {
  // A quarantine counts as one more instance of its module.
  const auto share = [](const Module& module, std::size_t more) {
    if (module.origin != nullptr) more += module.origin->workers.size();
    return static_cast<double>(module.workers.size() + more) / static_cast<double>(module.settings.weight);
  };
  std::optional<std::unordered_map<UserId, std::size_t>> by_user;  // counted only if it decides
  const auto slots_of_its_user = [&](const Worker& worker) {
    if (!by_user) by_user = slots_by_user();
    const auto user = only_user_of(worker);
    return user ? by_user->at(*user) : 0;
  };
  Worker* victim = nullptr;
  for (auto& [id, worker] : workers_) {
    if (worker.phase != WorkerPhase::ready || !worker.takes_calls() || worker.module == &claimant ||
        is_kept_warm(worker)) {
      continue;
    }
    // Guilty owners take no worker of their module away from clean owners that use it.
    if (worker.module == claimant.origin && !worker.is_idle()) continue;
    if (worker.is_idle()) {
      // An idle worker need not drain: it is evicted when its time has come. Until then no worker is forked to take its
      // slot.
      if (const TimePoint from = evictable_from(worker); from > now) check_room_at(from);
      continue;
    }
    if (!claimant.claim_is_first && share(*worker.module, 0) <= share(claimant, 1)) continue;
    if (worker.slice_end > now) {
      check_room_at(worker.slice_end);
      continue;
    }
    if (victim != nullptr) {
      const double one = share(*worker.module, 0);
      const double other = share(*victim->module, 0);
      if (one < other) continue;
      const auto slots = one > other ? 1 : slots_of_its_user(worker);
      const auto victims = one > other ? 0 : slots_of_its_user(*victim);
      if (slots < victims) continue;
      if (slots == victims && std::pair(worker.slice_end, id) > std::pair(victim->slice_end, victim->id)) continue;
    }
    victim = &worker;
  }
  if (victim == nullptr) return false;
  victim->draining = true;
  victim->drains_since = now;
  victim->drain_due = now + options_.waiting_grace;
  check_drain_at(victim->drain_due);
  ++withdrawals_;
  out.push_back(DrainWorker{victim->id, claimant.id});
  update(*victim->module, now, out);
  return true;
}

// The user that made all calls on the worker; nullopt: there are several, or no calls.
std::optional<UserId> Scheduler::only_user_of(const Worker& worker) const {
  if (worker.calls.empty()) return std::nullopt;
  const UserId user = calls_.at(worker.calls.front().id).caller.user;
  const auto is_its = [&](const GivenCall& given) { return calls_.at(given.id).caller.user == user; };
  if (!std::all_of(worker.calls.begin(), worker.calls.end(), is_its)) return std::nullopt;
  return user;
}

// How many slots each user holds alone.
std::unordered_map<UserId, std::size_t> Scheduler::slots_by_user() const {
  std::unordered_map<UserId, std::size_t> slots;
  for (const auto& [id, worker] : workers_) {
    if (!worker.has_slot) continue;
    if (const auto user = only_user_of(worker)) ++slots[*user];
  }
  return slots;
}

void Scheduler::check_drain_at(TimePoint when) { drain_check_ = std::min(when, drain_check_.value_or(when)); }

// Reports workers that have drained for too long. The caller decides, because the scheduler does not know whether a
// worker's calls only wait.
void Scheduler::look_at_drains(TimePoint now, Decisions& out) {
  drain_check_.reset();
  for (auto& [id, worker] : workers_) {
    if (!worker.draining || !worker.holds_module()) continue;
    if (worker.drain_due <= now) {
      worker.drain_due = now + options_.waiting_grace;
      const bool has_had_its_time = now - worker.drains_since >= kGracesOfWorking * options_.waiting_grace;
      if (somebody_waits()) out.push_back(DrainOverdue{id, has_had_its_time});
    }
    check_drain_at(worker.drain_due);
  }
}

// --- the life of a worker ------------------------------------------------------------------------------------------

// The worker has no calls, or none any more.
void Scheduler::became_idle(Worker& worker, TimePoint now, Decisions& out) {
  if (worker.retiring) return remove(worker, {worker.id, KillWorker::Reason::retired}, now, out);
  if (worker.draining) {
    if (somebody_waits()) return remove(worker, {worker.id, KillWorker::Reason::slice_over}, now, out);
    worker.draining = false;  // no module waits any more
    dispatch(*worker.module, now, out);
    update(*worker.module, now, out);
    if (!worker.calls.empty()) return;
  }
  worker.idle_since = now;
  check_idle_at(now + worker.module->settings.idle_timeout);
}

// Retires workers that the module's settings no longer allow, those with the fewest calls first.
void Scheduler::retire_surplus(Module& module, TimePoint now, Decisions& out) {
  while (module.instances_that_take_calls() > module.settings.max_instances) {
    Worker* least_busy = nullptr;
    for (Worker* worker : module.workers) {
      if (!worker->takes_calls()) continue;
      if (least_busy == nullptr || worker->calls.size() <= least_busy->calls.size()) least_busy = worker;
    }
    least_busy->retiring = true;
    ++withdrawals_;
    if (least_busy->is_idle()) became_idle(*least_busy, now, out);
  }
}

void Scheduler::check_idle_at(TimePoint when) { idle_check_ = std::min(when, idle_check_.value_or(when)); }

void Scheduler::remove(Worker& worker, KillWorker decision, TimePoint now, Decisions& out) {
  set_leaving(worker);
  out.push_back(decision);
  if (worker.module != nullptr) update(*worker.module, now, out);
}

// A leaving worker without calls gives up its slot at once; one with calls gives it up when it is lost.
void Scheduler::set_leaving(Worker& worker) {
  set_phase(worker, WorkerPhase::leaving);
  if (worker.calls.empty()) free_slot(worker);
}

void Scheduler::free_slot(Worker& worker) {
  if (!std::exchange(worker.has_slot, false)) return;
  --slots_taken_;
  std::erase(worker.module->workers, &worker);
}

// Forks as many workers as are wanted on standby, and one for each waiting module that may have a slot soon.
void Scheduler::replenish(TimePoint now, Decisions& out) {
  if (replenish_at_ && *replenish_at_ <= now) replenish_at_.reset();
  if (!started_ || (fork_again_ && *fork_again_ > now)) return;
  std::size_t wanted = replenish_at_ ? 0 : standby_target(now);
  if (somebody_waits()) wanted += std::min(first_claims_.size() + further_claims_.size(), slots_to_come(now));
  for (std::size_t have = count(WorkerPhase::starting) + count(WorkerPhase::standby); have < wanted; ++have) {
    const WorkerId id{++last_worker_};
    workers_[id].id = id;
    ++phase_counts_[static_cast<std::size_t>(WorkerPhase::starting)];
    out.push_back(ForkWorker{id});
  }
}

std::size_t Scheduler::standby_target(TimePoint now) const {
  if (options_.standby == 0) return 0;
  const auto used_up = static_cast<std::size_t>(std::lround(cold_starts_.per_second(now) * kStandbyHorizon.count()));
  return std::min(options_.standby + used_up, options_.max_standby);
}

void Scheduler::remove_idle(TimePoint now, Decisions& out) {
  if (!idle_check_ || *idle_check_ > now) return;
  idle_check_.reset();
  std::size_t standbys = count(WorkerPhase::standby);
  const std::size_t target = standby_target(now);
  for (auto& [id, worker] : workers_) {
    Duration timeout;
    if (worker.is_idle() && worker.takes_calls()) {
      if (is_kept_warm(worker)) continue;
      timeout = worker.module->settings.idle_timeout;
    } else if (worker.phase == WorkerPhase::standby && standbys > std::min(options_.standby, options_.max_standby)) {
      timeout = options_.module.idle_timeout;
    } else {
      continue;
    }
    const TimePoint limit = worker.idle_since + timeout;
    const bool is_standby = worker.phase == WorkerPhase::standby;
    if (limit > now) {
      check_idle_at(limit);
    } else if (is_standby && standbys <= target) {
      check_idle_at(now + std::max(timeout, kLeastTargetLook));
    } else {
      if (is_standby) --standbys;
      remove(worker, {id, KillWorker::Reason::idle}, now, out);
    }
  }
}

void Scheduler::set_phase(Worker& worker, WorkerPhase phase) {
  --phase_counts_[static_cast<std::size_t>(worker.phase)];
  ++phase_counts_[static_cast<std::size_t>(phase)];
  worker.phase = phase;
}

}  // namespace holdfast::supervisor
