// The events that the simulated world passes to the scheduler.
#include <algorithm>
#include <utility>

#include "tests/unit/scheduler/scheduler_simulation.h"

namespace holdfast::supervisor::testing {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

}  // namespace

void Simulation::answer_call(CallId id) {
  const Call call = calls_.at(id);
  Worker& worker = workers_.at(*call.worker);
  note("c{} is answered by w{}", number(id), number(*call.worker));
  std::erase(worker.calls, id);
  ++worker.calls_done;
  worker.answered.push_back(call.caller);
  worker.told_started = std::max(worker.told_started, call.number);
  if (worker.calls.empty()) worker.idle_since = now_;
  Module& module = modules_.at(call.module);
  module.hold_off.answered(options_.hold_off);
  module.offences.forget_old(options_.offences, now_);
  if (!module.offences.empty()) module.offences.answered(options_.offences, call.caller, now_);
  end(id, "answered");
  const Duration cpu_time = one_in(4) ? microseconds(below(5000)) : microseconds(below(50));
  if (!is_quarantine(*worker.module)) {
    module.spent.of_client[call.caller.client] += cpu_time;
    module.spent.of_user[call.caller.user] += cpu_time;
  }
  put([&](Decisions& out) { scheduler_.call_answered(id, cpu_time, now_, out); });
}

void Simulation::abandon(CallId id, const char* how) {
  Call& call = calls_.at(id);
  note("c{} is abandoned", number(id));
  const auto on = call.worker;
  if (on) {
    ++counts_.ends[how];
    call.abandoned = true;
    call.give_up_at = now_ + options_.cancel_grace;
  } else {
    dequeue(id, call);
    end(id, how);
  }
  put([&](Decisions& out) {
    require(scheduler_.abandon(id, now_, out) == on, "abandon() tells the worker that has the call");
  });
}

void Simulation::stop(WorkerId id) {
  note("w{} is stopped", number(id));
  Worker& worker = workers_.at(id);
  worker.kept_others_waiting = keeps_others_waiting(worker);
  leave(worker);
  put([&](Decisions& out) { scheduler_.worker_stopping(id, CallId{}, std::nullopt, now_, out); });
}

void Simulation::tell_progress(WorkerId id) {
  Worker& worker = workers_.at(id);
  const std::uint64_t told = worker.lies ? below(worker.given + 5) : worker.started;
  note("w{} has started {} of {} calls", number(id), told, worker.given);
  worker.told_started = std::max(worker.told_started, std::min(told, worker.given));
  if (one_in(2)) worker.cpu_time += milliseconds(below(30));
  put([&](Decisions& out) { scheduler_.calls_started(id, told, worker.cpu_time, now_, out); });
}

// Calls that the worker has not started wait again, as if it had never had them.
void Simulation::take_back(WorkerId id) {
  Worker& worker = workers_.at(id);
  const auto is_being_ended = [&](CallId call) { return calls_.at(call).was_overdue && !calls_.at(call).abandoned; };
  if (std::ranges::any_of(worker.calls, is_being_ended)) {
    return further_.push_back([this, id] {
      if (workers_.contains(id) && workers_.at(id).phase != WorkerPhase::leaving) take_back(id);
    });
  }
  const std::uint64_t started = worker.lies ? below(worker.given + 1) : worker.started;
  note("w{} has started {} of {} calls, and the rest is taken back", number(id), started, worker.given);
  TakenBack expected;
  std::vector<CallId> kept;
  for (const CallId call : worker.calls) {
    auto& where = calls_.at(call).number <= started ? kept
                  : calls_.at(call).abandoned       ? expected.abandoned
                                                    : expected.queued;
    where.push_back(call);
  }
  worker.calls = std::move(kept);
  worker.started = worker.told_started = worker.given;
  if (worker.calls.empty()) worker.idle_since = now_;
  for (auto call = expected.queued.rbegin(); call != expected.queued.rend(); ++call) {
    requeue(*call, calls_.at(*call), Because::taken_back);
  }
  for (const CallId call : expected.abandoned) end(call, "taken back");
  put([&](Decisions& out) {
    const TakenBack taken = scheduler_.calls_taken_back(id, started, worker.given, now_, out);
    require(taken.queued == expected.queued && taken.abandoned == expected.abandoned,
            "abandoned calls that are taken back end, and the others wait again");
  });
}

