// Decides which worker process exists, which module it holds and which call it is given. Pure: no sockets, no clock,
// no processes. Events and the time go in, decisions come out, in the order in which they are to be carried out.
//
// The pool
//   - A worker hosts one module for its whole life. At most `max_workers` workers hold a module: each has a slot.
//   - A module with calls and no worker that takes them claims a slot. Claims are served first come, first served; a
//     module whose calls end while it waits, because their time is over, say, keeps its place for when it is called
//     again. A module that has a worker claims a further one, up to its max_instances and the machine's cores, when its
//     queue is longer than a start is worth; such claims come after those of modules that have none.
//   - When all slots are taken, the idle worker goes whose loss costs least: load time, or 5 ms where that is less,
//     divided by time idle. A worker that is idle for less time than it took to load is not taken before its slice is
//     over, lest callers that ask again and again make two modules drive each other out.
//   - If none is idle, the worker drains whose module has the most instances for its weight, of these the one whose
//     user holds the most slots alone, and of these the one whose slice was over first: it gets no more calls, and when
//     it has answered those that it has, its slot goes on. A slice is `slice` times the module's weight, from the time
//     when it was loaded; nobody is drained before. When the claim of its own module comes first meanwhile, it stops
//     draining instead.
//   - A worker that drains for longer than `waiting_grace` while others wait is told as overdue, so that it can be
//     ended if its calls only wait; after kGracesOfWorking graces it is to be ended in any case.
//   - Workers that a module's min_warm keeps are neither evicted nor drained.
//   - Standby workers without a module are kept ready, the more, the more cold starts there were of late.
//
// The calls
//   - A module's calls wait in its queue, which gives first users and then each user's clients the same share by what
//     their calls cost: CPU time, and for a call that killed its worker the time to replace it. A worker is given at
//     most `concurrency` calls at a time, and of calls that it has not started no more than it will start within a few
//     milliseconds: what waits here can go elsewhere, wait its turn, or be ended.
//   - No user and no client has all of a worker's places where `concurrency` is eight or more (place_shares.h):
//     whoever has its share waits, and others are served before it.
//   - Where calls take longer than was expected, those that the worker has not started are taken back. It is then given
//     one call ahead, and one more for each call that is quick.
//   - Calls that a lost worker had not started are run again. One that it had started is run again if it is idempotent,
//     not to blame and in time, at most `max_retries` times. What is run again goes to the front of its client's queue.
//   - A call is not given to a worker once its deadline has passed.
//   - A module that fails again and again, through no call's fault, is held off (hold_off.h): calls are refused, and
//     those that wait go on waiting.
//
// The quarantine
//   - A call that kills its worker is its owner's failure, not its module's (offences.h). From then on the owner's
//     calls of that function wait in a queue of their own and are given to a worker of their own, the module's
//     quarantine. So no worker that serves clean owners dies of an owner that is known to be guilty. There is at most
//     one such worker for a module, besides max_instances; it competes for slots like a module of its own, but no
//     worker of its module drains for it.
//   - A paused owner's calls wait there until its pause is over, or are refused if their deadlines are before that. A
//     pause begins with a kill, when the owner's kills came in a row.
//   - When a quarantine's worker dies of a call while anybody else waits for a slot, the quarantine gets no other for
//     some times what that cost (OffenceOptions::pause_for_others).
//   - Of a module one claim at a time is served: the quarantine's where that has no worker and the clean part has one,
//     else the clean part's.
//
// Time points are the caller's; they never go back from one event to the next. Not thread-safe. Telling it of a call,
// worker or module that it does not know, or of an event that cannot be (a worker that is forked twice), is a broken
// invariant and aborts.
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

#include "supervisor/call_queue.h"
#include "supervisor/estimates.h"
#include "supervisor/hold_off.h"
#include "supervisor/ids.h"
#include "supervisor/module_settings.h"
#include "supervisor/offences.h"
#include "supervisor/place_shares.h"

