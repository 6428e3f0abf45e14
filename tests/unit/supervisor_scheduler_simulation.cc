#include "tests/unit/supervisor_scheduler_simulation.h"

#include <algorithm>
#include <variant>

#include <fmt/format.h>

#include "tests/unit/supervisor_scheduler_bench.h"

namespace holdfast::supervisor::testing {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::nanoseconds;

constexpr std::size_t kHistoryLines = 60;

// Far more than it takes to finish what a run leaves open; a world that needs more is stuck.
constexpr std::size_t kMostStepsToSettle = 100'000;

std::uint64_t number(auto id) { return static_cast<std::uint64_t>(id); }

// "kill w3 evicted" is of the kind "kill evicted".
std::string kind_of(const Decision& decision) {
  std::string kind;
  bool skipping = false;
  for (char c : describe(decision)) {
    if (c >= '0' && c <= '9') {
      skipping = true;
      if (!kind.empty() && kind.back() != ' ') kind.pop_back();
    } else if (!skipping || c != ' ') {
      skipping = false;
      kind += c;
    }
  }
  while (!kind.empty() && kind.back() == ' ') kind.pop_back();
  return std::holds_alternative<LoadModule>(decision) ? "load" : kind;
}

}  // namespace

SchedulerOptions Simulation::random_options(std::mt19937_64& random) {
  const auto from_to = [&](std::uint64_t least, std::uint64_t most) { return least + random() % (most - least + 1); };
  SchedulerOptions options;
  options.max_workers = from_to(1, 5);
  options.standby = from_to(0, 3);
  options.concurrency = from_to(1, 4);
  options.queue_limit = from_to(1, 12);
  options.max_attempts = from_to(1, 3);
  options.idle_timeout = milliseconds(from_to(1, 100));
  options.cancel_grace = milliseconds(from_to(1, 20));
  options.fork_retry = milliseconds(from_to(1, 20));
  return options;
}

Simulation::Simulation(std::uint64_t seed, History history)
    : random_(seed), options_(random_options(random_)), scheduler_(options_), keep_history_(history) {
  modules_ = 1 + below(8);
}

std::optional<BrokenRule> Simulation::run(std::size_t steps) {
  try {
    note("{} workers, {} on standby", options_.max_workers, options_.standby);
    Decisions decisions;
    scheduler_.start(now_, decisions);
    carry_out(decisions);
    for (std::size_t i = 0; i < steps; ++i) step();
    settle();
  } catch (const BrokenRule& broken) {
    return BrokenRule{broken.rule, {history_.begin(), history_.end()}};
  }
  return std::nullopt;
}

void Simulation::require(bool condition, const std::string& rule) {
  if (!condition) throw BrokenRule{rule, {}};
}

void Simulation::note(const char* format, std::uint64_t first, std::uint64_t second) {
  if (keep_history_ == History::none) return;
  const auto time = std::chrono::duration_cast<microseconds>(now_.time_since_epoch()).count();
  history_.push_back(fmt::format("{:>12} us  {}", time, fmt::format(fmt::runtime(format), first, second)));
  if (history_.size() > kHistoryLines) history_.pop_front();
}

// --- the world's steps ---------------------------------------------------------------------------------------------

