// A deterministic simulation of the scheduler. A world of clients, modules, workers and a clock, all driven by one
// random number generator, passes events to a Scheduler, carries out its decisions, and checks after each event what
// scheduler.h promises. The same seed gives the same history.
//
// The world records the events and decisions. It does not implement the scheduler's rules a second time: it checks each
// promise by itself, as far as it is visible from outside. It does not use doctest, so that longer runs and fuzz
// targets can use it too.
//
//   supervisor_scheduler_simulation.cc         the steps of the world
//   supervisor_scheduler_simulation_events.cc  the events that the scheduler gets
//   supervisor_scheduler_simulation_decided.cc the scheduler's decisions, and whether they are allowed
//   supervisor_scheduler_simulation_rules.cc   what must hold after each event
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/scheduler/scheduler.h"

namespace holdfast::supervisor::testing {

// The number of a call, a worker or a module in the history.
std::uint64_t number(auto id) { return static_cast<std::uint64_t>(id); }

// A broken rule, and the end of the history that led to it.
struct BrokenRule {
  std::string rule;
  std::vector<std::string> history;
};

// Counts what a run came across, to check that runs come across everything.
struct SimulationCounts {
  std::map<std::string, std::uint64_t> decisions;  // by kind: "kill evicted"
  std::map<std::string, std::uint64_t> ends;       // of calls, by kind: "answered"
  std::uint64_t calls = 0;
};

class Simulation {
 public:
  enum class History { none, kept };

  explicit Simulation(std::uint64_t seed, History history = History::none);

  // Makes `steps` random steps, then lets the world behave until everything is finished. Returns nullopt if all rules
  // held. May be called once. If the scheduler itself finds a rule broken, it aborts the process.
  std::optional<BrokenRule> run(std::size_t steps);

  const SimulationCounts& counts() const { return counts_; }

 private:
  static constexpr std::uint64_t kQuarantine = 0x100;

  struct Call {
    ModuleId module{};
    Caller caller;
    TimePoint deadline{};
    bool idempotent = false;
    std::optional<WorkerId> worker;  // nullopt: the call waits
    std::uint64_t number = 0;        // on the worker: 1, 2, 3, …
    std::size_t retries = 0;
    bool came_back = false;    // the call waits because its worker was lost
    bool was_overdue = false;  // the scheduler said so while the call was on a worker
    bool abandoned = false;
    TimePoint give_up_at{};  // once abandoned: when its worker must have given it up
  };

  struct Worker {
    WorkerPhase phase = WorkerPhase::starting;
    std::optional<ModuleId> module;  // or its quarantine
    bool has_slot = false;
    bool load_failed = false;
    bool kept_others_waiting = false;  // others waited for its slot when it began to be stopped
    std::vector<CallId> calls;         // in the order of their dispatch
    std::uint64_t given = 0;
    std::uint64_t started = 0;       // in reality
    std::uint64_t told_started = 0;  // what the scheduler was told, at most `given`
    Duration cpu_time{};
    std::uint64_t calls_done = 0;
    std::vector<Caller> answered;  // the owners of the answered calls
    bool draining = false;
    TimePoint drain_due{};  // when it becomes overdue while it drains and others wait
    bool retiring = false;
    TimePoint assigned_at{};
    TimePoint slice_end{};         // counted from its load
    TimePoint latest_slice_end{};  // with the new slice of a worker that stopped draining
    TimePoint idle_since{};
    bool lies = false;      // about what it started and which call is guilty
    bool stubborn = false;  // ignores cancellations

    bool holds_module() const { return phase == WorkerPhase::loading || phase == WorkerPhase::ready; }
    bool takes_calls() const { return holds_module() && !draining && !retiring; }
    bool is_idle() const { return phase == WorkerPhase::ready && calls.empty(); }
  };

  struct Spent {
    std::map<ClientId, Duration> of_client;
    std::map<UserId, Duration> of_user;
  };