void Simulation::lose(WorkerId id) {
  const Worker worker = workers_.at(id);
  WorkerLoss loss = {.started = worker.started, .own_fault = mishap(3), .time = microseconds(below(20'000))};
  if (!worker.calls.empty() && one_in(2)) loss.guilty = worker.calls[below(worker.calls.size())];
  if (worker.lies && one_in(2)) loss.started = below(worker.given + 5);
  if (worker.lies && one_in(2)) loss.guilty = CallId{below(last_call_ + 2)};
  const auto guilty = calls_.find(loss.guilty);
  if (guilty != calls_.end() && one_in(2)) {
    loss.seen_call = loss.guilty;
    loss.seen = guilty->second.caller;
    const bool is_open = std::ranges::find(worker.calls, loss.guilty) != worker.calls.end();
    if (is_open) loss.seen = {loss.seen->user, rest_of(loss.seen->user), kAnyFunction};
  } else if (!worker.answered.empty() && one_in(2)) {
    loss.seen = worker.answered[below(worker.answered.size())];
  }
  if (!worker.answered.empty() && !one_in(4)) loss.told = worker.answered[below(worker.answered.size())];
  const auto client = [](const std::optional<Caller>& caller) { return caller ? number(caller->client) : 0; };
  note("w{} is lost, having started {} of {} calls; c{} is guilty, and client {} seen; {} is told{}", number(id),
       loss.started, worker.given, number(loss.guilty), client(loss.seen), client(loss.told),
       loss.own_fault ? ", by its own fault" : "");
  blame(worker, loss);

  const std::uint64_t started = std::max(worker.told_started, loss.started);
  std::vector<std::pair<CallId, EndedCall::State>> expected_ended;
  std::vector<CallId> again;
  for (CallId call_id : worker.calls) {
    Call& call = calls_.at(call_id);
    using State = EndedCall::State;
    const bool is_out = call.abandoned || call.was_overdue || call.deadline <= now_ || call_id == loss.guilty;
    const bool was_started = call.number <= started;
    if (!is_out &&
        (!was_started || (call.idempotent && call.retries < modules_.at(call.module).settings.max_retries))) {
      if (was_started) ++call.retries;
      ++counts_.decisions[was_started ? "run again" : "run elsewhere"];
      again.push_back(call_id);
    } else {
      expected_ended.emplace_back(call_id, call.abandoned ? State::abandoned
                                           : was_started  ? State::started
                                                          : State::not_started);
    }
  }
  workers_.erase(id);
  for (auto call = again.rbegin(); call != again.rend(); ++call) {
    requeue(*call, calls_.at(*call), Because::worker_was_lost);
  }
  for (const auto& [call, state] : expected_ended) {
    end(call, state == EndedCall::State::not_started ? "lost before its start" : "lost");
  }
  if (worker.module) renew_claim(*worker.module);
  put([&](Decisions& out) {
    std::vector<std::pair<CallId, EndedCall::State>> ended;
    for (const EndedCall& call : scheduler_.worker_lost(id, loss, now_, out)) ended.emplace_back(call.call, call.state);
    require(ended == expected_ended,
            "with a lost worker end its calls that are guilty, late or abandoned, and those started ones that are not "
            "idempotent or have been run too often; no others");
  });
}

// Records the blame for a lost worker: on the owner of the guilty call or of what an answered call left behind, and on
// the caller that the worker named. If these belong to two users, no one is blamed. If there is neither, the module is
// blamed, unless the worker had answered calls.
void Simulation::blame(const Worker& worker, const WorkerLoss& loss) {
  if (!loss.own_fault || !worker.module) return;
  const ModuleId id = main_of(*worker.module);
  const auto is_open = [&](CallId call) { return std::ranges::find(worker.calls, call) != worker.calls.end(); };
  const bool is_its = is_open(loss.guilty);
  std::optional<Caller> found = is_open(loss.seen_call) ? calls_.at(loss.seen_call).caller : loss.seen;
  if (!found && is_its) found = calls_.at(loss.guilty).caller;
  if (found && loss.told && found->user != loss.told->user) {
    ++counts_.decisions["blame nobody of two"];
    return;
  }
  if (!found && !loss.told) {
    if (worker.calls_done == 0) fail(id);
    return;
  }
  const Caller caller = loss.told.value_or(found.value_or(Caller{}));
  ++counts_.decisions[is_its ? "blame an open call" : "blame an answered call"];
  const bool others_wait =
      is_quarantine(*worker.module) && (worker.kept_others_waiting || keeps_others_waiting(worker));
  Module& module = modules_.at(id);
  const Duration cost = loss.time + module.load_time.value().value_or(std::chrono::milliseconds(1));
  module.offences.forget_old(options_.offences, now_);
  module.offences.killed(options_.offences, caller, cost, now_);
  const bool are_two = found && found->client != caller.client && !is_rest(found->client);
  if (are_two) module.offences.killed(options_.offences, *found, cost, now_);
  if (others_wait) {
    const Duration pause = std::min(cost, options_.offences.longest_pause) * options_.offences.pause_for_others;
    modules_.at(*worker.module).no_worker_before = now_ + std::min(pause, options_.offences.longest_pause);
  }
  note_guilty(id);
  require(is_guilty(id, caller), "an owner whose call killed a worker is guilty");
}

void Simulation::fail_load(WorkerId id) {
  Worker& worker = workers_.at(id);
  note("w{} cannot load its module", number(id));
  Decisions decisions;
  const bool is_counted = std::exchange(worker.load_failed, true);
  if (!worker.has_slot) {
    if (!is_counted) {
      fail(*worker.module);
      renew_claim(*worker.module);
    }
    require(scheduler_.load_failed(id, now_, decisions).empty(), "a load that fails without calls ends none");
    return carry_out(decisions);
  }
  const std::vector<CallId> calls = std::exchange(worker.calls, {});
  leave(worker);
  fail(*worker.module);
  std::vector<CallId> ended = scheduler_.load_failed(id, now_, decisions);
  require(ended.size() >= calls.size() && std::equal(calls.begin(), calls.end(), ended.begin()),
          "all calls of a worker that cannot load its module end");
  for (CallId call : calls) end(call, "could not be loaded");
  ended.erase(ended.begin(), ended.begin() + static_cast<std::ptrdiff_t>(calls.size()));
  if (workers_that_take_calls(*worker.module) == 0) {
    end_queued(*worker.module, ended);
  } else {
    require(ended.empty(), "a load that fails ends no calls that another worker can serve");
  }
  carry_out(decisions);
}

}  // namespace holdfast::supervisor::testing
