// The scheduler's quarantine: which calls are kept apart from those of clean owners, and when they wait.
#include <algorithm>
#include <utility>

#include "supervisor/invariant.h"
#include "supervisor/scheduler.h"

namespace holdfast::supervisor {
namespace {

// What it takes to replace a worker, where that is not known.
constexpr Duration kLeastRestart = std::chrono::milliseconds(1);

}  // namespace

ModuleSettings Scheduler::settings_of_quarantine(ModuleSettings settings) {
  settings.max_instances = 1;
  settings.min_warm = 0;
  return settings;
}

Scheduler::Module& Scheduler::quarantine_of(Module& module) {
  if (!module.quarantine) {
    module.quarantine = std::make_unique<Module>();
    module.quarantine->id = module.id;
    module.quarantine->origin = &module;
    module.quarantine->settings = settings_of_quarantine(module.settings);
    module.quarantine->cpu_per_call = module.cpu_per_call;
  }
  return *module.quarantine;
}

// Where the owner's calls wait: all in the same part, in their order.
Scheduler::Module& Scheduler::part_for(Module& module, UserId user, ClientId client) {
  if (module.quarantine && module.quarantine->queue.contains(client)) return *module.quarantine;
  if (!module.offences || !module.offences->is_guilty(options_.offences, user, client)) return module;
  if (module.queue.contains(client)) move_to_quarantine(module, client);
  return quarantine_of(module);
}

void Scheduler::move_to_quarantine(Module& module, ClientId client) {
  Module& quarantine = quarantine_of(module);
  for (CallId id : module.queue.take(client)) {
    Call& call = call_of(id);
    call.module = &quarantine;
    quarantine.queue.push_back(call.user, client, id);
  }
}

// Whether the call whose turn it is must not be given to a worker of this part. Then its owner's calls have been moved
// to the quarantine, or are paused there.
bool Scheduler::goes_apart(Module& module, const Call& call, TimePoint now) {
  Module& main = module.main();
  if (!main.offences) return false;
  if (module.origin == nullptr) {
    if (!main.offences->is_guilty(options_.offences, call.user, call.client)) return false;
    move_to_quarantine(module, call.client);
    return true;
  }
  const auto until = paused_until(module, call.user, call.client, now);
  if (!until) return false;
  pause(module, call.client, *until);
  return true;
}

std::optional<TimePoint> Scheduler::paused_until(const Module& module, UserId user, ClientId client,
                                                 TimePoint now) const {
  if (module.origin == nullptr || !module.main().offences) return std::nullopt;
  return module.main().offences->paused_until(options_.offences, user, client, now);
}

void Scheduler::pause(Module& quarantine, ClientId client, TimePoint until) {
  if (quarantine.queue.is_paused(client)) return;
  quarantine.queue.pause(client);
  pauses_.emplace(until, std::pair{quarantine.id, client});
}

// Who is paused anew meanwhile is found to be when its turn comes.
void Scheduler::end_pauses(TimePoint now, Decisions& out) {
  while (!pauses_.empty() && pauses_.begin()->first <= now) {
    const auto [id, client] = pauses_.begin()->second;
    pauses_.erase(pauses_.begin());
    const auto found = modules_.find(id);
    if (found == modules_.end() || !found->second.quarantine) continue;
    found->second.quarantine->queue.resume(client);
    settle(found->second, now, out);
  }
}

// To be called before the worker's calls go back to their queues; what it returns is charged after that.
std::optional<Scheduler::Bill> Scheduler::blame(Worker& worker, const WorkerLoss& loss, TimePoint now) {
  if (!loss.own_fault || worker.module == nullptr) return std::nullopt;
  Module& main = worker.module->main();
  const bool is_its = std::any_of(worker.calls.begin(), worker.calls.end(),
                                  [&](const GivenCall& given) { return given.id == loss.guilty; });
  if (!is_its) {
    // A module that answers is well: what ended the worker may be left over from any of the calls that it answered.
    if (worker.calls_done == 0) main.hold_off.failed(options_.hold_off, now);
    return std::nullopt;
  }
  const Call& guilty = call_of(loss.guilty);
  const Duration cost = loss.time + main.load_time.value().value_or(kLeastRestart);
  if (!main.offences) main.offences = std::make_unique<Offences>();
  main.offences->forget_old(options_.offences, now);
  main.offences->killed(options_.offences, guilty.user, guilty.client, cost, now);
  const Bill bill{guilty.user, guilty.client, cost};
  if (worker.module->origin == nullptr || slots_taken_ < slots()) return bill;
  const std::size_t own_claims = worker.module->claim == Claim::waiting ? 1 : 0;
  if (first_claims_.size() + further_claims_.size() <= own_claims) return bill;
  // Others waited for the slot in which this happened.
  const Duration pause = std::min(cost, options_.offences.longest_pause) * options_.offences.pause_for_others;
  worker.module->no_worker_before = now + std::min(pause, options_.offences.longest_pause);
  return bill;
}

void Scheduler::note_answer(Module& module, const Call& call, TimePoint now) {
  Module& main = module.main();
  if (!main.offences) return;
  if (main.offences->forget_old(options_.offences, now)) {
    main.offences.reset();
  } else {
    main.offences->answered(options_.offences, call.user, call.client);
  }
}

}  // namespace holdfast::supervisor
