// Decides which worker processes exist, which module each holds and which calls it is given. Pure: no sockets, no
// clock, no processes. Events and the time go in; decisions come out, in the order in which they must be carried out.
//
// The pool
//   - A worker hosts one module for its whole life. At most `max_workers` workers hold a module: each of them has a
//     slot.
//   - A module with calls and no worker that takes them claims a slot. Claims are served first come, first served. If a
//     module's calls end while it waits, for example because their deadlines pass, it keeps its place for when it is
//     called again. A module that has a worker claims a further one, up to its max_instances and the machine's cores,
//     when its queue takes longer than a start. Such claims come after those of modules without a worker.
//   - When all slots are taken, the idle worker is evicted whose loss costs least: load time, or 5 ms if that is more,
//     divided by idle time. A worker that has been idle for less time than it took to load is not evicted before its
//     slice is over; otherwise callers that ask again and again could make two modules drive each other out.
//   - If no worker is idle, a worker drains of the module with the most instances for its weight; of these workers, the
//     one whose user holds the most slots alone; of these, the one whose slice was over first. It gets no more calls,
//     and its slot is passed on when it has answered the calls that it has. A slice is `slice` times the module's
//     weight and begins when the module is loaded; no worker is drained before its slice is over. If its own module's
//     claim comes first in the meantime, the worker stops draining instead.
//   - A worker that drains for longer than `waiting_grace` while others wait is reported as overdue, so that it can be
//     ended if its calls only wait. After kGracesOfWorking such periods it must be ended in any case.
//   - Workers that a module's min_warm keeps are neither evicted nor drained.
//   - Standby workers without a module are kept ready: more of them, the more cold starts there were lately.
//
// The calls
//   - A module's calls wait in its queue, which gives first users and then each user's clients the same share, measured
//     by what their calls cost: CPU time, and for a call that killed its worker the time to replace it. A worker is
//     given at most `concurrency` calls at a time, and has no more calls ahead (given and not started) than it will
//     start within a few milliseconds: calls in the queue can still go to another worker, wait for their share, or be
//     ended.
//   - No user and no client has all of a worker's places if `concurrency` is eight or more (place_shares.h): a client
//     that has its share waits, and others are served before it.
//   - If calls take longer than expected, those that the worker has not started are taken back. After that the worker
//     gets one call ahead, and one more for each call that is quick.
//   - Calls that a lost worker had not started are run again. A call that it had started is run again if it is
//     idempotent, not to blame and in time, at most `max_retries` times. A call that is run again goes to the front of
//     its client's queue.
//   - A call is not given to a worker once its deadline has passed.
//   - A module that fails again and again, through no call's fault, is held off (hold_off.h): new calls are refused,
//     and those that wait go on waiting.
//
// The quarantine
//   - A call that kills its worker is its owner's failure, not its module's (offences.h). From then on the owner's
//     calls of that function wait in a queue of their own and are given to a worker of their own, the module's
//     quarantine. So no worker that serves clean owners dies of an owner that is known to be guilty. A module has at
//     most one quarantine worker, in addition to max_instances. The quarantine competes for slots like a module of its
//     own, but no worker of its module drains for it.
//   - A paused owner's calls wait in the quarantine until the pause is over, or are refused if their deadlines are
//     before that. A pause begins with a kill, if the owner's kills came in a row.
//   - If a quarantine's worker dies of a call while others wait for a slot, the quarantine gets no new worker for some
//     multiple of what that cost (OffenceOptions::pause_for_others).
//   - One claim of a module at a time is served: that of the quarantine if it has no worker and the clean part has one,
//     else that of the clean part.
//
// A call is in two ledgers: here, in Scheduler::Call, and with the supervisor (supervisor/open_call.h). The scheduler
// is pure and keeps what it decides by: whose call it is, its deadline, where it waits or runs. The supervisor keeps
// what must be sent and answered: the client, the payload, what the call has used. Between two events a call is in both
// ledgers or in neither.
//
// Time points are the caller's, and must not go back from one event to the next. Not thread-safe. An unknown module is
// added, with the settings of the options. An unknown call or worker, or an impossible event (a worker that is forked
// twice), is a broken invariant and aborts the process.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

