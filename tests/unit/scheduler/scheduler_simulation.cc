// The steps of the simulated world.
#include "tests/unit/scheduler/scheduler_simulation.h"

#include <algorithm>
#include <array>
#include <utility>

#include "tests/unit/scheduler/scheduler_bench.h"

namespace holdfast::supervisor::testing {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::nanoseconds;

constexpr std::size_t kHistoryLines = 80;

// Far more steps than a run needs to finish its open work; a world that needs more is stuck.
constexpr std::size_t kMostStepsToSettle = 200'000;

// The settings of a module's quarantine.
ModuleSettings settings_of_quarantine(ModuleSettings settings) {
  settings.max_instances = 1;
  settings.min_warm = 0;
  return settings;
}

char letter(ModuleId id) { return static_cast<char>(number(id) & 0xff); }

}  // namespace

SchedulerOptions Simulation::random_options() {
  SchedulerOptions options;
  options.max_workers = from_to(1, 5);
  options.standby = from_to(0, 3);
  options.max_standby = options.standby + from_to(0, 3);
  options.cores = from_to(1, 4);
  options.client_queue_limit = from_to(1, one_in(2) ? 12 : 100);
  options.total_queue_limit = from_to(4, one_in(2) ? 40 : 400);
  options.slice = milliseconds(from_to(1, 20));
  options.waiting_grace = milliseconds(from_to(1, 10));
  options.cancel_grace = milliseconds(from_to(1, 20));
  options.replenish_after = milliseconds(from_to(0, 3));
  options.fork_retry = milliseconds(from_to(1, 20));
  options.hold_off.free_failures = static_cast<unsigned>(from_to(0, 8));
  options.hold_off.first_delay = milliseconds(from_to(1, 20));
  options.hold_off.longest_delay = milliseconds(from_to(20, 100));
  options.hold_off.healthy_answers = from_to(1, 30);
  options.hold_off.healthy_time = milliseconds(from_to(1, 500));
  options.offences.free_kills = static_cast<unsigned>(from_to(0, 1));
  options.offences.free_kills_of_user = static_cast<unsigned>(from_to(0, 2));
  options.offences.guilty_connections = static_cast<unsigned>(from_to(1, 3));
  options.offences.answers_between = from_to(1, 5);
  options.offences.healthy_answers = from_to(1, 20);
  options.offences.clean_after = static_cast<int>(one_in(2) ? 0 : from_to(1, 9));
  options.offences.memory = milliseconds(from_to(10, 1000));
  options.offences.longest_pause = milliseconds(one_in(8) ? 0 : from_to(10, 200));
  options.module = random_settings(0);
  return options;
}

ModuleSettings Simulation::random_settings(std::size_t most_min_warm) {
  ModuleSettings settings;
  settings.max_instances = from_to(1, 3);
  settings.concurrency = from_to(1, one_in(6) ? 16 : 4);
  settings.queue_limit = from_to(1, one_in(2) ? 12 : 100);
  settings.max_retries = from_to(0, 2);
  settings.min_warm = one_in(2) ? 0 : std::min(from_to(0, most_min_warm), settings.max_instances);
  settings.weight = from_to(1, 4);
  settings.idle_timeout = milliseconds(from_to(1, 100));
  return settings;
}

Simulation::Simulation(std::uint64_t seed, History history)
    : random_(seed), options_(random_options()), scheduler_(options_), keep_history_(history) {
  module_count_ = from_to(1, 8);
  client_count_ = from_to(1, 4);
  calm_ = one_in(2);
  for (std::uint64_t i = 0; i < module_count_; ++i) {
    modules_[ModuleId{'a' + i}].settings = options_.module;
    modules_[quarantine_of(ModuleId{'a' + i})].settings = settings_of_quarantine(options_.module);
  }
}

std::optional<BrokenRule> Simulation::run(std::size_t steps) {
  try {
    note("{} workers, {} to {} on standby, {} cores", options_.max_workers, options_.standby, options_.max_standby,
         options_.cores);
    put([&](Decisions& out) { scheduler_.start(now_, out); });
    for (std::size_t i = 0; i < steps; ++i) step();
    settle();
    check_all_is_finished();
  } catch (const BrokenRule& broken) {
    return BrokenRule{broken.rule, {history_.begin(), history_.end()}};
  }
  return std::nullopt;
}

void Simulation::add_to_history(const std::string& line) {
  const auto time = std::chrono::duration_cast<microseconds>(now_.time_since_epoch()).count();
  history_.push_back(fmt::format("{:>12} us  {}", time, line));
  if (history_.size() > kHistoryLines) history_.pop_front();
}