  // A module, or a module's quarantine, which has an id of its own. The quarantine has only settings, a claim and a
  // source: a client's calls of a function wait in one order, whichever part they wait for.
  struct Module {
    ModuleSettings settings;
    std::map<std::pair<ClientId, FunctionId>, std::deque<CallId>> queues;  // no queue in it is empty
    std::size_t queued = 0;
    // The cost of calls since the last time that none waited; and for each waiting client, that cost at the time when
    // it was last served or began to wait.
    Spent spent;
    std::map<ClientId, Spent> spent_before;
    bool fetching = false;
    bool source_is_stale = false;  // only while `fetching`
    bool claims = false;           // its source is there, and it waits for a slot
    bool claim_is_first = false;   // no worker of the module takes calls
    std::uint64_t place = 0;       // in the queue of modules without a worker; 0: none
    // The earliest place that it may have: a quarantine can get a claim and lose it to the clean part within one event.
    std::uint64_t earliest_place = 0;
    HoldOff hold_off;
    std::optional<TimePoint> held_off_until;  // the latest time that the scheduler named
    Offences offences;
    TimePoint no_worker_before{};    // only of a quarantine
    std::set<ClientId> were_guilty;  // at any time, for any function
    Estimate load_time;
  };

  // --- the world's steps
  void step();
  void arrive();
  void cancel();
  void finish_fork();
  void finish_source();
  void finish_load();
  void work();
  void answer();
  void die_at_random();
  void bury();
  void stop_some_worker();
  void replace_worker();
  void change_module();
  void pass_time();
  void tick();
  void settle();

  // --- events put to the scheduler (…_events.cc)
  void lose(WorkerId worker);
  void fail_load(WorkerId worker);
  void answer_call(CallId call);
  void abandon(CallId call, const char* end);
  void stop(WorkerId worker);
  void tell_progress(WorkerId worker);
  void take_back(WorkerId worker);

  // Passes the event to the scheduler, which appends its decisions, and carries them out. The world's records already
  // include the event.
  template <typename Event>
  void put(Event event);

  // --- decisions carried out (…_decided.cc)
  void carry_out(const Decisions& decisions);
  void carry_out(const ForkWorker& fork);
  void carry_out(const FetchSource& fetch);
  void carry_out(const LoadModule& load);
  void carry_out(const DispatchCall& dispatch);
  void carry_out(const LookAtProgress& look);
  void carry_out(const TakeCallsBack& take);
  void carry_out(const DrainWorker& drain);
  void carry_out(const DrainOverdue& overdue);
  void carry_out(const KillWorker& kill);
  void carry_out(const CallOverdue& overdue);
  void carry_out(const CancelOverdue& late);
  void refuse(CallId call, const RefuseCall& refused);
  void check_eviction(const KillWorker& kill, const Worker& victim) const;
  void check_turn(Module& module, const Call& call);
  void see_who_stopped_draining();
  void see_who_took_over(const Decisions& decisions);
  void take_over(ModuleId part);
  void see_who_is_too_many(const Decisions& decisions);