#include "supervisor/scheduler/call_queue.h"
#include "supervisor/scheduler/estimates.h"
#include "supervisor/scheduler/hold_off.h"
#include "supervisor/scheduler/ids.h"
#include "supervisor/scheduler/module_settings.h"
#include "supervisor/scheduler/offences.h"
#include "supervisor/scheduler/place_shares.h"

namespace holdfast::supervisor {

using TimePoint = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;

struct SchedulerOptions {
  std::size_t max_workers = 1;   // at least 1
  std::size_t standby = 1;       // workers kept ready without a module, at least; 0: none
  std::size_t max_standby = 64;  // the same, at most
  std::size_t cores = 1;         // at least 1; more instances of one module than this make nothing faster
  // How many calls may wait: of one client, and of all. (Of one module: ModuleSettings::queue_limit.)
  std::size_t client_queue_limit = 1024;
  std::size_t total_queue_limit = 100'000;
  // How long a module of weight 1 keeps its slot while others wait for one. Switching costs a few milliseconds.
  Duration slice = std::chrono::milliseconds(200);
  // How long a draining worker may have calls that only wait, while others wait for its slot.
  Duration waiting_grace = std::chrono::seconds(1);
  // A worker that has not confirmed after this time that it gave up a call is reported; see CancelOverdue. Must be
  // longer than ipc::kCancelGrace, the time that a worker itself gives to functions that clean up: a worker that waits
  // for these is not stuck.
  Duration cancel_grace = std::chrono::seconds(2);
  // How long to wait after a failed fork before the next one.
  Duration fork_retry = std::chrono::milliseconds(100);
  // How long after a standby was given a module a new standby is made in its place. Making one sooner would take CPU
  // time from the call that the worker was given and that a client waits for.
  Duration replenish_after{};
  HoldOffOptions hold_off{};
  OffenceOptions offences{};
  ModuleSettings module{};  // for modules that are not configured
};

// --- decisions -----------------------------------------------------------------------------------------------------

// Fork a worker. Report the outcome by worker_forked() or worker_fork_failed(), and its end by worker_lost().
struct ForkWorker {
  WorkerId worker;
};

// Get the module's source ready for a LoadModule. Report source_ready() or source_failed(). At most one source of a
// module is asked for at a time.
struct FetchSource {
  ModuleId module;
};

// Send the module to this worker. Calls may follow at once. Report worker_loaded() when the module is loaded, or
// load_failed().
struct LoadModule {
  WorkerId worker;
  ModuleId module;
};

struct DispatchCall {
  CallId call;
  WorkerId worker;
  Caller caller{};  // whose call it is
};

// Report by calls_started() how many calls the worker has started.
struct LookAtProgress {
  WorkerId worker;
};

// Calls that the worker was given wait behind others that take long. Take back those that it has not started, and
// report calls_taken_back().
struct TakeCallsBack {
  WorkerId worker;
};

// For information only: the worker gets no more calls for now, so that its slot can go to the module `for_module`.
struct DrainWorker {
  WorkerId worker;
  ModuleId for_module;
};

// The worker drains and has not finished within `waiting_grace`, or a further one, and another module waits for its
// slot. If its calls only wait, or if `has_had_its_time`, stop it and report worker_stopping() and worker_lost(). Else
// it goes on, and this decision comes again.
struct DrainOverdue {
  WorkerId worker;
  bool has_had_its_time;
};

// Kill this worker, which has no calls. Report worker_lost() when it is gone.
struct KillWorker {
  enum class Reason {
    evicted,     // a module waits for a slot, and losing this worker costs least
    slice_over,  // it has drained for a module that waits
    idle,        // it had no call for its idle timeout, or is a surplus standby
    retired,     // it must be replaced
  };
  WorkerId worker;
  Reason reason;
  // With `evicted`: why this worker was chosen.
  Duration idle_for{};
  Duration load_time{};
  std::size_t candidates = 0;
};

// The call's deadline has passed. Without a worker: it waited in the queue, or came too late; the scheduler has
// forgotten it, so answer it. With a worker: either call abandon() and answer the call, or stop the worker, whose loss
// then ends the call.
struct CallOverdue {
  CallId call;
  std::optional<WorkerId> worker;
};

// The worker has not confirmed within `cancel_grace` that it gave up an abandoned call. It may be busy with earlier
// calls, or stuck: stop it if it is found to be stuck. This decision comes again after each further `cancel_grace`.
struct CancelOverdue {
  CallId call;
  WorkerId worker;
};

// The call is not accepted; answer it with an error.
struct RefuseCall {
  enum class Reason { module_queue_full, client_queue_full, all_queues_full, held_off, owner_paused };
  Reason reason;
  Duration retry_after;        // until there is likely room, the module is tried again, or the pause is over
  unsigned kills = 0;          // with `owner_paused`: how many workers the owner's calls killed lately
  bool of_quarantine = false;  // with `module_queue_full`: it is the quarantine's queue
};

using Decision = std::variant<ForkWorker, FetchSource, LoadModule, DispatchCall, LookAtProgress, TakeCallsBack,
                              DrainWorker, DrainOverdue, KillWorker, CallOverdue, CancelOverdue>;
using Decisions = std::vector<Decision>;

// --- events --------------------------------------------------------------------------------------------------------

struct ArrivedCall {
  CallId id;
  ModuleId module;
  Caller caller;
  TimePoint deadline;
  bool idempotent = false;
};

// How a worker ended.
struct WorkerLoss {
  std::uint64_t started = 0;  // how many of the calls given to it the worker had started; calls start in order
  CallId guilty{};            // the call that is to blame; CallId{}: none is known
  // Which call was on the CPU according to the worker's page, if that call is open, and the caller of that call, open
  // or answered; nullopt: unknown.
  CallId seen_call{};
  std::optional<Caller> seen{};
  // Which call's functions were on the CPU according to the worker's fatal report, and their caller. If that caller is
  // another client, one has set off what the other had begun: both are blamed if they are of one user, else none is.
  CallId told_call{};
  std::optional<Caller> told{};
  // The worker ended because of what ran in it, and not because of the operator, the supervisor or the zygote. The
  // owner of the guilty call answers for that. Without a guilty call, the module does, if the worker had answered no
  // call.
  bool own_fault = false;
  Duration time{};  // how long the guilty call had been on the CPU when the worker ended
};

// Calls that were taken back from a worker.
struct TakenBack {
  std::vector<CallId> queued;     // they wait again, or their deadlines have passed and CallOverdue follows
  std::vector<CallId> abandoned;  // no client waits for them; they are forgotten
  std::vector<CallId> ended;      // they cannot be run again (call_streamed()); forgotten, answer them
};

// A call that the scheduler has forgotten and that must be answered.
struct EndedCall {
  CallId call;
  enum class State { not_started, started, abandoned } state;
};

// --- views ---------------------------------------------------------------------------------------------------------

enum class WorkerPhase {
  starting,  // a fork was asked for
  standby,   // forked, no module
  loading,   // a module was sent to it
  ready,     // the module is loaded
  leaving,   // killed or being stopped: gets no more calls
};

struct WorkerView {
  WorkerPhase phase;
  std::optional<ModuleId> module;
  bool is_quarantine;  // it serves guilty owners only
  bool takes_calls;    // false: it drains, retires or leaves, or has no module
  std::size_t calls_in_flight;
  std::uint64_t calls_done;
};

struct ModuleView {
  std::size_t queued = 0;
  std::size_t paused = 0;  // of the queued ones, calls of paused owners
  std::size_t calls_in_flight = 0;
  std::size_t instances = 0;  // workers that hold the module and are not leaving
  std::optional<TimePoint> held_off_until;
  bool claims_slot = false;
  bool needs_source = false;  // the source must stay available: a slot is claimed, or a worker is loading
};

struct PoolView {
  std::size_t slots_taken = 0;
  std::size_t starting = 0;
  std::size_t standby = 0;
  std::size_t standby_target = 0;
  std::size_t waiting_modules = 0;  // modules that wait and have no worker
  std::size_t queued = 0;           // calls
};

class Scheduler {
 public:
  // For how many times `waiting_grace` a worker whose calls use the CPU may drain.
  static constexpr int kGracesOfWorking = 10;