// --- the world's steps ---------------------------------------------------------------------------------------------

void Simulation::step() {
  // The frequency of each step changes over time, so that the pool is empty, full or in trouble at times.
  enum Mood { even, crowded, cancelling, deadly };
  const auto mood = static_cast<Mood>((++steps_ / 256) % 4);
  struct Chance {
    std::uint64_t weight;
    void (Simulation::*step)();
  };
  const std::array<Chance, 14> chances = {{{mood == crowded ? 40u : 20u, &Simulation::arrive},
                                           {mood == crowded ? 15u : 25u, &Simulation::answer},
                                           {8, &Simulation::work},
                                           {5, &Simulation::bury},
                                           {10, &Simulation::finish_fork},
                                           {10, &Simulation::finish_source},
                                           {10, &Simulation::finish_load},
                                           {mood == cancelling ? 15u : 2u, &Simulation::cancel},
                                           {calm_            ? 0u
                                            : mood == deadly ? 20u
                                                             : 2u,
                                            &Simulation::die_at_random},
                                           {calm_ ? 0u : 1u, &Simulation::stop_some_worker},
                                           {calm_ ? 0u : 1u, &Simulation::replace_worker},
                                           {calm_ ? 0u : 1u, &Simulation::change_module},
                                           {2, &Simulation::tick},
                                           {15, &Simulation::pass_time}}};
  std::uint64_t sum = 0;
  for (const Chance& chance : chances) sum += chance.weight;
  std::uint64_t drawn = below(sum);
  for (const Chance& chance : chances) {
    if (drawn < chance.weight) return (this->*chance.step)();
    drawn -= chance.weight;
  }
}

template <typename Filter>
std::optional<WorkerId> Simulation::pick_worker(Filter filter) {
  std::vector<WorkerId> fitting;
  for (const auto& [id, worker] : workers_) {
    if (filter(worker)) fitting.push_back(id);
  }
  if (fitting.empty()) return std::nullopt;
  return fitting[below(fitting.size())];
}

void Simulation::arrive() {
  const CallId id{++last_call_};
  Duration time = milliseconds(below(200));
  if (one_in(3)) time = microseconds(below(5000));
  if (one_in(3)) time = minutes(10);
  if (one_in(50)) time = -milliseconds(1);
  const ClientId client{1 + below(client_count_)};
  const ArrivedCall arrived = {.id = id,
                               .module = some_module(),
                               .caller = {user_of(client), client, FunctionId{one_in(8) ? kFunctions : 1}},
                               .deadline = now_ + time,
                               .idempotent = one_in(2)};
  note("c{} arrives for {}'s function {} from client {}, to be done within {} us{}", number(id), letter(arrived.module),
       number(arrived.caller.function), number(client), std::chrono::duration_cast<microseconds>(time).count(),
       arrived.idempotent ? ", idempotent" : "");
  ++counts_.calls;
  Call& call = calls_[id];
  call.module = arrived.module;
  call.caller = arrived.caller;
  call.deadline = arrived.deadline;
  call.idempotent = arrived.idempotent;
  // The world queues the call first; whether it may wait is checked if it was not refused.
  using enum Scheduler::Part;
  const std::size_t shorter_queue =
      std::min(scheduler_.view(call.module, clean, now_).queued, scheduler_.view(call.module, quarantine, now_).queued);
  const bool full_queues = shorter_queue >= modules_.at(call.module).settings.queue_limit ||
                           queued() >= options_.total_queue_limit ||
                           queued_of(call.caller.client) >= options_.client_queue_limit;
  const bool is_held_off = modules_.at(call.module).hold_off.until(now_).has_value();
  enqueue(id, call);
  put([&](Decisions& out) {
    const auto refused = scheduler_.call_arrived(arrived, now_, out);
    if (!refused) return;
    require(out.empty(), "nothing follows from a call that is refused");
    refuse(id, *refused);
  });
  require(!is_held_off || !calls_.contains(id), "a call for a module that is held off is refused");
  require(!full_queues || !scheduler_.is_queued(id), "a call does not wait in a queue that is full");
}

void Simulation::cancel() {
  std::vector<CallId> open;
  for (const auto& [id, call] : calls_) {
    if (!call.abandoned) open.push_back(id);
  }
  if (!open.empty()) abandon(open[below(open.size())], "cancelled");
}

