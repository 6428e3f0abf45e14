// The scheduler's quarantine: which calls are kept apart from those of clean owners, and when they wait.
#include <algorithm>
#include <utility>

#include "ipc/base/invariant.h"
#include "supervisor/scheduler/scheduler.h"

namespace holdfast::supervisor {
namespace {

// The time that replacing a worker takes, while it is not known.
constexpr Duration kLeastRestart = std::chrono::milliseconds(1);

// Whether the caller stands for several callers (CallerNumbers).
bool is_merged(const Caller& caller) { return is_rest(caller.client) || caller.function == kAnyFunction; }

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

// The part of the module in which the caller's calls wait. When an owner becomes guilty or clean, its waiting calls
// move too, so that they keep their order.
Scheduler::Module& Scheduler::part_for(Module& module, const Caller& caller) {
  const bool is_guilty = module.offences && module.offences->is_guilty(options_.offences, caller);
  return is_guilty ? quarantine_of(module) : module;
}

void Scheduler::move_calls(Module& from, Module& to, UserId user, const std::function<bool(const Caller&)>& which) {
  for (const ClientId client : from.queue.clients_of(user)) {
    for (const CallId id : from.queue.take(client, [&](CallId call) { return which(call_of(call).caller); })) {
      call_of(id).module = &to;
      to.queue.push_back(user, client, id);
    }
  }
}

// To be called after a kill by the user.
void Scheduler::move_to_quarantine(Module& module, UserId user) {
  const Offences& offences = *module.offences;
  move_calls(module, quarantine_of(module), user,
             [&](const Caller& caller) { return offences.is_guilty(options_.offences, caller); });
}

// To be called after some of the user's kills were forgotten.
void Scheduler::move_back(Module& module, UserId user) {
  if (!module.quarantine) return;
  const Offences* offences = module.offences.get();
  move_calls(*module.quarantine, module, user, [&](const Caller& caller) {
    return offences == nullptr || !offences->is_guilty(options_.offences, caller);
  });
}

void Scheduler::forgive_all(Module& module) {
  if (!module.offences) return;
  const std::vector<UserId> users = module.offences->users();
  module.offences.reset();
  for (const UserId user : users) move_back(module, user);
}

// Returns whether waiting calls may have been moved.
bool Scheduler::forget_old_offences(Module& module, TimePoint now) {
  if (!module.offences) return false;
  const std::vector<UserId> forgotten = module.offences->forget_old(options_.offences, now);
  if (module.offences->empty()) module.offences.reset();
  for (const UserId user : forgotten) move_back(module, user);
  return !forgotten.empty();
}

bool Scheduler::is_suspected(const Module& module, const Caller& caller) {
  return std::ranges::any_of(module.main().suspects, [&](const auto& entry) {
    const Caller& suspect = entry.second;
    return suspect.client == caller.client && (suspect.function == caller.function || suspect.function == kAnyFunction);
  });
}

void Scheduler::end_suspicion(Module& module, WorkerId worker) {
  const auto found = module.suspects.find(worker);
  if (found == module.suspects.end()) return;
  const ClientId client = found->second.client;
  module.suspects.erase(found);
  // A client that is paused for another reason is paused again when its call is next.
  module.queue.resume(client);
  if (module.quarantine) module.quarantine->queue.resume(client);
}

// Whether the call that is next in this part must wait, because its owner is paused there or suspected. If so, its
// client is paused.
bool Scheduler::has_to_wait(Module& module, const Call& call, TimePoint now) {
  if (is_suspected(module, call.caller)) {
    module.queue.pause(call.caller.client);
    return true;
  }
  const auto until = paused_until(module, call.caller, now);
  if (!until) return false;
  pause(module, call.caller.client, *until);
  return true;
}

std::optional<TimePoint> Scheduler::paused_until(const Module& module, const Caller& caller, TimePoint now) const {
  if (module.origin == nullptr || !module.main().offences) return std::nullopt;
  return module.main().offences->paused_until(options_.offences, caller, now);
}

void Scheduler::pause(Module& quarantine, ClientId client, TimePoint until) {
  if (quarantine.queue.is_paused(client)) return;
  quarantine.queue.pause(client);
  pauses_.emplace(until, quarantine.id, client);
}

// A client that was paused again since is paused again when its call is next.
void Scheduler::end_pauses(TimePoint now, Decisions& out) {
  std::set<ModuleId> resumed;
  while (!pauses_.empty() && std::get<TimePoint>(*pauses_.begin()) <= now) {
    const auto [until, id, client] = *pauses_.begin();
    pauses_.erase(pauses_.begin());
    const auto found = modules_.find(id);
    if (found == modules_.end() || !found->second.quarantine) continue;
    found->second.quarantine->queue.resume(client);
    resumed.insert(id);
  }
  for (const ModuleId id : resumed) settle(module_of(id), now, out);
}

// Whether other modules, or the other part of its module, wait for the slot that the worker has.
bool Scheduler::keeps_others_waiting(const Worker& worker) const {
  if (!worker.has_slot || slots_taken_ < slots()) return false;
  const std::size_t own_claims = worker.module->claim == Claim::waiting ? 1 : 0;
  return first_claims_.size() + further_claims_.size() > own_claims;
}

// Finds out who is to blame for the worker's loss and notes it. To be called before the worker's calls go back to their
// queues; the returned bill is charged after that.
std::optional<Scheduler::Bill> Scheduler::blame(Worker& worker, const WorkerLoss& loss, TimePoint now) {
  if (!loss.own_fault || worker.module == nullptr) return std::nullopt;
  Module& main = worker.module->main();
  // The caller of an open call is known exactly; the worker's caller numbers (CallerNumbers) may stand for several.
  const auto exact = [&](CallId call, const std::optional<Caller>& known) {
    const bool is_open = std::ranges::find(worker.calls, call, &GivenCall::id) != worker.calls.end();
    return is_open ? call_of(call).caller : known;
  };
  const std::optional<Caller> told = exact(loss.told_call, loss.told);
  std::optional<Caller> caller = exact(loss.seen_call, loss.seen);
  if (!caller) caller = exact(loss.guilty, std::nullopt);
  if (caller && told && caller->user != told->user) return std::nullopt;
  // If both are of one user, both are to blame.
  const bool are_two =
      caller && told && caller->client != told->client && !is_rest(caller->client) && !is_rest(told->client);
  const Caller other = caller.value_or(Caller{});
  if (told && (!caller || are_two || !is_merged(*told))) caller = told;
  if (!caller) {
    // A module that answers calls works: what ended the worker may have been left running by any of the calls that it
    // answered.
    if (worker.calls_done == 0) main.hold_off.failed(options_.hold_off, now);
    return std::nullopt;
  }
  const Duration cost = loss.time + main.load_time.value().value_or(kLeastRestart);
  forget_old_offences(main, now);
  if (!main.offences) main.offences = std::make_unique<Offences>();
  main.offences->killed(options_.offences, *caller, cost, now);
  if (are_two) main.offences->killed(options_.offences, other, cost, now);
  const Bill bill{*caller, cost};
  if (worker.module->origin == nullptr || !worker.kept_others_waiting) return bill;
  const Duration pause = std::min(cost, options_.offences.longest_pause) * options_.offences.pause_for_others;
  worker.module->no_worker_before = now + std::min(pause, options_.offences.longest_pause);
  return bill;
}

// Returns whether waiting calls may have been moved.
bool Scheduler::note_answer(Module& module, const Call& call, TimePoint now) {
  Module& main = module.main();
  const bool some_were_forgotten = forget_old_offences(main, now);
  if (!main.offences || !main.offences->answered(options_.offences, call.caller, now)) return some_were_forgotten;
  move_back(main, call.caller.user);
  return true;
}

}  // namespace holdfast::supervisor