namespace holdfast::supervisor {

using TimePoint = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;

struct SchedulerOptions {
  std::size_t max_workers = 1;   // at least 1
  std::size_t standby = 1;       // workers kept ready without a module, at least; 0: none ever is
  std::size_t max_standby = 64;  // and at most
  std::size_t cores = 1;         // at least 1: more instances of one module than this make nothing faster
  // Calls that wait: of one client, and of all. (Of one module: ModuleSettings::queue_limit.)
  std::size_t client_queue_limit = 1024;
  std::size_t total_queue_limit = 100'000;
  // How long a module of weight 1 keeps its slot while others wait for one. Switching costs a few milliseconds.
  Duration slice = std::chrono::milliseconds(200);
  // For how long a worker that drains may have calls that only wait, while others wait for its slot.
  Duration waiting_grace = std::chrono::seconds(1);
  // After this without a worker's word that it gave up a call, the delay is told; see CancelOverdue. Longer than the
  // time that a worker itself gives to functions that clean up (ipc::kCancelGrace): one that waits for them is not
  // stuck.
  Duration cancel_grace = std::chrono::seconds(2);
  // After a fork that failed, before the next is tried.
  Duration fork_retry = std::chrono::milliseconds(100);
  // From a worker's being given its module until others are made to stand by in its place: they would take the CPU from
  // the call that it was given, which somebody waits for.
  Duration replenish_after{};
  HoldOffOptions hold_off{};
  OffenceOptions offences{};
  ModuleSettings module{};  // of modules that are not configured otherwise
};

// --- what is to be done --------------------------------------------------------------------------------------------

// Fork a worker; tell its fate by worker_forked(), worker_fork_failed() or worker_lost().
struct ForkWorker {
  WorkerId worker;
};

// Have the module's source at hand for a LoadModule; tell source_ready() or source_failed(). One is asked for at a
// time.
struct FetchSource {
  ModuleId module;
};

// Send the module to this worker. Calls may follow at once; tell worker_loaded() when it is done.
struct LoadModule {
  WorkerId worker;
  ModuleId module;
};

struct DispatchCall {
  CallId call;
  WorkerId worker;
  Caller caller{};  // whose call it is
};

// Tell by calls_started() how many calls the worker has started.
struct LookAtProgress {
  WorkerId worker;
};

// Calls that the worker was given wait for others that take long. Take those back that it has not started; tell
// calls_taken_back().
struct TakeCallsBack {
  WorkerId worker;
};

// Nothing is to be done: the worker gets no more calls for now, so that its slot can go to the module `for_module`.
struct DrainWorker {
  WorkerId worker;
  ModuleId for_module;
};

// The worker drains, and has not come to an end within `waiting_grace`, or a further one; somebody waits for its slot.
// If its calls only wait, or if it has had its time, it is to be stopped: tell worker_stopping() and worker_lost(). If
// not, it goes on, and this is said again.
struct DrainOverdue {
  WorkerId worker;
  bool has_had_its_time;
};

// Kill this worker; no call is on it. Tell worker_lost() when it is gone.
struct KillWorker {
  enum class Reason {
    evicted,     // a module waits for its slot, and its loss costs least
    slice_over,  // it has drained for a module that waits
    idle,        // nobody called it for its idle timeout, or it is a standby too many
    retired,     // it is to be replaced
  };
  WorkerId worker;
  Reason reason;
  // Why it and no other, with `evicted`.
  Duration idle_for{};
  Duration load_time{};
  std::size_t candidates = 0;
};

// The call's time is over. It waited in the queue, or came too late (no worker): it is forgotten, answer it. Or it is
// on a worker: either abandon() it and answer, or stop the worker, whose loss then ends it.
struct CallOverdue {
  CallId call;
  std::optional<WorkerId> worker;
};

// The worker has not confirmed within `cancel_grace` that it gave up an abandoned call. It may be busy with calls
// before it, or stuck: whoever can tell stops a worker that is stuck. Said again after each further `cancel_grace`.
struct CancelOverdue {
  CallId call;
  WorkerId worker;
};

// The call is not taken on; answer it with an error.
struct RefuseCall {
  enum class Reason { module_queue_full, client_queue_full, all_queues_full, held_off, owner_paused };
  Reason reason;
  Duration retry_after;  // by when there is likely to be room; when the module is tried again; when the pause is over
  unsigned kills = 0;    // with `owner_paused`: how many workers died of the owner's calls lately
  bool of_quarantine = false;  // with `module_queue_full`: it is the quarantine's
};

using Decision = std::variant<ForkWorker, FetchSource, LoadModule, DispatchCall, LookAtProgress, TakeCallsBack,
                              DrainWorker, DrainOverdue, KillWorker, CallOverdue, CancelOverdue>;
using Decisions = std::vector<Decision>;

// --- what happens --------------------------------------------------------------------------------------------------

struct ArrivedCall {
  CallId id;
  ModuleId module;
  Caller caller;
  TimePoint deadline;
  bool idempotent = false;
};

// How a worker ended.
struct WorkerLoss {
  std::uint64_t started = 0;  // how many of the calls that it was given it had started; they start in order
  CallId guilty{};            // the call that is to blame; CallId{}: none is known to be
  // Which call was on the CPU by the worker's page, if it is open, and whose it was, open or answered. Nothing: it is
  // not known.
  CallId seen_call{};
  std::optional<Caller> seen{};
  // Which call's functions were, by its last words, and whose. If that is another client, one has set off what the
  // other had begun: both are blamed if they are of one user, else nobody.
  CallId told_call{};
  std::optional<Caller> told{};
  // It ended by what ran in it, as opposed to what the operator, the supervisor or the zygote did. The owner of the
  // guilty call answers for that; without one the module does, if the worker had answered nothing.
  bool own_fault = false;
  Duration time{};  // for how long the guilty call was on the CPU when the worker ended
};

// Calls that were taken back from a worker.
struct TakenBack {
  std::vector<CallId> queued;     // they wait again; or their time is over, which CallOverdue tells
  std::vector<CallId> abandoned;  // nobody waited for them: they are forgotten
  std::vector<CallId> ended;      // they cannot be run again (call_streamed()): they are forgotten, answer them
};

// A call that is forgotten and to be answered.
struct EndedCall {
  CallId call;
  enum class State { not_started, started, abandoned } state;
};

// --- what is known -------------------------------------------------------------------------------------------------

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
  bool is_quarantine;  // it serves guilty owners alone
  bool takes_calls;    // false: drains, retires or leaves, or has no module
  std::size_t calls_in_flight;
  std::uint64_t calls_done;
};