void Simulation::step() {
  // How often each happens changes with the time, so that the pool is at times empty, full, or in trouble.
  const auto now_and_then = [&](std::uint64_t weight) { return below(100) < weight; };
  const std::uint64_t mood = (random_() >> 32) % 4;
  if (now_and_then(mood == 0 ? 60 : 30)) {
    arrive();
  } else if (now_and_then(mood == 1 ? 10 : 40)) {
    answer();
  } else if (now_and_then(20)) {
    finish_fork();
  } else if (now_and_then(25)) {
    finish_load();
  } else if (now_and_then(mood == 2 ? 30 : 15)) {
    cancel();
  } else if (now_and_then(mood == 3 ? 40 : 20)) {
    die();
  } else if (now_and_then(4)) {
    stop_worker();
  } else if (now_and_then(4)) {
    replace_worker();
  } else if (now_and_then(5)) {
    tick();
  } else {
    pass_time();
  }
  check();
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
  // The lower a module's number, the more it is called.
  const ModuleId module{'a' + std::min(below(modules_), below(modules_))};
  Duration time = milliseconds(below(200));
  if (one_in(3)) time = microseconds(below(5000));
  if (one_in(3)) time = minutes(10);
  if (one_in(50)) time = -milliseconds(1);
  note("call c{} arrives for module {}", number(id), number(module) - 'a');

  ++counts_.calls;
  Call& call = calls_[id];
  call.module = module;
  call.deadline = now_ + time;
  const bool full = queue(module).size() >= options_.queue_limit;
  if (!full) {
    queue(module).push_back(id);
    update_waiting(module);
  }
  Decisions decisions;
  scheduler_.call_arrived(id, module, call.deadline, now_, decisions);
  if (full) {
    const auto* refusal = decisions.size() == 1 ? std::get_if<RefuseCall>(&decisions.front()) : nullptr;
    require(refusal != nullptr && refusal->call == id && refusal->reason == RefuseCall::Reason::queue_full,
            "a call for a full queue is refused, and nothing else happens");
  }
  carry_out(decisions);
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
  Decisions decisions;
  decisions_pending_ = false;
  if (!behaves_ && one_in(8)) {
    note("fork of w{} fails", number(*id));
    fork_failed_at_ = now_;
    workers_.erase(*id);
    scheduler_.worker_fork_failed(*id, now_, decisions);
  } else {
    note("w{} is forked", number(*id));
    Worker& worker = workers_.at(*id);
    worker.phase = WorkerPhase::standby;
    worker.forked_at = now_;
    worker.lies = !behaves_ && one_in(4);
    worker.stubborn = !behaves_ && one_in(4);
    fork_failed_at_.reset();
    scheduler_.worker_forked(*id, now_, decisions);
  }
  carry_out(decisions);
}

void Simulation::finish_load() {
  // What a worker that is being stopped said before still comes in; the word of one that has loaded is its own.
  const bool of_any = !behaves_ && one_in(10);
  const auto id = pick_worker(
      [&](const Worker& worker) { return worker.phase == WorkerPhase::loading || (of_any && worker.module); });
  if (!id) return;
  Worker& worker = workers_.at(*id);
  if (!behaves_ && (worker.phase == WorkerPhase::ready || one_in(8))) return fail_load(*id);
  note("w{} has loaded", number(*id));
  Decisions decisions;
  if (worker.phase == WorkerPhase::loading) {
    worker.phase = WorkerPhase::ready;
    if (worker.calls.empty()) worker.idle_since = now_;
  }
  scheduler_.worker_loaded(*id, now_, decisions);
  carry_out(decisions);
}

void Simulation::answer() {
  const auto id = pick_worker([](const Worker& worker) { return !worker.calls.empty(); });
  if (!id) return;
  Worker& worker = workers_.at(*id);
  // Calls begin in order, and end in any.
  const std::size_t started = 1 + below(worker.calls.size());
  worker.last_started = std::max(worker.last_started, worker.calls[started - 1]);
  const CallId call = worker.calls[below(worker.lies ? worker.calls.size() : started)];
  if (worker.stubborn && !behaves_ && calls_.at(call).abandoned) return;
  if (!one_in(5)) answer_call(call);
}

void Simulation::die() {
  const bool anybody = one_in(4);
  const auto id = pick_worker([&](const Worker& worker) {
    return worker.phase == WorkerPhase::leaving || (anybody && worker.phase != WorkerPhase::starting);
  });
  if (id) lose(*id);
}

void Simulation::stop_worker() {
  const auto id = pick_worker([](const Worker& worker) {
    return worker.phase != WorkerPhase::starting && worker.phase != WorkerPhase::leaving;
  });
  if (!id) return;
  note("w{} is stopped", number(*id));
  leave(*id, workers_.at(*id));
  scheduler_.worker_stopping(*id);
  decisions_pending_ = true;
}