  explicit Scheduler(const SchedulerOptions& options);

  // All functions with a parameter `out` append what must be done to it.

  // Starts the standby workers. To be called once, when workers can be forked.
  void start(TimePoint now, Decisions& out);

  // From now on the module has these settings; before this it had those of the options. Surplus workers are retired.
  void configure(ModuleId module, const ModuleSettings& settings, TimePoint now, Decisions& out);

  // Lowers max_standby to `most` if that is less.
  void bound_standbys(std::size_t most) { options_.max_standby = std::min(options_.max_standby, most); }

  // From now on at most `most` workers (but at least 1) hold a module; nullopt: max_workers. Surplus workers go when
  // they are idle and another module waits, or when they are retired.
  void bound_workers(std::optional<std::size_t> most, TimePoint now, Decisions& out);

  // A new call. Returns nullopt if it is accepted (or its deadline has passed: CallOverdue follows); else the caller
  // answers it with an error, and the scheduler does not know it.
  std::optional<RefuseCall> call_arrived(const ArrivedCall& call, TimePoint now, Decisions& out);

  // The worker answered the call, abandoned or not. `cpu_time` is what the call cost the worker.
  void call_answered(CallId call, Duration cpu_time, TimePoint now, Decisions& out);

  // A call has cost the worker this much in addition to what call_answered() reports. Either the call goes on, or it is
  // no longer on the worker and `left_by` is the caller that left something running.
  void call_ran(WorkerId worker, CallId call, const Caller& left_by, Duration cpu_time);