struct ModuleView {
  std::size_t queued = 0;
  std::size_t paused = 0;  // of these, calls of paused owners
  std::size_t calls_in_flight = 0;
  std::size_t instances = 0;  // workers that hold it and are not leaving
  std::optional<TimePoint> held_off_until;
  bool claims_slot = false;
  bool needs_source = false;  // it is to stay at hand: a slot is claimed, or a worker is loading it
};

struct PoolView {
  std::size_t slots_taken = 0;
  std::size_t starting = 0;
  std::size_t standby = 0;
  std::size_t standby_target = 0;
  std::size_t waiting_modules = 0;  // that have no worker
  std::size_t queued = 0;           // calls
};

class Scheduler {
 public:
  // For how many times `waiting_grace` a worker may drain whose calls use the CPU.
  static constexpr int kGracesOfWorking = 10;

  explicit Scheduler(const SchedulerOptions& options);

  // All events append what is to be done to `out`.

  // Brings the standby workers up; call once, when workers can be forked.
  void start(TimePoint now, Decisions& out);

  // From now on the module has these settings; before that, those of the options. Workers that are then too many are
  // retired.
  void configure(ModuleId module, const ModuleSettings& settings, TimePoint now, Decisions& out);

  // From now on no more standbys than this either.
  void bound_standbys(std::size_t most) { options_.max_standby = std::min(options_.max_standby, most); }

  // From now on no more workers than this are given a module; nothing: as many as max_workers. Those that are too many
  // go when they are idle and somebody waits, or when they are retired.
  void bound_workers(std::optional<std::size_t> most, TimePoint now, Decisions& out);

  // Nothing: it is taken on.
  std::optional<RefuseCall> call_arrived(const ArrivedCall& call, TimePoint now, Decisions& out);

  // The worker answered the call, whether it was still wanted or not. `cpu_time` is what the call cost it.
  void call_answered(CallId call, Duration cpu_time, TimePoint now, Decisions& out);

  // A call has cost the worker so much, besides what call_answered() says: it goes on, or it is not on the worker any
  // more and `left_by`, its caller, had left something to do.
  void call_ran(WorkerId worker, CallId call, const Caller& left_by, Duration cpu_time);

  // Part of what the call came to was passed on: it has been started, and is not run again.
  void call_streamed(CallId call);

  // The worker has started this many of the calls that it was given; a number that cannot be is bounded. `cpu_time` is
  // what it has used of the CPU in all, maybe at the kernel's last tick; nothing: it is not known.
  void calls_started(WorkerId worker, std::uint64_t count, std::optional<Duration> cpu_time, TimePoint now,
                     Decisions& out);

  // Calls of this worker were taken back, as TakeCallsBack said: those after `started`, up to `last`, in the order in
  // which it was given them. It will not run or answer them. The worker must not be leaving.
  TakenBack calls_taken_back(WorkerId worker, std::uint64_t started, std::uint64_t last, TimePoint now, Decisions& out);

  // Nobody waits for the call any more: its client cancelled it, left, or has its answer. Returns the worker that has
  // it, to be told; its place there is free only once call_answered() came. Without one the call is forgotten.
  std::optional<WorkerId> abandon(CallId call, TimePoint now, Decisions& out);