void Simulation::replace_worker() {
  Decisions decisions;
  if (one_in(3)) {
    note("standbys are renewed");
    renewing_ = true;
    scheduler_.renew_standbys(now_, decisions);
    decisions_pending_ = true;
    carry_out(decisions);
    renewing_ = false;
    return;
  }
  const auto id = pick_worker(
      [](const Worker& worker) { return worker.phase == WorkerPhase::loading || worker.phase == WorkerPhase::ready; });
  if (!id) return;
  note("w{} is retired", number(*id));
  workers_.at(*id).retiring = true;
  scheduler_.retire(*id, now_, decisions);
  carry_out(decisions);
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
      if (one_in(10)) now_ += minutes(below(30));
      break;
    default:
      now_ += microseconds(below(2000));
  }
  // A timer may come late.
  if (next && *next <= now_ && !one_in(4)) tick();
}

void Simulation::tick() {
  note("tick");
  Decisions decisions;
  decisions_pending_ = false;
  scheduler_.tick(now_, decisions);
  carry_out(decisions);
  check_due(true);
}

// The world behaves from here on, and everything comes to its end.
void Simulation::settle() {
  note("the world begins to behave");
  behaves_ = true;
  for (auto& [id, worker] : workers_) worker.lies = worker.stubborn = false;
  const auto any = [&](WorkerPhase phase) { return count(phase) > 0; };
  std::size_t steps = 0;
  for (;; ++steps) {
    require(steps < kMostStepsToSettle, "everything comes to its end");
    if (any(WorkerPhase::leaving)) {
      die();
    } else if (any(WorkerPhase::starting)) {
      finish_fork();
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
    check();
  }
  std::uint64_t ends = 0;
  for (const auto& [how, times] : counts_.ends) ends += times;
  require(calls_.empty() && ends == counts_.calls, "each call has one end");
  require(scheduler_.open_calls() == 0, "no call is open when all have ended");
  require(waiting_.empty() && slots_taken() == 0, "no module waits or holds a worker when all is idle");
  require(workers_.size() == options_.standby && count(WorkerPhase::standby) == options_.standby,
          "when all is idle, the standby workers are left and nothing else");
}

// --- events put to the scheduler -----------------------------------------------------------------------------------

void Simulation::answer_call(CallId id) {
  Worker& worker = workers_.at(*calls_.at(id).worker);
  note("c{} is answered by w{}", number(id), number(*calls_.at(id).worker));
  std::erase(worker.calls, id);
  ++worker.calls_done;
  if (worker.phase == WorkerPhase::ready && worker.calls.empty()) worker.idle_since = now_;
  end(id, "answered");
  Decisions decisions;
  scheduler_.call_answered(id, now_, decisions);
  carry_out(decisions);
}

void Simulation::abandon(CallId id, const char* how) {
  Call& call = calls_.at(id);
  note("c{} is abandoned", number(id));
  require(scheduler_.abandon(id, now_) == call.worker, "abandon() tells the worker that has the call");
  if (call.worker) {
    ++counts_.ends[how];
    call.abandoned = true;
    call.give_up_at = now_ + options_.cancel_grace;
    return;
  }
  const ModuleId module = call.module;
  std::erase(queue(module), id);
  end(id, how);
  update_waiting(module);
}

void Simulation::lose(WorkerId id) {
  const Worker worker = workers_.at(id);
  CallId last_started = worker.last_started;
  if (worker.lies && one_in(2)) last_started = CallId{one_in(2) ? 0 : below(last_call_ + 2)};
  note("w{} is lost, having started calls up to c{}", number(id), number(last_started));

  std::vector<CallId> expected_ended, again, refused;
  for (CallId call_id : worker.calls) {
    const Call& call = calls_.at(call_id);
    if (call.abandoned || call.was_overdue || call_id <= last_started) {
      expected_ended.push_back(call_id);
    } else {
      (call.attempts < options_.max_attempts ? again : refused).push_back(call_id);
    }
  }
  for (const auto* back : {&again, &refused}) {
    for (CallId call : *back) calls_.at(call).worker.reset();
  }
  workers_.erase(id);
  if (worker.module) {
    auto& waiting = queue(*worker.module);
    waiting.insert(waiting.begin(), again.begin(), again.end());
    update_waiting(*worker.module);
  }

  Decisions decisions;
  decisions_pending_ = false;
  const auto ended = scheduler_.worker_lost(id, last_started, now_, decisions);
  require(ended == expected_ended,
          "the calls that a lost worker had started, that were overdue or that nobody waits "
          "for end with it, and no others");
  for (CallId call : ended) end(call, "ended with its worker");
  carry_out(decisions);
  for (CallId call : refused) require(!calls_.contains(call), "a call that used up its attempts is refused");
}

void Simulation::fail_load(WorkerId id) {
  Worker& worker = workers_.at(id);
  note("w{} cannot load its module", number(id));
  std::vector<CallId> expected_ended;
  if (worker.holds_slot) {
    expected_ended = worker.calls;
    auto& waiting = queue(*worker.module);
    expected_ended.insert(expected_ended.end(), waiting.begin(), waiting.end());
    waiting.clear();
    worker.calls.clear();
    leave(id, worker);
    decisions_pending_ = false;
  }
  Decisions decisions;
  const auto ended = scheduler_.load_failed(id, now_, decisions);
  require(ended == expected_ended, "all calls of a module that cannot be loaded end, and no others");
  for (CallId call : ended) end(call, "could not be loaded");
  carry_out(decisions);
}

// --- decisions carried out -----------------------------------------------------------------------------------------

void Simulation::carry_out(Decisions& decisions) {
  for (std::size_t i = 0; i < decisions.size(); ++i) {
    const Decision decision = decisions[i];
    if (keep_history_ == History::kept) note(("  -> " + describe(decision)).c_str());
    ++counts_.decisions[kind_of(decision)];
    std::visit([&](const auto& what) { carry_out(what, decisions); }, decision);
  }
  ended_meanwhile_.clear();
}

void Simulation::carry_out(const ForkWorker& fork, Decisions&) {
  require(fork.worker > last_worker_, "each worker has a new id, higher than those before");
  last_worker_ = fork.worker;
  require(!fork_failed_at_ || now_ >= *fork_failed_at_ + options_.fork_retry,
          "after a fork that failed none is tried for a while");
  workers_[fork.worker];
  require(count(WorkerPhase::starting) + count(WorkerPhase::standby) <= options_.standby + options_.max_workers,
          "no more workers are forked than could ever be used");
  if (ended_meanwhile_.empty()) {
    require(count(WorkerPhase::starting) + count(WorkerPhase::standby) <= wanted_workers(),
            "no more workers are forked than are wanted");
  }
}

void Simulation::carry_out(const LoadModule& load, Decisions& further) {
  const auto found = workers_.find(load.worker);
  require(found != workers_.end() && found->second.phase == WorkerPhase::standby && !found->second.module,
          "a module is loaded into a standby worker");
  require(!holder(load.module), "a module has one worker");
  if (ended_meanwhile_.empty()) {
    require(!waiting_.empty() && waiting_.front() == load.module,
            "workers go to the modules that wait in the order in which they came");
  }
  Worker& worker = found->second;
  worker.phase = WorkerPhase::loading;
  worker.module = load.module;
  worker.holds_slot = true;
  update_waiting(load.module);
  require(slots_taken() <= options_.max_workers, "no more than max_workers workers hold a module");

  // The module's file may be gone.
  if (behaves_ || !one_in(30)) return;
  note("the module for w{} cannot be read", number(load.worker));
  std::vector<CallId> expected_ended(queue(load.module).begin(), queue(load.module).end());
  queue(load.module).clear();
  leave(load.worker, worker);
  const auto ended = scheduler_.load_failed(load.worker, now_, further);
  require(ended == expected_ended, "all calls of a module that cannot be read end, and no others");
  for (CallId call : ended) {
    end(call, "could not be loaded");
    ended_meanwhile_.insert(call);
  }
}

void Simulation::carry_out(const DispatchCall& dispatch, Decisions&) {
  if (ended_meanwhile_.contains(dispatch.call)) return;
  require(calls_.contains(dispatch.call), "a call that is given to a worker has not ended");
  Call& call = calls_.at(dispatch.call);
  require(!call.worker, "a call is given to one worker at a time");
  require(!call.was_overdue, "a call that was overdue is not given to a worker");
  require(workers_.contains(dispatch.worker), "a call is given to a worker that exists");
  Worker& worker = workers_.at(dispatch.worker);
  require(worker.phase == WorkerPhase::loading || worker.phase == WorkerPhase::ready,
          "nothing is given to a worker that has no module or is leaving");
  require(worker.module == call.module, "a call is given to its module's worker");
  require(!worker.retiring, "a worker that is retired is given no more calls");
  require(worker.calls.size() < options_.concurrency, "a worker has at most `concurrency` calls");
  require(dispatch.call > worker.last_given, "the ids of the calls that a worker is given rise");
  require(!queue(call.module).empty() && queue(call.module).front() == dispatch.call,
          "calls of a module are served in the order in which they came");
  queue(call.module).pop_front();
  update_waiting(call.module);
  call.worker = dispatch.worker;
  require(++call.attempts <= options_.max_attempts, "a call is given to at most max_attempts workers");
  worker.calls.push_back(dispatch.call);
  worker.last_given = dispatch.call;
  worker.idle_since.reset();
}

void Simulation::carry_out(const KillWorker& kill, Decisions&) {
  require(workers_.contains(kill.worker), "a worker that is killed exists");
  Worker& worker = workers_.at(kill.worker);
  const bool is_idle = worker.phase == WorkerPhase::ready && worker.calls.empty();
  switch (kill.reason) {
    case KillWorker::Reason::evicted:
      require(is_idle, "only an idle worker is evicted");
      require(!waiting_.empty(), "a worker is evicted only for a module that waits");
      if (ended_meanwhile_.empty()) {
        require(slots_taken() == options_.max_workers, "no worker is evicted while there is a free slot");
      }
      for (const auto& [id, other] : workers_) {
        require(!other.idle_since || *other.idle_since >= *worker.idle_since,
                "the worker that has been idle longest is evicted");
      }
      break;
    case KillWorker::Reason::idle:
      if (worker.phase == WorkerPhase::standby) {
        require(count(WorkerPhase::standby) > options_.standby && *worker.forked_at + options_.idle_timeout <= now_,
                "a standby worker is removed when there are too many, after the idle timeout");
      } else {
        require(is_idle && *worker.idle_since + options_.idle_timeout <= now_,
                "a worker is removed for being idle after the idle timeout");
      }
      break;
    case KillWorker::Reason::retired:
      require(worker.phase == WorkerPhase::standby ? renewing_ : worker.retiring && worker.calls.empty(),
              "a worker is replaced if that was asked for, and when it has no calls");
      break;
  }
  require(worker.phase != WorkerPhase::leaving, "a worker is killed once");
  leave(kill.worker, worker);
}

void Simulation::carry_out(const CallOverdue& overdue, Decisions&) {
  require(calls_.contains(overdue.call), "a call that is overdue has not ended");
  Call& call = calls_.at(overdue.call);
  require(call.deadline <= now_, "a call is overdue once its deadline is over");
  require(!call.was_overdue && !call.abandoned, "a call that somebody waits for is overdue once");
  require(call.worker == overdue.worker, "where an overdue call is, is said");
  if (!call.worker) {
    std::erase(queue(call.module), overdue.call);
    const ModuleId module = call.module;
    end(overdue.call, "overdue");
    return update_waiting(module);
  }
  call.was_overdue = true;
  Worker& worker = workers_.at(*call.worker);
  if (behaves_ || one_in(2)) {
    abandon(overdue.call, "overdue");
  } else if (worker.phase != WorkerPhase::leaving) {
    note("w{} is stopped for c{}", number(*call.worker), number(overdue.call));
    leave(*call.worker, worker);
    scheduler_.worker_stopping(*call.worker);
    decisions_pending_ = true;
  }
}

void Simulation::carry_out(const CancelOverdue& late, Decisions&) {
  require(calls_.contains(late.call), "a call whose cancellation is late is still on a worker");
  Call& call = calls_.at(late.call);
  require(call.abandoned && call.worker == late.worker,
          "a call whose cancellation is late is abandoned and on a worker");
  require(call.give_up_at <= now_, "a cancellation is late after the grace, and after each further one");
  call.give_up_at = now_ + options_.cancel_grace;
  Worker& worker = workers_.at(late.worker);
  // Stopped meanwhile, for a call that was overdue; or left to go on.
  if (worker.phase == WorkerPhase::leaving || (!behaves_ && one_in(2))) return;
  note("w{} is stopped for the late c{}", number(late.worker), number(late.call));
  leave(late.worker, worker);
  scheduler_.worker_stopping(late.worker);
  decisions_pending_ = true;
}

void Simulation::carry_out(const RefuseCall& refuse, Decisions&) {
  require(calls_.contains(refuse.call), "a call that is refused has not ended");
  const Call& call = calls_.at(refuse.call);
  require(!call.worker && !call.abandoned, "a call that is refused is on no worker, and somebody waits for it");
  if (refuse.reason == RefuseCall::Reason::queue_full) {
    require(queue(call.module).size() >= options_.queue_limit, "a call is refused because its module's queue is full");
  } else {
    require(call.attempts == options_.max_attempts, "a call is refused because it used up its attempts");
  }
  const auto& waiting = queue(call.module);
  require(std::find(waiting.begin(), waiting.end(), refuse.call) == waiting.end(), "a refused call is in no queue");
  end(refuse.call, refuse.reason == RefuseCall::Reason::queue_full ? "refused, queue full" : "refused, attempts");
}

// --- the model -----------------------------------------------------------------------------------------------------

void Simulation::end(CallId id, const std::string& how) {
  const auto found = calls_.find(id);
  require(found != calls_.end(), "a call ends once");
  if (!found->second.abandoned) ++counts_.ends[how];
  calls_.erase(found);
}

// A worker that leaves without calls gives its slot up at once, one with calls when it is lost.
void Simulation::leave(WorkerId, Worker& worker) {
  worker.phase = WorkerPhase::leaving;
  worker.idle_since.reset();
  if (!worker.holds_slot || !worker.calls.empty()) return;
  worker.holds_slot = false;
  update_waiting(*worker.module);
}

void Simulation::update_waiting(ModuleId module) {
  const bool waits = !queue(module).empty() && !holder(module);
  const auto found = std::find(waiting_.begin(), waiting_.end(), module);
  if (waits && found == waiting_.end()) waiting_.push_back(module);
  if (!waits && found != waiting_.end()) waiting_.erase(found);
}

std::optional<WorkerId> Simulation::holder(ModuleId module) const {
  for (const auto& [id, worker] : workers_) {
    if (worker.holds_slot && worker.module == module) return id;
  }
  return std::nullopt;
}

std::size_t Simulation::slots_taken() const {
  return static_cast<std::size_t>(
      std::count_if(workers_.begin(), workers_.end(), [](const auto& entry) { return entry.second.holds_slot; }));
}

std::size_t Simulation::count(WorkerPhase phase) const {
  return static_cast<std::size_t>(
      std::count_if(workers_.begin(), workers_.end(), [&](const auto& entry) { return entry.second.phase == phase; }));
}

std::size_t Simulation::idle_workers() const {
  return static_cast<std::size_t>(std::count_if(workers_.begin(), workers_.end(),
                                                [](const auto& entry) { return entry.second.idle_since.has_value(); }));
}

// On standby or on the way there.
std::size_t Simulation::wanted_workers() const {
  return options_.standby + std::min(waiting_.size(), options_.max_workers - slots_taken() + idle_workers());
}

// --- what must hold ------------------------------------------------------------------------------------------------

void Simulation::check() {
  require(slots_taken() <= options_.max_workers, "no more than max_workers workers hold a module");
  for (const auto& [module, waiting] : queues_) {
    require(waiting.size() <= options_.queue_limit + options_.concurrency,
            "a queue has at most queue_limit calls, and those that a lost worker had not started");
  }
  check_views();
  check_due(false);
  if (!decisions_pending_) check_work_is_given_out();
}

// The scheduler wants to be woken not later than the first thing is due; after a tick nothing is.
void Simulation::check_due(bool after_tick) {
  std::optional<TimePoint> due;
  const auto consider = [&](TimePoint when) { due = std::min(when, due.value_or(when)); };
  for (const auto& [id, call] : calls_) {
    if (!call.abandoned && !call.was_overdue) consider(call.deadline);
    if (call.abandoned && workers_.at(*call.worker).phase != WorkerPhase::leaving) consider(call.give_up_at);
  }
  std::optional<TimePoint> last_fork;
  for (const auto& [id, worker] : workers_) {
    if (worker.idle_since) consider(*worker.idle_since + options_.idle_timeout);
    if (worker.phase == WorkerPhase::standby) last_fork = std::max(*worker.forked_at, last_fork.value_or(TimePoint{}));
  }
  if (count(WorkerPhase::standby) > options_.standby) consider(*last_fork + options_.idle_timeout);
  if (fork_failed_at_ && !decisions_pending_ &&
      count(WorkerPhase::starting) + count(WorkerPhase::standby) < wanted_workers()) {
    consider(*fork_failed_at_ + options_.fork_retry);
  }
  const auto next = scheduler_.next_wakeup();
  if (after_tick) require(!next || *next > now_, "after a tick the scheduler does not want to be woken at once");
  if (!due) return;
  require(next && *next <= *due, "the next wakeup is not later than the first thing that is due");
  if (after_tick) require(*due > now_, "after a tick nothing is due");
}

void Simulation::check_work_is_given_out() {
  for (const auto& [module, waiting] : queues_) {
    if (waiting.empty()) continue;
    const auto id = holder(module);
    if (!id || workers_.at(*id).phase == WorkerPhase::leaving || workers_.at(*id).retiring) continue;
    require(workers_.at(*id).calls.size() == options_.concurrency,
            "a call waits only if its worker has all it may have");
  }
  if (!waiting_.empty()) {
    require(count(WorkerPhase::standby) == 0 || (slots_taken() == options_.max_workers && idle_workers() == 0),
            "a module waits only if no worker is ready for it or no slot can be had");
  }
  if (!fork_failed_at_) {
    require(count(WorkerPhase::starting) + count(WorkerPhase::standby) >= wanted_workers(),
            "as many workers are there or asked for as are wanted");
  }
}

// What the scheduler says of itself is what came of its decisions.
void Simulation::check_views() {
  std::size_t open = 0;
  for (const auto& [id, call] : calls_) {
    if (!call.abandoned) ++open;
    require(scheduler_.is_queued(id) == !call.worker, "is_queued() tells whether a call waits for a worker");
    require(!call.worker || scheduler_.is_on(id, *call.worker), "is_on() tells where a call is");
  }
  require(scheduler_.open_calls() == open, "open_calls() counts the calls that somebody waits for");
  const auto views = scheduler_.workers();
  require(views.size() == workers_.size(), "workers() has all workers and no others");
  auto own = workers_.begin();
  for (const auto& [id, view] : views) {
    const Worker& worker = own->second;
    require(id == own->first && view.phase == worker.phase && view.module == worker.module &&
                view.calls_in_flight == worker.calls.size() && view.calls_done == worker.calls_done,
            "a worker's view tells what it is up to");
    ++own;
  }
}

}  // namespace holdfast::supervisor::testing