  // --- what is known
  void end(CallId call, const std::string& how);
  void enqueue(CallId id, Call& call);
  enum class Because { worker_was_lost, taken_back };
  void requeue(CallId id, Call& call, Because why);
  void dequeue(CallId id, const Call& call);
  void end_queued(ModuleId part, const std::vector<CallId>& ended);
  void leave(Worker& worker);
  bool keeps_others_waiting(const Worker& worker) const;
  void file_claim(ModuleId id);
  void renew_claim(ModuleId id);
  void fail(ModuleId id);
  static ModuleId quarantine_of(ModuleId module) { return ModuleId{number(module) | kQuarantine}; }
  static ModuleId main_of(ModuleId part) { return ModuleId{number(part) & ~kQuarantine}; }
  static bool is_quarantine(ModuleId part) { return main_of(part) != part; }
  static ModuleId other_part(ModuleId part) { return is_quarantine(part) ? main_of(part) : quarantine_of(part); }
  ModuleView view(ModuleId part) const;
  static constexpr std::uint64_t kFunctions = 2;
  static std::pair<ClientId, FunctionId> queue_of(const Call& call) {
    return {call.caller.client, call.caller.function};
  }
  static UserId user_of(ClientId client) { return UserId{static_cast<uid_t>(number(client) % 2)}; }
  bool is_guilty(ModuleId module, const Caller& caller) const;
  std::optional<TimePoint> paused_until(ModuleId module, const Caller& caller) const;
  bool has_its_share(const Worker& worker, const Caller& caller) const;
  bool may_have_its_share(ModuleId part, const Caller& caller) const;
  bool is_blocked(ModuleId part) const;
  ModuleId claiming_part(ModuleId module) const;
  ModuleId part_of(const LoadModule& load) const;
  void note_guilty(ModuleId module);
  void blame(const Worker& worker, const WorkerLoss& loss);
  std::size_t workers_with_slot(ModuleId module) const;
  std::size_t workers_that_take_calls(ModuleId module) const;
  std::size_t slots_taken() const;
  std::size_t count(WorkerPhase phase) const;
  bool must_claim(ModuleId id) const;
  bool is_kept_warm(const Worker& worker) const;
  std::size_t kept_warm() const;
  double share(ModuleId id, std::size_t more) const;
  std::size_t queued_of(ClientId client) const;
  std::size_t queued() const;

  // --- what must hold (…_rules.cc)
  void check();
  void check_queues() const;
  void check_pool() const;
  void check_no_work_is_left() const;
  void check_due(bool after_tick) const;
  std::optional<TimePoint> first_due() const;
  std::optional<TimePoint> first_room_due() const;
  void check_views() const;
  void check_calls() const;
  void check_all_is_finished() const;
  void require(bool condition, const char* rule) const;

  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  std::uint64_t from_to(std::uint64_t least, std::uint64_t most) { return least + below(most - least + 1); }
  bool one_in(std::uint64_t n) { return below(n) == 0; }
  // Whether the world makes a mistake now, with a probability of 1/n; never once it behaves.
  bool mishap(std::uint64_t n) { return !behaves_ && one_in(calm_ ? 10 * n : n); }
  ModuleId some_module() { return ModuleId{'a' + std::min(below(module_count_), below(module_count_))}; }
  template <typename Filter>
  std::optional<WorkerId> pick_worker(Filter filter);
  template <typename... Values>
  void note(fmt::format_string<Values...> format, Values&&... values) {
    if (keep_history_ == History::kept) add_to_history(fmt::format(format, std::forward<Values>(values)...));
  }
  void add_to_history(const std::string& line);

  SchedulerOptions random_options();
  ModuleSettings random_settings(std::size_t most_min_warm);

  std::mt19937_64 random_;
  const SchedulerOptions options_;
  Scheduler scheduler_;
  TimePoint now_{std::chrono::seconds(1000)};
  std::uint64_t module_count_ = 1;
  std::uint64_t client_count_ = 1;
  bool calm_ = false;                   // failures are rare, so that the pool is mostly full and shared
  bool behaves_ = false;                // the world makes no more mistakes: the end of a run
  bool renewing_ = false;               // the standbys are being replaced
  std::optional<ModuleId> configured_;  // in this event

  std::map<CallId, Call> calls_;  // neither answered nor forgotten
  std::map<WorkerId, Worker> workers_;
  std::map<ModuleId, Module> modules_;
  std::deque<std::function<void()>> further_;  // reactions of the world, after all decisions are carried out
  std::uint64_t last_call_ = 0;
  std::uint64_t last_place_ = 0;
  std::uint64_t steps_ = 0;
  std::uint64_t checks_ = 0;
  WorkerId last_worker_{};
  std::optional<TimePoint> no_fork_before_;

  SimulationCounts counts_;
  const History keep_history_;
  std::deque<std::string> history_;
};

template <typename Event>
void Simulation::put(Event event) {
  Decisions decisions;
  event(decisions);
  carry_out(decisions);
}

}  // namespace holdfast::supervisor::testing