  // For a module of which FetchSource was said.
  void source_ready(ModuleId module, TimePoint now, Decisions& out);
  // Counts as a failure of the module, unless others are to blame. Returns the calls that have no worker to serve them;
  // they are forgotten, answer them.
  enum class Fault { of_module, of_others };
  std::vector<CallId> source_failed(ModuleId module, TimePoint now, Decisions& out, Fault fault = Fault::of_module);
  // The module may have been mended: it is not held off any more, and its failures do not count.
  void end_hold_off(ModuleId module, TimePoint now, Decisions& out);
  // The module's source is another from now on: its workers are retired, and it is not held off any more.
  void source_changed(ModuleId module, TimePoint now, Decisions& out);

  void worker_forked(WorkerId worker, TimePoint now, Decisions& out);
  void worker_fork_failed(WorkerId worker, TimePoint now, Decisions& out);
  // Workers can be forked, but not used: no further fork for a while.
  void forks_fail(TimePoint now) { fork_again_ = now + options_.fork_retry; }
  void worker_loaded(WorkerId worker, TimePoint now, Decisions& out);

  // The worker is being stopped: no more calls for it. If it has calls, its slot stays taken until worker_lost().
  // `suspect` is the call that it is stopped for, if any. Until worker_lost() tells whether that call is to blame, no
  // worker is given a call of the same function by the same client; the client's other calls may wait behind those.
  void worker_stopping(WorkerId worker, CallId suspect, const std::optional<Caller>& left_by, TimePoint now,
                       Decisions& out);

  // The worker is to be replaced by another: no more calls for it, and once it has answered those that it has, it is
  // killed. Its module claims a slot for another, if there are calls.
  void retire(WorkerId worker, TimePoint now, Decisions& out);

  // All workers that hold the module.
  void retire_all(ModuleId module, TimePoint now, Decisions& out);

  // The same for all workers on standby, of which none has calls.
  void renew_standbys(TimePoint now, Decisions& out);

  // The worker is gone. Calls that are run again go back to their queue; returns the others that were on it, abandoned
  // ones included: they are forgotten, answer them.
  std::vector<EndedCall> worker_lost(WorkerId worker, const WorkerLoss& loss, TimePoint now, Decisions& out);

  // The module on this worker cannot be loaded: a failure of the module, counted once for each worker. Returns the
  // worker's calls, abandoned ones included, and those that wait, unless the module has another instance; they are
  // forgotten, answer them. The worker is leaving from then on.
  std::vector<CallId> load_failed(WorkerId worker, TimePoint now, Decisions& out, Fault fault = Fault::of_module);

  // To be called at or after next_wakeup().
  void tick(TimePoint now, Decisions& out);

  // When tick() has something to do at the earliest; nothing: only after a further event.
  std::optional<TimePoint> next_wakeup() const;

  // Forgets a module that has no calls and no workers; false if it has, or waits for its source.
  bool forget(ModuleId module);

  // Calls that were neither answered nor forgotten, abandoned ones not counted.
  std::size_t open_calls() const { return open_calls_; }
  // Rises whenever workers that may have calls get no further ones, because they drain or are retired.
  std::uint64_t withdrawals() const { return withdrawals_; }
  WorkerView view(WorkerId worker) const;
  std::vector<std::pair<WorkerId, WorkerView>> workers() const;  // in the order of their ids
  ModuleView view(ModuleId module, TimePoint now) const;         // of an unknown one: empty
  // Of one part of the module.
  enum class Part { clean, quarantine };
  ModuleView view(ModuleId module, Part part, TimePoint now) const;
  PoolView pool(TimePoint now) const;
  // The calls that the worker was given and has not answered, abandoned ones included.
  std::vector<CallId> calls_on(WorkerId worker) const;
  // Whether the worker was given the call and has not answered it, abandoned or not.
  bool is_on(CallId call, WorkerId worker) const;
  // Whether the call waits for a worker.
  bool is_queued(CallId call) const;
  // Whether the call, which is known, is of the quarantine's.
  bool is_in_quarantine(CallId call) const { return calls_.at(call).module->origin != nullptr; }

 private:
  struct Worker;
  struct Module;

  struct Call {
    Module* module = nullptr;  // or its quarantine
    Caller caller;
    Worker* worker = nullptr;  // null: in its module's queue
    PlaceShares::Place place;  // with a worker
    TimePoint deadline;
    bool idempotent = false;
    bool streamed = false;  // in part, to its client
    bool abandoned = false;
    std::size_t retries = 0;
    std::multimap<TimePoint, CallId>::iterator timer;  // its deadline, or when its worker must have given it up
    bool timer_set = false;
  };