  // Part of the call's result was passed on to its client: the call has started, and is not run again.
  void call_streamed(CallId call);

  // The worker reports that it has started `count` of the calls that it was given. A higher `count` than is possible
  // counts as the highest that is possible. `cpu_time` is the CPU time that the worker has used in its whole life, as
  // of the kernel's last tick; nullopt: unknown.
  void calls_started(WorkerId worker, std::uint64_t count, std::optional<Duration> cpu_time, TimePoint now,
                     Decisions& out);

  // Calls of this worker were taken back, as TakeCallsBack asked: those numbered after `started` up to `last`, counted
  // in the order in which the worker was given them. The worker will not run or answer them. It must not be leaving.
  TakenBack calls_taken_back(WorkerId worker, std::uint64_t started, std::uint64_t last, TimePoint now, Decisions& out);

  // No client waits for the call any more: its client cancelled it, left, or has its answer. Returns the worker that
  // has the call and must be told; the call's place there is free only after call_answered(). nullopt: no worker had
  // the call, and it is forgotten.
  std::optional<WorkerId> abandon(CallId call, TimePoint now, Decisions& out);

  // The source that FetchSource asked for is ready.
  void source_ready(ModuleId module, TimePoint now, Decisions& out);
  // The source that FetchSource asked for cannot be had. Counts as a failure of the module, unless `fault` is
  // of_others. Returns the calls that have no worker to serve them; they are forgotten, answer them.
  enum class Fault { of_module, of_others };
  std::vector<CallId> source_failed(ModuleId module, TimePoint now, Decisions& out, Fault fault = Fault::of_module);
  // The module may have been repaired: its hold-off ends, and its failures do not count any more.
  void end_hold_off(ModuleId module, TimePoint now, Decisions& out);
  // The module's source has changed: its workers are retired, its hold-off ends, and offences are forgotten.
  void source_changed(ModuleId module, TimePoint now, Decisions& out);