void Simulation::finish_fork() {
  const auto id = pick_worker([](const Worker& worker) { return worker.phase == WorkerPhase::starting; });
  if (!id) return;
  if (mishap(8)) {
    note("fork of w{} fails", number(*id));
    no_fork_before_ = now_ + options_.fork_retry;
    workers_.erase(*id);
    return put([&](Decisions& out) { scheduler_.worker_fork_failed(*id, now_, out); });
  }
  note("w{} is forked", number(*id));
  Worker& worker = workers_.at(*id);
  worker.phase = WorkerPhase::standby;
  worker.idle_since = now_;
  worker.lies = mishap(4);
  worker.stubborn = mishap(4);
  no_fork_before_.reset();
  put([&](Decisions& out) { scheduler_.worker_forked(*id, now_, out); });
}

void Simulation::finish_source() {
  std::vector<ModuleId> fetching;
  for (const auto& [id, module] : modules_) {
    if (module.fetching) fetching.push_back(id);
  }
  if (fetching.empty()) return;
  const ModuleId id = fetching[below(fetching.size())];
  const ModuleId main = main_of(id);
  Module& module = modules_.at(id);
  module.fetching = false;
  const bool is_stale = std::exchange(module.source_is_stale, false);
  if (!mishap(10)) {
    note("the source of {} is there", letter(id));
    if (!is_stale && !modules_.at(main).hold_off.until(now_) && module.no_worker_before <= now_) file_claim(id);
    put([&](Decisions& out) { scheduler_.source_ready(main, now_, out); });
  } else {
    note("the source of {} cannot be had", letter(id));
    const bool ends_calls = !is_stale && workers_that_take_calls(id) == 0;
    if (!is_stale) fail(id);
    Decisions decisions;
    const auto ended = scheduler_.source_failed(main, now_, decisions);
    require(ends_calls || ended.empty(), "a source that cannot be had ends no calls that a worker can still serve");
    if (ends_calls) end_queued(id, ended);
    carry_out(decisions);
  }
  require(!is_stale || module.fetching, "a source that has changed while it was fetched is fetched again");
}

void Simulation::finish_load() {
  // A message that a worker sent before it was stopped still arrives. A worker that has loaded may also claim anything.
  const bool of_any = mishap(10);
  const auto id = pick_worker(
      [&](const Worker& worker) { return worker.phase == WorkerPhase::loading || (of_any && worker.module); });
  if (!id) return;
  Worker& worker = workers_.at(*id);
  if (worker.phase == WorkerPhase::ready || mishap(6)) return fail_load(*id);
  note("w{} has loaded", number(*id));
  if (worker.phase == WorkerPhase::loading) {
    Module& module = modules_.at(main_of(*worker.module));
    worker.phase = WorkerPhase::ready;
    worker.idle_since = now_;
    worker.slice_end = now_ + options_.slice * static_cast<Duration::rep>(module.settings.weight);
    worker.latest_slice_end = worker.slice_end;
    module.load_time.add(now_ - worker.assigned_at);
  }
  put([&](Decisions& out) { scheduler_.worker_loaded(*id, now_, out); });
}

// A worker starts calls, and the supervisor may see that it has.
void Simulation::work() {
  const auto id = pick_worker([](const Worker& worker) { return worker.module && worker.started < worker.given; });
  if (!id) return;
  Worker& worker = workers_.at(*id);
  worker.started += 1 + below(worker.given - worker.started);
  if (one_in(2)) tell_progress(*id);
}

void Simulation::answer() {
  const auto id = pick_worker([](const Worker& worker) { return !worker.calls.empty(); });
  if (!id) return;
  Worker& worker = workers_.at(*id);
  // Calls begin in order and end in any order.
  const std::size_t among = 1 + below(worker.calls.size());
  worker.started = std::max(worker.started, calls_.at(worker.calls[among - 1]).number);
  const CallId call = worker.calls[below(worker.lies ? worker.calls.size() : among)];
  if (worker.stubborn && !behaves_ && calls_.at(call).abandoned) return;
  if (!one_in(5)) answer_call(call);
}

void Simulation::die_at_random() {
  const auto id = pick_worker([](const Worker& worker) { return worker.phase != WorkerPhase::starting; });
  if (id) lose(*id);
}

// Removes a worker that was killed or stopped.
void Simulation::bury() {
  const auto id = pick_worker([](const Worker& worker) { return worker.phase == WorkerPhase::leaving; });
  if (id) lose(*id);
}

void Simulation::stop_some_worker() {
  const auto id = pick_worker([](const Worker& worker) {
    return worker.phase != WorkerPhase::starting && worker.phase != WorkerPhase::leaving;
  });
  if (id) stop(*id);
}