  enum class Claim { none, held_off, fetching, waiting };

  // A module, or its quarantine: the same module once more, for guilty owners. Each has workers, a queue and a claim.
  struct Module {
    ModuleId id{};
    Module* origin = nullptr;             // of a quarantine: the module
    std::unique_ptr<Module> quarantine;   // of a module; null until an owner is guilty
    std::unique_ptr<Offences> offences;   // of a module; null: nobody is guilty
    TimePoint no_worker_before{};         // of a quarantine
    std::map<WorkerId, Caller> suspects;  // of a module: of calls for which workers are being stopped
    ModuleSettings settings;
    CallQueue queue;
    std::vector<Worker*> workers;  // that have a slot, in the order in which they got it
    std::size_t processes = 0;     // workers that have its code, with a slot or leaving
    std::size_t instances_that_take_calls() const;
    Claim claim = Claim::none;
    bool claim_is_first = false;   // with Claim::waiting: it is in first_claims_, else in further_claims_
    std::uint64_t place = 0;       // in first_claims_, kept until it has a worker; 0: none
    bool source_is_stale = false;  // with Claim::fetching: what is being fetched is outdated already
    HoldOff hold_off;              // of a module
    Estimate cpu_per_call;
    Estimate load_time;  // of a module

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
    Module* module = nullptr;  // set for good once it has one
    bool has_slot = false;
    std::vector<GivenCall> calls;  // in the order given, abandoned ones included
    PlaceShares places;
    std::uint64_t given = 0;
    std::uint64_t started = 0;  // or taken back
    std::uint64_t calls_done = 0;
    // How many calls it may have that it has not started, after calls were taken back.
    std::size_t ahead = kNoBound;
    bool is_watched = false;  // in watched_
    // The calls that it had been given, and what it had used of the CPU, at some time. Once it has started all of them,
    // a new mark is set; until then, what it uses more is what they wait for.
    std::uint64_t mark = 0;
    Duration cpu_at_mark{};
    bool draining = false;
    TimePoint drains_since{};  // while it drains
    TimePoint drain_due{};     // when it is told as overdue
    bool retiring = false;
    bool load_failed = false;
    bool kept_others_waiting = false;  // for its slot, when it began to be stopped, or ended
    TimePoint assigned_at{};           // loading began
    TimePoint slice_end{};             // once it is ready
    TimePoint idle_since{};            // without calls, or on standby

    bool holds_module() const { return phase == WorkerPhase::loading || phase == WorkerPhase::ready; }
    bool takes_calls() const { return holds_module() && !draining && !retiring; }
    bool is_idle() const { return phase == WorkerPhase::ready && calls.empty(); }
    static constexpr std::size_t kNoBound = SIZE_MAX;
    std::uint64_t not_started() const { return given - started; }
    // Whether it has calls to start after the next one.
    bool is_behind() const { return phase == WorkerPhase::ready && not_started() > 1; }
  };

  // What an owner's calls cost a module.
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
  std::unordered_map<CallId, Call> calls_;  // some have places on workers
  std::multimap<TimePoint, CallId> timers_;
  std::deque<Module*> first_claims_;            // of modules that have no worker which takes calls, by their place
  std::deque<Module*> further_claims_;          // of modules that want one more
  std::multimap<TimePoint, Module*> held_off_;  // modules that would claim a slot, were they not held off
  std::set<std::tuple<TimePoint, ModuleId, ClientId>> pauses_;  // of owners whose calls wait for their ends
  std::vector<WorkerId> watched_;  // that may have to start what they have before others get their turns
  std::unordered_map<ClientId, std::size_t> queued_by_client_;
  std::array<std::size_t, 5> phase_counts_{};
  std::size_t slots_taken_ = 0;
  std::optional<std::size_t> most_workers_;  // fewer than max_workers, while memory is short
  std::size_t queued_ = 0;
  std::size_t open_calls_ = 0;
  std::uint64_t last_worker_ = 0;
  std::uint64_t last_place_ = 0;
  std::uint64_t withdrawals_ = 0;
  RecentRate cold_starts_;
  std::optional<TimePoint> idle_check_;      // when the first idle worker may have been idle for too long
  std::optional<TimePoint> room_check_;      // when a worker may have to make room
  std::optional<TimePoint> drain_check_;     // when a worker that drains may be overdue
  std::optional<TimePoint> progress_check_;  // when watched_ is looked at
  std::optional<TimePoint> fork_again_;      // forks fail: none before this
  std::optional<TimePoint> replenish_at_;    // when standbys are made anew, where one was used up
  bool started_ = false;
};

}  // namespace holdfast::supervisor