  void worker_forked(WorkerId worker, TimePoint now, Decisions& out);
  void worker_fork_failed(WorkerId worker, TimePoint now, Decisions& out);
  // Workers can be forked but are of no use: no further fork for `fork_retry`.
  void forks_fail(TimePoint now) { fork_again_ = now + options_.fork_retry; }
  void worker_loaded(WorkerId worker, TimePoint now, Decisions& out);

  // The worker is being stopped and gets no more calls. If it has calls, its slot stays taken until worker_lost().
  // `suspect` is the call that it is stopped for, if any; `left_by` is the caller of an answered call that it is
  // stopped for. Until worker_lost() tells whether that call is to blame, no worker is given a call of the same
  // function by the same client; the client's other calls may wait behind those.
  void worker_stopping(WorkerId worker, CallId suspect, const std::optional<Caller>& left_by, TimePoint now,
                       Decisions& out);

  // Retires the worker: it gets no more calls, and is killed once it has answered those that it has. If its module has
  // calls, it claims a slot for another worker.
  void retire(WorkerId worker, TimePoint now, Decisions& out);

  // Retires all workers that hold the module, as retire() does.
  void retire_all(ModuleId module, TimePoint now, Decisions& out);

  // Kills all standby workers, which have no calls, and has others made.
  void renew_standbys(TimePoint now, Decisions& out);

  // The worker is gone. Calls that are run again go back to their queue. Returns the other calls that were on it, also
  // abandoned ones; they are forgotten, answer those that are not abandoned.
  std::vector<EndedCall> worker_lost(WorkerId worker, const WorkerLoss& loss, TimePoint now, Decisions& out);

  // The module cannot be loaded on this worker. Counts as a failure of the module, once for each worker, unless `fault`
  // is of_others. Returns the worker's calls, also abandoned ones, and the calls that wait, unless the module has
  // another instance; they are forgotten, answer them. The worker is leaving from now on.
  std::vector<CallId> load_failed(WorkerId worker, TimePoint now, Decisions& out, Fault fault = Fault::of_module);

  // To be called at or after next_wakeup().
  void tick(TimePoint now, Decisions& out);

  // When tick() next has something to do; nullopt: only after a further event.
  std::optional<TimePoint> next_wakeup() const;

  // Forgets a module without calls and workers. Returns false, and does nothing, if it has any, or has a claim to a
  // slot.
  bool forget(ModuleId module);

  // How many calls were accepted and neither answered nor forgotten, without abandoned ones.
  std::size_t open_calls() const { return open_calls_; }
  // A counter that rises whenever a worker that may have calls gets no further ones because it drains or is retired.
  std::uint64_t withdrawals() const { return withdrawals_; }
  WorkerView view(WorkerId worker) const;
  std::vector<std::pair<WorkerId, WorkerView>> workers() const;  // in the order of their ids
  ModuleView view(ModuleId module, TimePoint now) const;         // of an unknown module: empty
  // The view of one part of the module.
  enum class Part { clean, quarantine };
  ModuleView view(ModuleId module, Part part, TimePoint now) const;
  PoolView pool(TimePoint now) const;
  // The calls that the worker was given and has not answered, also abandoned ones.
  std::vector<CallId> calls_on(WorkerId worker) const;
  // Whether the worker was given the call and has not answered it, abandoned or not.
  bool is_on(CallId call, WorkerId worker) const;
  // Whether the call waits for a worker.
  bool is_queued(CallId call) const;
  // Whether the call, which must be known, belongs to the module's quarantine.
  bool is_in_quarantine(CallId call) const { return calls_.at(call).module->origin != nullptr; }