void Simulation::replace_worker() {
  if (one_in(3)) {
    note("standbys are renewed");
    renewing_ = true;
    put([&](Decisions& out) { scheduler_.renew_standbys(now_, out); });
    renewing_ = false;
    return;
  }
  if (mishap(6)) {
    note("forks fail");
    no_fork_before_ = now_ + options_.fork_retry;
    return scheduler_.forks_fail(now_);
  }
  const auto id = pick_worker([](const Worker& worker) { return worker.holds_module(); });
  if (!id) return;
  note("w{} is retired", number(*id));
  Worker& worker = workers_.at(*id);
  worker.retiring = true;
  renew_claim(*worker.module);
  put([&](Decisions& out) { scheduler_.retire(*id, now_, out); });
}

void Simulation::change_module() {
  const ModuleId id = some_module();
  Module& module = modules_.at(id);
  switch (below(3)) {
    case 0: {
      note("the source of {} changes", letter(id));
      module.hold_off.reset();
      module.held_off_until.reset();
      module.offences = Offences();
      for (ModuleId part : {id, quarantine_of(id)}) {
        modules_.at(part).claims = false;
        modules_.at(part).source_is_stale = modules_.at(part).fetching;
      }
      for (auto& [worker_id, worker] : workers_) {
        if (worker.has_slot && worker.module && main_of(*worker.module) == id && worker.phase != WorkerPhase::leaving)
          worker.retiring = true;
      }
      return put([&](Decisions& out) { scheduler_.source_changed(id, now_, out); });
    }
    case 1: {
      // At least one slot must be left for modules that are not kept warm.
      const std::size_t free = options_.max_workers - 1 - (kept_warm() - module.settings.min_warm);
      module.settings = random_settings(free);
      modules_.at(quarantine_of(id)).settings = settings_of_quarantine(module.settings);
      note("{} has other settings: {} instances, {} warm, concurrency {}, weight {}", letter(id),
           module.settings.max_instances, module.settings.min_warm, module.settings.concurrency,
           module.settings.weight);
      configured_ = id;
      put([&](Decisions& out) { scheduler_.configure(id, module.settings, now_, out); });
      configured_.reset();
      return;
    }
    default: {
      if (!scheduler_.forget(id)) return;
      note("{} is forgotten", letter(id));
      const auto holds_it = [&](const auto& entry) {
        return entry.second.module && main_of(*entry.second.module) == id;
      };
      Module& apart = modules_.at(quarantine_of(id));
      require(module.queued == 0 && !module.fetching && !module.claims && !apart.fetching && !apart.claims &&
                  std::none_of(workers_.begin(), workers_.end(), holds_it),
              "a module is forgotten only if it has no calls, no workers, and does not wait for its source");
      module = Module();
      module.settings = options_.module;
      apart = Module();
      apart.settings = settings_of_quarantine(options_.module);
    }
  }
}

void Simulation::pass_time() {
  const auto next = scheduler_.next_wakeup();
  switch (below(8)) {
    case 0:
      if (next) now_ = std::max(now_, *next);
      break;
    case 1:
      if (next) now_ = std::max(now_, *next - nanoseconds(1));
      break;
    case 2:
      if (one_in(50)) now_ += minutes(below(30));
      break;
    default:
      now_ += microseconds(below(2000));
  }
  // A timer may come late.
  if (next && *next <= now_ && !one_in(4)) tick();
}

void Simulation::tick() {
  note("tick");
  put([&](Decisions& out) {
    scheduler_.tick(now_, out);
    if (no_fork_before_ && *no_fork_before_ <= now_) no_fork_before_.reset();
  });
  check_due(true);
}

// From here on the world makes no mistakes, and everything finishes.
void Simulation::settle() {
  note("the world begins to behave");
  behaves_ = true;
  for (auto& [id, worker] : workers_) worker.lies = worker.stubborn = false;
  const auto any = [&](WorkerPhase phase) { return count(phase) > 0; };
  const auto fetches = [](const auto& entry) { return entry.second.fetching; };
  for (std::size_t steps = 0;; ++steps) {
    require(steps < kMostStepsToSettle, "everything comes to its end");
    if (any(WorkerPhase::leaving)) {
      bury();
    } else if (any(WorkerPhase::starting)) {
      finish_fork();
    } else if (std::any_of(modules_.begin(), modules_.end(), fetches)) {
      finish_source();
    } else if (any(WorkerPhase::loading)) {
      finish_load();
    } else if (pick_worker([](const Worker& worker) { return !worker.calls.empty(); })) {
      answer();
    } else if (const auto next = scheduler_.next_wakeup()) {
      now_ = std::max(now_, *next);
      tick();
    } else {
      break;
    }
  }
}

}  // namespace holdfast::supervisor::testing
