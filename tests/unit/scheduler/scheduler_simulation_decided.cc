// The scheduler's decisions in the simulation, and whether they are allowed.
#include <algorithm>
#include <utility>
#include <variant>

#include "tests/unit/scheduler/scheduler_bench.h"
#include "tests/unit/scheduler/scheduler_simulation.h"

namespace holdfast::supervisor::testing {
namespace {

// The least load time that the scheduler assumes for a module.
constexpr Duration kLeastLoadTime = std::chrono::milliseconds(1);
// Up to this load time, modules count as equal in the cost of their eviction.
constexpr Duration kQuickLoad = std::chrono::milliseconds(5);

// The kind under which a decision is counted; "kill w3 evicted" is of the kind "kill evicted".
std::string kind_of(const Decision& decision) {
  struct Kind {
    std::string operator()(const ForkWorker&) { return "fork"; }
    std::string operator()(const FetchSource&) { return "fetch"; }
    std::string operator()(const LoadModule&) { return "load"; }
    std::string operator()(const DispatchCall&) { return "dispatch"; }
    std::string operator()(const LookAtProgress&) { return "look"; }
    std::string operator()(const TakeCallsBack&) { return "take back"; }
    std::string operator()(const DrainWorker&) { return "drain"; }
    std::string operator()(const DrainOverdue&) { return "drain overdue"; }
    std::string operator()(const KillWorker& kill) { return std::string("kill ") + describe(kill.reason); }
    std::string operator()(const CallOverdue& overdue) {
      return overdue.worker ? "overdue on a worker" : "overdue in a queue";
    }
    std::string operator()(const CancelOverdue&) { return "late cancel"; }
  };
  return std::visit(Kind{}, decision);
}

}  // namespace

void Simulation::require(bool condition, const char* rule) const {
  if (!condition) throw BrokenRule{rule, {}};
}

void Simulation::carry_out(const Decisions& decisions) {
  see_who_stopped_draining();
  see_who_took_over(decisions);
  see_who_is_too_many(decisions);
  for (const Decision& decision : decisions) {
    if (keep_history_ == History::kept) note("  -> {}", describe(decision));
    ++counts_.decisions[kind_of(decision)];
    std::visit([&](const auto& what) { carry_out(what); }, decision);
  }
  check();
  while (!further_.empty()) {
    const auto next = std::move(further_.front());
    further_.pop_front();
    next();
  }
}

// A worker that stops draining is not a decision; it shows only in the scheduler's view.
void Simulation::see_who_stopped_draining() {
  for (auto& [id, worker] : workers_) {
    if (!worker.draining || !worker.holds_module() || !scheduler_.view(id).takes_calls) continue;
    Module& module = modules_.at(*worker.module);
    const auto waits = [&](const auto& entry) { return entry.second.claims && must_claim(entry.first); };
    // Before this event, the other part of the module may have had the claim.
    const bool had_claim = module.claims || modules_.at(other_part(*worker.module)).claims;
    require(had_claim || std::none_of(modules_.begin(), modules_.end(), waits),
            "a worker stops draining when its own module's claim comes first, or when nobody waits");
    note("  w{} stops draining", number(id));
    worker.draining = false;
    if (worker.is_idle()) worker.idle_since = now_;
    worker.latest_slice_end = now_ + options_.slice * static_cast<Duration::rep>(module.settings.weight);
    if (had_claim) module.place = module.earliest_place = 0;
    module.claims = false;
  }
}

// One part of a module takes over the other part's claim without a decision, too. A part that requests the source makes
// a new claim.
void Simulation::see_who_took_over(const Decisions& decisions) {
  for (const Decision& decision : decisions) {
    const auto* load = std::get_if<LoadModule>(&decision);
    if (load == nullptr) continue;
    const ModuleId part = part_of(*load);
    if (!modules_.at(part).claims && modules_.at(other_part(part)).claims) take_over(part);
  }
  for (const auto& [id, module] : modules_) {
    const auto asks = [&](const Decision& decision) {
      const auto* fetch = std::get_if<FetchSource>(&decision);
      return fetch != nullptr && fetch->module == main_of(id);
    };
    if (module.claims || module.fetching || !view(id).claims_slot || std::ranges::any_of(decisions, asks)) continue;
    take_over(id);
  }
}

void Simulation::take_over(ModuleId part) {
  Module& module = modules_.at(part);
  Module& other = modules_.at(other_part(part));
  if (other.fetching) {
    module.fetching = true;
    module.source_is_stale = std::exchange(other.source_is_stale, false);
    other.fetching = false;
  } else if (other.claims) {
    other.claims = false;
    file_claim(part);
  }
}

// Retiring a worker because its module may have fewer from now on is not a decision, either.
void Simulation::see_who_is_too_many(const Decisions& decisions) {
  if (!configured_) return;
  const std::size_t most = modules_.at(*configured_).settings.max_instances;
  const auto has_other_reason = [&](WorkerId id) {
    return std::any_of(decisions.begin(), decisions.end(), [&](const Decision& decision) {
      const auto* kill = std::get_if<KillWorker>(&decision);
      const auto* drain = std::get_if<DrainWorker>(&decision);
      return (kill != nullptr && kill->worker == id && kill->reason != KillWorker::Reason::retired) ||
             (drain != nullptr && drain->worker == id);
    });
  };
  for (auto& [id, worker] : workers_) {
    if (worker.module != configured_ || !worker.takes_calls() || scheduler_.view(id).takes_calls) continue;
    if (has_other_reason(id)) continue;
    require(workers_that_take_calls(*configured_) > most,
            "a module whose settings change keeps as many workers as it may");
    note("  w{} is one too many", number(id));
    worker.retiring = true;
  }
  configured_.reset();
}

void Simulation::carry_out(const ForkWorker& fork) {
  require(fork.worker > last_worker_, "each worker has a new id, higher than those before");
  last_worker_ = fork.worker;
  require(!no_fork_before_ || now_ >= *no_fork_before_, "after a fork that failed none is tried for a while");
  workers_[fork.worker];
  require(count(WorkerPhase::starting) + count(WorkerPhase::standby) <= options_.max_standby + options_.max_workers,
          "no more workers are forked than could ever be used");
}

void Simulation::carry_out(const FetchSource& fetch) {
  const ModuleId part = claiming_part(fetch.module);
  Module& module = modules_.at(part);
  require(!modules_.at(fetch.module).fetching && !modules_.at(quarantine_of(fetch.module)).fetching,
          "a module's source is fetched once at a time");
  module.fetching = true;
  module.claims = false;
}

void Simulation::carry_out(const LoadModule& load) {
  const auto found = workers_.find(load.worker);
  require(found != workers_.end() && found->second.phase == WorkerPhase::standby && !found->second.module,
          "a module is loaded into a standby worker");
  const ModuleId part = part_of(load);
  Module& module = modules_.at(part);
  require(module.claims, "only a module that claims a slot and whose source has arrived is loaded");
  require(module.no_worker_before <= now_, "others first get the slot that they had to wait for");
  require(!modules_.at(load.module).hold_off.until(now_), "a module that is held off gets no worker");
  for (const auto& [id, other] : modules_) {
    if (id == part || !other.claims || !other.claim_is_first || !must_claim(id)) continue;
    if (other.no_worker_before > now_) continue;  // since this event
    require(module.claim_is_first, "a module gets a further worker only when every module that claims one has one");
    // A module without a place has only just made its claim.
    require(other.place == 0 || (module.earliest_place != 0 && other.place >= module.earliest_place),
            "claims are served first come, first served");
  }
  Worker& worker = found->second;
  worker.phase = WorkerPhase::loading;
  worker.module = part;
  worker.has_slot = true;
  worker.assigned_at = now_;
  module.claims = false;
  module.place = module.earliest_place = 0;
  require(slots_taken() <= options_.max_workers, "no more than max_workers workers hold a module");
  require(workers_with_slot(part) <= module.settings.max_instances + 1,
          "a module has at most one worker more than max_instances, while others leave");
  require(workers_that_take_calls(part) <= module.settings.max_instances,
          "at most max_instances workers of a module take calls");
}

void Simulation::carry_out(const DispatchCall& dispatch) {
  require(calls_.contains(dispatch.call), "a call that goes to a worker has not ended");
  Call& call = calls_.at(dispatch.call);
  require(!call.worker, "a call is given to one worker at a time");
  require(!call.was_overdue && call.deadline > now_, "no call is given to a worker when its deadline has passed");
  require(workers_.contains(dispatch.worker), "a call is given to a worker that exists");
  Worker& worker = workers_.at(dispatch.worker);
  require(worker.module && main_of(*worker.module) == call.module && worker.takes_calls(),
          "a call is given to a worker that holds its module and takes calls");
  const bool is_apart = is_quarantine(*worker.module);
  require(is_apart || !is_guilty(call.module, call.caller),
          "a worker that serves clean owners is given no call of an owner that is guilty");
  require(!is_apart || modules_.at(call.module).were_guilty.contains(call.caller.client),
          "an owner that was never guilty is served by the module's own workers");
  require(!is_apart || !paused_until(call.module, call.caller), "a paused owner's calls wait");
  Module& module = modules_.at(call.module);
  require(worker.calls.size() < module.settings.concurrency, "a worker has at most `concurrency` calls");
  require(!has_its_share(worker, call.caller), "a caller that has its share of the places gets no more");
  require(module.queues.at(queue_of(call)).front() == dispatch.call,
          "a client's calls of a function are served in order, those that came back first");
  if (!is_apart) check_turn(module, call);
  dequeue(dispatch.call, call);
  call.came_back = false;
  call.worker = dispatch.worker;
  call.number = ++worker.given;
  worker.calls.push_back(dispatch.call);
}

// Checks fairness. While a client waits, no other client of its user and no other user is served calls that cost more
// than what that client, or its user, had been served before. A call that came back is not counted. A client that was
// ever guilty may wait elsewhere.
void Simulation::check_turn(Module& module, const Call& call) {
  // The tolerance: calls of about the same cost are served round-robin, and the client that is served now may be ahead
  // of a waiting one by as much.
  constexpr Duration kAlike = 2 * FairOrder<Call>::kQuantum;
  const auto had = [](const auto& spent, auto owner) {
    const auto found = spent.find(owner);
    return found == spent.end() ? Duration::zero() : found->second;
  };
  const auto was_guilty = [&](ClientId client) { return module.were_guilty.contains(client); };
  if (!call.came_back && !was_guilty(call.caller.client)) {
    const Spent& now = module.spent;
    for (const auto& [client, before] : module.spent_before) {
      if (client == call.caller.client || was_guilty(client)) continue;
      const UserId user = user_of(client);
      if (may_have_its_share(call.module, {user, client, FunctionId{}})) continue;
      if (user == call.caller.user) {
        require(had(now.of_client, call.caller.client) - had(before.of_client, call.caller.client) <=
                    had(now.of_client, client) + kAlike,
                "the clients of a user share a module by what their calls cost");
      } else if (std::ranges::none_of(module.were_guilty, [&](ClientId guilty) { return user_of(guilty) == user; })) {
        require(had(now.of_user, call.caller.user) - had(before.of_user, call.caller.user) <=
                    had(now.of_user, user) + kAlike,
                "users share a module by what their calls cost");
      }
    }
  }
  module.spent_before[call.caller.client] = module.spent;
}

void Simulation::carry_out(const LookAtProgress& look) {
  require(workers_.contains(look.worker), "a worker that is inspected exists");
  const Worker& worker = workers_.at(look.worker);
  const bool could_have_more = worker.takes_calls() && modules_.at(main_of(*worker.module)).queued > 0 &&
                               worker.calls.size() < modules_.at(*worker.module).settings.concurrency;
  require(worker.holds_module() && (could_have_more || worker.given - worker.told_started > 1),
          "only a worker that could take more calls or has unstarted ones is inspected");
  if (!behaves_ && one_in(2)) return;
  further_.push_back([this, id = look.worker] {
    if (workers_.contains(id)) tell_progress(id);
  });
}

void Simulation::carry_out(const TakeCallsBack& take) {
  require(workers_.contains(take.worker), "a worker whose calls are taken back exists");
  const Worker& worker = workers_.at(take.worker);
  require(worker.phase == WorkerPhase::ready && worker.given - worker.told_started > 1,
          "calls are taken back only from a loaded worker with unstarted calls");
  if (!behaves_ && one_in(8)) return;
  further_.push_back([this, id = take.worker] {
    if (workers_.contains(id) && workers_.at(id).phase != WorkerPhase::leaving) take_back(id);
  });
}

void Simulation::carry_out(const DrainWorker& drain) {
  require(workers_.contains(drain.worker), "a worker that drains exists");
  Worker& worker = workers_.at(drain.worker);
  require(worker.phase == WorkerPhase::ready && worker.takes_calls() && !worker.calls.empty(),
          "only a loaded worker that takes calls and has some drains");
  require(worker.slice_end <= now_, "no worker drains before its slice is over");
  require(!is_kept_warm(worker), "a worker that is kept warm does not drain");
  const ModuleId part = claiming_part(drain.for_module);
  const Module& claimant = modules_.at(part);
  require(!is_quarantine(part) || main_of(part) != *worker.module, "clean owners keep a worker that they use");
  require(claimant.claims && part != *worker.module, "a worker drains for another module, which waits");
  // The clean part may have taken over the claim since, because its worker was made to drain, too.
  const bool is_first = claimant.claim_is_first || must_claim(quarantine_of(drain.for_module));
  require(is_first || share(*worker.module, 0) > share(part, 1),
          "a module gets a further worker only from a module with more workers for its weight");
  for (const auto& [id, other] : workers_) {
    if (other.phase != WorkerPhase::ready || !other.takes_calls() || other.calls.empty() || is_kept_warm(other) ||
        other.latest_slice_end > now_ || other.module == part || other.module == main_of(part)) {
      continue;
    }
    require(share(*other.module, 0) <= share(*worker.module, 0),
            "the worker of the module with the most workers for its weight drains");
  }
  worker.draining = true;
  worker.drain_due = now_ + options_.waiting_grace;
  renew_claim(*worker.module);
}

void Simulation::carry_out(const DrainOverdue& overdue) {
  require(workers_.contains(overdue.worker), "a worker whose draining is overdue exists");
  Worker& worker = workers_.at(overdue.worker);
  require(worker.draining && worker.holds_module() && !worker.calls.empty(),
          "a worker whose draining is overdue drains, and has calls");
  require(worker.drain_due <= now_, "draining is overdue after the grace time, and after each further one");
  require(std::any_of(modules_.begin(), modules_.end(), [](const auto& entry) { return entry.second.claims; }),
          "draining is overdue only while a module waits");
  worker.drain_due = now_ + options_.waiting_grace;
  // The worker's calls only wait, or they work.
  if (!overdue.has_had_its_time && one_in(2)) return;
  further_.push_back([this, id = overdue.worker] {
    if (workers_.contains(id) && workers_.at(id).phase != WorkerPhase::leaving) stop(id);
  });
}

void Simulation::check_eviction(const KillWorker& kill, const Worker& victim) const {
  require(victim.is_idle() && victim.takes_calls(), "only an idle worker is evicted");
  require(!is_kept_warm(victim), "a worker that is kept warm is not evicted");
  require(slots_taken() == options_.max_workers, "no worker is evicted while there is a free slot");
  require(std::any_of(modules_.begin(), modules_.end(),
                      [&](const auto& entry) { return entry.second.claims && entry.first != *victim.module; }),
          "a worker is evicted only for another module, which waits");
  require(count(WorkerPhase::standby) > 0, "no worker is evicted before another one is ready to take the module");
  const auto load_time = [&](ModuleId id) {
    return std::max(modules_.at(main_of(id)).load_time.value().value_or(kLeastLoadTime), kLeastLoadTime);
  };
  require(kill.idle_for == now_ - victim.idle_since && kill.candidates > 0, "an eviction has a reason");
  require(kill.idle_for >= load_time(*victim.module) || victim.slice_end <= now_,
          "a worker that is idle for less time than it took to load is not evicted before its slice is over");
  const auto loss = [&](const Worker& worker) {
    const auto load =
        std::max<Duration>(modules_.at(main_of(*worker.module)).load_time.value().value_or(kLeastLoadTime), kQuickLoad);
    return static_cast<double>(load.count()) / static_cast<double>((now_ - worker.idle_since).count() + 1);
  };
  for (const auto& [id, other] : workers_) {
    if (!other.is_idle() || !other.takes_calls() || is_kept_warm(other) || modules_.at(*other.module).claims) continue;
    if (now_ - other.idle_since < load_time(*other.module) && other.latest_slice_end > now_) continue;
    require(loss(victim) <= loss(other), "the idle worker whose loss costs least is evicted");
  }
}

void Simulation::carry_out(const KillWorker& kill) {
  require(workers_.contains(kill.worker), "a worker that is killed exists");
  Worker& worker = workers_.at(kill.worker);
  require(worker.phase != WorkerPhase::starting && worker.phase != WorkerPhase::leaving,
          "only a forked worker is killed, and only once");
  require(worker.calls.empty(), "only a worker without calls is killed");
  const bool is_standby = worker.phase == WorkerPhase::standby;
  switch (kill.reason) {
    case KillWorker::Reason::evicted:
      check_eviction(kill, worker);
      break;
    case KillWorker::Reason::slice_over:
      require(worker.draining, "a worker whose slice is over has drained");
      require(std::any_of(modules_.begin(), modules_.end(), [](const auto& entry) { return entry.second.claims; }),
              "a worker whose slice is over is killed only for a module that waits");
      break;
    case KillWorker::Reason::idle:
      if (is_standby) {
        require(
            count(WorkerPhase::standby) > options_.standby && worker.idle_since + options_.module.idle_timeout <= now_,
            "a standby worker is removed when there are too many, after the idle timeout");
      } else {
        require(worker.is_idle() && worker.takes_calls(), "a worker is removed for being idle");
        require(worker.idle_since + modules_.at(*worker.module).settings.idle_timeout <= now_,
                "a worker is removed for being idle after the idle timeout");
        require(!is_kept_warm(worker), "a worker that is kept warm is not removed as idle");
      }
      break;
    case KillWorker::Reason::retired:
      require(is_standby ? renewing_ : worker.retiring, "a worker is replaced only on request");
      break;
  }
  leave(worker);
}

void Simulation::carry_out(const CallOverdue& overdue) {
  require(calls_.contains(overdue.call), "a call that is overdue has not ended");
  Call& call = calls_.at(overdue.call);
  require(call.deadline <= now_, "a call is overdue once its deadline is over");
  require(!call.was_overdue && !call.abandoned, "a call becomes overdue only once and only while it is not abandoned");
  require(call.worker == overdue.worker, "an overdue call is reported with its worker");
  if (!call.worker) {
    dequeue(overdue.call, call);
    return end(overdue.call, "overdue in a queue");
  }
  call.was_overdue = true;
  further_.push_back([this, id = overdue.call, on = *overdue.worker, gives_up = behaves_ || one_in(2)] {
    if (!calls_.contains(id) || calls_.at(id).abandoned || calls_.at(id).worker != on) return;
    if (gives_up) return abandon(id, "overdue on a worker");
    if (workers_.at(on).phase != WorkerPhase::leaving) stop(on);
  });
}

void Simulation::carry_out(const CancelOverdue& late) {
  require(calls_.contains(late.call), "a call whose cancellation is late is still on a worker");
  Call& call = calls_.at(late.call);
  require(call.abandoned && call.worker == late.worker,
          "a call whose cancellation is late is abandoned and on a worker");
  require(call.give_up_at <= now_, "a cancellation is late after the grace time, and after each further one");
  call.give_up_at = now_ + options_.cancel_grace;
  // The worker is stopped, or it goes on.
  if (!behaves_ && one_in(2)) return;
  further_.push_back([this, id = late.worker] {
    if (workers_.contains(id) && workers_.at(id).phase != WorkerPhase::leaving) stop(id);
  });
}

void Simulation::refuse(CallId id, const RefuseCall& refuse) {
  ++counts_.decisions[std::string("refuse ") + describe(refuse.reason)];
  const Call call = calls_.at(id);
  const Module& module = modules_.at(call.module);
  dequeue(id, call);
  end(id, std::string("refused, ") + describe(refuse.reason));
  switch (refuse.reason) {
    case RefuseCall::Reason::module_queue_full:
      require(module.queued >= module.settings.queue_limit, "a call is refused because its module's queue is full");
      break;
    case RefuseCall::Reason::client_queue_full:
      require(queued_of(call.caller.client) >= options_.client_queue_limit,
              "a call is refused for its client's limit only if that many of the client's calls wait");
      break;
    case RefuseCall::Reason::all_queues_full:
      require(queued() >= options_.total_queue_limit,
              "a call is refused for the total limit only if that many calls wait");
      break;
    case RefuseCall::Reason::held_off: {
      const auto until = module.hold_off.until(now_);
      require(until && refuse.retry_after == *until - now_,
              "a call is refused while its module is held off, until the module is tried again");
      break;
    }
    case RefuseCall::Reason::owner_paused: {
      const auto until = paused_until(call.module, call.caller);
      require(is_guilty(call.module, call.caller) && until && refuse.retry_after == *until - now_ && refuse.kills > 0,
              "an owner is refused for a pause of its own, until that is over");
      require(*until >= call.deadline || queued_of(call.caller.client) >= options_.client_queue_limit,
              "a paused owner's call waits if its deadline is after the pause");
    }
  }
  require(refuse.retry_after > Duration::zero(), "a refusal says when to retry");
  // If its client's calls still wait from the time when the client was guilty, this call waits behind them.
  const ModuleId part = is_guilty(call.module, call.caller) ? quarantine_of(call.module) : call.module;
  const bool is_alone =
      std::ranges::none_of(module.queues, [&](const auto& entry) { return entry.first.first == call.caller.client; });
  const auto has_room = [&](const auto& entry) {
    const Worker& worker = entry.second;
    return worker.module == part && worker.takes_calls() && worker.told_started == worker.given &&
           worker.calls.size() < module.settings.concurrency;
  };
  const bool must_wait = !is_alone || paused_until(call.module, call.caller) || may_have_its_share(part, call.caller);
  require(refuse.reason == RefuseCall::Reason::held_off || must_wait ||
              std::none_of(workers_.begin(), workers_.end(), has_room),
          "a call that a worker has room for is not refused, unless its owner is paused or has its share");
}

}  // namespace holdfast::supervisor::testing