 private:
  struct Worker;
  struct Module;

  struct Call {
    Module* module = nullptr;  // or its quarantine
    Caller caller;
    Worker* worker = nullptr;  // null: it is in its module's queue
    PlaceShares::Place place;  // while it is with a worker
    TimePoint deadline;
    bool idempotent = false;
    bool streamed = false;  // part of the result was passed on to its client
    bool abandoned = false;
    std::size_t retries = 0;
    // In timers_, if timer_set: its deadline, or if it is abandoned, when its worker must have given it up.
    std::multimap<TimePoint, CallId>::iterator timer;
    bool timer_set = false;
  };

  enum class Claim { none, held_off, fetching, waiting };

  // A module, or its quarantine: the same module again, for guilty owners. Each of these two parts has workers, a queue
  // and a claim of its own.
  struct Module {
    ModuleId id{};
    Module* origin = nullptr;            // quarantine only: the module
    std::unique_ptr<Module> quarantine;  // module only; null until an owner is guilty
    std::unique_ptr<Offences> offences;  // module only; null: no owner is guilty
    TimePoint no_worker_before{};        // quarantine only
    // Module only: the callers for whose calls workers are being stopped.
    std::map<WorkerId, Caller> suspects;
    ModuleSettings settings;
    CallQueue queue;
    std::vector<Worker*> workers;  // with a slot, in the order in which they got it
    std::size_t processes = 0;     // workers that have its code, with or without a slot
    std::size_t instances_that_take_calls() const;
    Claim claim = Claim::none;
    bool claim_is_first = false;   // with Claim::waiting: it is in first_claims_, else in further_claims_
    std::uint64_t place = 0;       // its place in first_claims_, kept until it has a worker; 0: none
    bool source_is_stale = false;  // with Claim::fetching: what is being fetched is already outdated
    HoldOff hold_off;              // module only
    Estimate cpu_per_call;
    Estimate load_time;  // module only

    Module& main() { return origin == nullptr ? *this : *origin; }
    const Module& main() const { return origin == nullptr ? *this : *origin; }
  };

  struct GivenCall {
    CallId id;
    std::uint64_t number;  // 1, 2, 3, …
  };

  struct Worker {
    WorkerId id{};
    WorkerPhase phase = WorkerPhase::starting;
    Module* module = nullptr;  // never changes once it is set
    bool has_slot = false;
    std::vector<GivenCall> calls;  // in the order given, also abandoned ones
    PlaceShares places;
    std::uint64_t given = 0;
    std::uint64_t started = 0;  // started, or taken back
    std::uint64_t calls_done = 0;
    // How many calls it may have ahead, after calls were taken back from it.
    std::size_t ahead = kNoBound;
    bool is_watched = false;  // is in watched_
    // A mark: how many calls the worker had been given at some moment, and the CPU time that it had used by then. When
    // it has started all of these calls, a new mark is set; until then, the CPU time used since the mark went to calls
    // before them.
    std::uint64_t mark = 0;
    Duration cpu_at_mark{};
    bool draining = false;
    TimePoint drains_since{};  // while it drains
    TimePoint drain_due{};     // when it is next reported as overdue
    bool retiring = false;
    bool load_failed = false;
    bool kept_others_waiting = false;  // others waited for its slot when it was stopped or ended
    TimePoint assigned_at{};           // loading began
    TimePoint slice_end{};             // set when it is ready
    TimePoint idle_since{};            // since when it has no calls or is on standby

    bool holds_module() const { return phase == WorkerPhase::loading || phase == WorkerPhase::ready; }
    bool takes_calls() const { return holds_module() && !draining && !retiring; }
    bool is_idle() const { return phase == WorkerPhase::ready && calls.empty(); }
    static constexpr std::size_t kNoBound = SIZE_MAX;
    std::uint64_t not_started() const { return given - started; }
    // Whether it has more calls to start than the next one.
    bool is_behind() const { return phase == WorkerPhase::ready && not_started() > 1; }
  };

  // What a kill by an owner cost a module.
  struct Bill {
    Caller caller;
    Duration cost;
  };

  Call& call_of(CallId id);
  Worker& worker_of(WorkerId id);
  const Worker& worker_of(WorkerId id) const;
  Module& module_of(ModuleId id);
  void settle(Module& module, TimePoint now, Decisions& out);

  // --- guilty owners (scheduler_quarantine.cc)
  static ModuleSettings settings_of_quarantine(ModuleSettings settings);
  Module& quarantine_of(Module& module);
  Module& part_for(Module& module, const Caller& caller);
  void move_calls(Module& from, Module& to, UserId user, const std::function<bool(const Caller&)>& which);
  void move_to_quarantine(Module& module, UserId user);
  void move_back(Module& module, UserId user);
  void forgive_all(Module& module);
  bool forget_old_offences(Module& module, TimePoint now);
  bool has_to_wait(Module& module, const Call& call, TimePoint now);
  static bool is_suspected(const Module& module, const Caller& caller);
  void end_suspicion(Module& module, WorkerId worker);
  std::optional<TimePoint> paused_until(const Module& module, const Caller& caller, TimePoint now) const;
  void pause(Module& quarantine, ClientId client, TimePoint until);
  void end_pauses(TimePoint now, Decisions& out);
  bool keeps_others_waiting(const Worker& worker) const;
  std::optional<Bill> blame(Worker& worker, const WorkerLoss& loss, TimePoint now);
  bool note_answer(Module& module, const Call& call, TimePoint now);

  // --- calls (scheduler_calls.cc)
  std::optional<RefuseCall::Reason> full_queue(const Module& module, ClientId client) const;
  std::optional<RefuseCall> refusal(const Module& module, const ArrivedCall& call, std::optional<TimePoint> paused,
                                    bool waits, TimePoint now) const;
  Duration time_to_drain(const Module& module) const;
  std::size_t window(const Module& module) const;
  Worker* worker_with_room(const Module& module) const;
  Worker* worker_with_room(const Module& module, const Caller& caller) const;
  template <typename Filter>
  Worker* first_with_room(const Module& module, const Filter& filter) const;
  std::optional<CallId> next_call(Module& module);
  void dispatch(Module& module, TimePoint now, Decisions& out);
  void give(CallId id, Call& call, Worker& worker, TimePoint now, Decisions& out);
  static void look_whether_late(Worker& worker, Duration cpu_time, Decisions& out);
  void watch_if_behind(Worker& worker, TimePoint now);
  void watch(Worker& worker, TimePoint now);
  void look_at_progress(Module& module, TimePoint now, Decisions& out);
  static bool holds_others_back(const Worker& worker);
  void look_at_all_progress(TimePoint now, Decisions& out);
  void enqueue(CallId id, Call& call);
  void requeue(CallId id, Call& call, CallQueue::Before before);
  void dequeue(CallId id, Call& call);
  void count_queued(ClientId client, int difference);
  void set_timer(CallId id, Call& call, TimePoint when);
  void clear_timer(Call& call);
  void forget_call(CallId id);
  std::vector<CallId> end_queued_calls(Module& module);
  void end_overdue(TimePoint now, Decisions& out);

  // --- the pool (scheduler_pool.cc)
  void update(Module& module, TimePoint now, Decisions& out);
  void renew_claim(Module& module, TimePoint now, Decisions& out);
  bool shares_claim(Module& module, TimePoint now);
  void take_over_claim(Module& module, Module& other);
  static Module& fetching_part(Module& module);
  bool wants_worker(const Module& module) const;
  void file_claim(Module& module);
  void drop_claim(Module& module);
  bool somebody_waits() const { return !first_claims_.empty() || !further_claims_.empty(); }
  // How many workers may hold a module.
  std::size_t slots() const { return std::min(options_.max_workers, most_workers_.value_or(options_.max_workers)); }
  void arrange(TimePoint now, Decisions& out);
  void assign_workers(TimePoint now, Decisions& out);
  bool resume_draining(Module& module, TimePoint now, Decisions& out);
  void assign(Worker& worker, Module& module, TimePoint now, Decisions& out);
  bool evict_idle_worker(const Module& claimant, TimePoint now, Decisions& out);
  void drain_for_claims(TimePoint now, Decisions& out);
  std::size_t slots_to_come(TimePoint now) const;
  bool drain_for(const Module& claimant, TimePoint now, Decisions& out);
  std::unordered_map<UserId, std::size_t> slots_by_user() const;
  std::optional<UserId> only_user_of(const Worker& worker) const;
  void look_at_drains(TimePoint now, Decisions& out);
  void check_drain_at(TimePoint when);
  Duration slice_of(const Module& module) const;
  bool is_kept_warm(const Worker& worker) const;
  TimePoint evictable_from(const Worker& worker) const;
  void check_room_at(TimePoint when);
  void became_idle(Worker& worker, TimePoint now, Decisions& out);
  void check_idle_at(TimePoint when);
  void retire_surplus(Module& module, TimePoint now, Decisions& out);
  void remove(Worker& worker, KillWorker decision, TimePoint now, Decisions& out);
  void set_leaving(Worker& worker);
  void free_slot(Worker& worker);
  void replenish(TimePoint now, Decisions& out);
  std::size_t standby_target(TimePoint now) const;
  void remove_idle(TimePoint now, Decisions& out);
  void end_hold_offs(TimePoint now, Decisions& out);
  void set_phase(Worker& worker, WorkerPhase phase);
  std::size_t count(WorkerPhase phase) const { return phase_counts_[static_cast<std::size_t>(phase)]; }

  void check() const;

  SchedulerOptions options_;
  std::unordered_map<ModuleId, Module> modules_;
  std::unordered_map<WorkerId, Worker> workers_;
  std::unordered_map<CallId, Call> calls_;  // must be destroyed before workers_: calls have places on workers
  std::multimap<TimePoint, CallId> timers_;
  std::deque<Module*> first_claims_;            // of modules without a worker that takes calls, by place
  std::deque<Module*> further_claims_;          // of modules that want one more worker
  std::multimap<TimePoint, Module*> held_off_;  // modules that would claim a slot if they were not held off
  // When the pauses of owners whose calls wait end.
  std::set<std::tuple<TimePoint, ModuleId, ClientId>> pauses_;
  // Workers to look at for progress: other calls wait for them to start what they have, or calls may have to be taken
  // back.
  std::vector<WorkerId> watched_;
  std::unordered_map<ClientId, std::size_t> queued_by_client_;
  std::array<std::size_t, 5> phase_counts_{};
  std::size_t slots_taken_ = 0;
  std::optional<std::size_t> most_workers_;  // set while memory is short
  std::size_t queued_ = 0;
  std::size_t open_calls_ = 0;
  std::uint64_t last_worker_ = 0;
  std::uint64_t last_place_ = 0;
  std::uint64_t withdrawals_ = 0;
  RecentRate cold_starts_;
  std::optional<TimePoint> idle_check_;      // when a worker may have been idle for too long
  std::optional<TimePoint> room_check_;      // when a worker may next be evicted or drained
  std::optional<TimePoint> drain_check_;     // when a draining worker may be overdue
  std::optional<TimePoint> progress_check_;  // when watched_ is looked at
  std::optional<TimePoint> fork_again_;      // forks failed: none before this time
  std::optional<TimePoint> replenish_at_;    // when a used-up standby is replaced
  bool started_ = false;
};

}  // namespace holdfast::supervisor
