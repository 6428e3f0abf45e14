// Decides which worker process exists, which module it holds and which call it is given. Pure: no sockets, no clock,
// no processes. Events and the time go in, decisions come out, in the order in which they are to be carried out.
//
// The rules:
//   - A module with calls gets one worker; a worker hosts one module for its whole life.
//   - At most `max_workers` workers hold a module. When all do, a module that waits takes the slot of the worker that
//     has been idle longest; if none is idle, it waits its turn: first come, first served.
//   - Besides, `standby` workers without a module are kept ready. More can come to be, when a module no longer waits
//     for the worker that was forked for it; they are removed after the idle time.
//   - A worker is given at most `concurrency` calls at a time; further calls of its module wait in the module's queue.
//   - A call that a lost worker had not started goes back to the front of its queue, at most `max_attempts` times.
//
// Time points are the caller's; they never go back from one event to the next. Not thread-safe. Telling it of a call,
// worker or module that it does not know, or of an event that cannot be (a worker that is forked twice), is a broken
// invariant and aborts.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <unordered_map>
#include <variant>
#include <vector>

#include "supervisor/ids.h"

namespace holdfast::supervisor {

using TimePoint = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;

struct SchedulerOptions {
  std::size_t max_workers = 1;       // at least 1
  std::size_t standby = 1;           // workers kept ready without a module
  std::size_t concurrency = 128;     // calls in flight on one worker
  std::size_t queue_limit = 10'000;  // calls that wait for one module
  std::size_t max_attempts = 3;      // how often a call is given to a worker
  Duration idle_timeout = std::chrono::minutes(1);
  // After this without a worker's word that it gave up a call, the delay is told; see CancelOverdue. Longer than the time
  // that a worker itself gives to functions that clean up (ipc::kCancelGrace): one that waits for them is not stuck.
  Duration cancel_grace = std::chrono::seconds(2);
  // After a fork that failed, before the next is tried.
  Duration fork_retry = std::chrono::milliseconds(100);
};

// --- what is to be done --------------------------------------------------------------------------------------------

// Fork a worker; tell its fate by worker_forked(), worker_fork_failed() or worker_lost().
struct ForkWorker {
  WorkerId worker;
};

// Send the module to this worker. Calls may follow at once; tell worker_loaded() when it is done.
struct LoadModule {
  WorkerId worker;
  ModuleId module;
};

struct DispatchCall {
  CallId call;
  WorkerId worker;
};

// Kill this worker; no call is on it. Tell worker_lost() when it is gone.
struct KillWorker {
  enum class Reason { evicted, idle, retired };
  WorkerId worker;
  Reason reason;
};

// The call's time is over. It waited in the queue (no worker): it is forgotten, answer it. Or it is on a worker: either
// abandon() it and answer, or stop the worker, whose loss then ends it.
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

// The call is forgotten; answer it with an error.
struct RefuseCall {
  enum class Reason { queue_full, too_many_attempts };
  CallId call;
  Reason reason;
};

using Decision = std::variant<ForkWorker, LoadModule, DispatchCall, KillWorker, CallOverdue, CancelOverdue, RefuseCall>;
using Decisions = std::vector<Decision>;

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
  std::size_t calls_in_flight;
  std::uint64_t calls_done;
};

class Scheduler {
 public:
  explicit Scheduler(const SchedulerOptions& options);

  // All events append what is to be done to `out`.

  // Brings the standby workers up; call once, when workers can be forked.
  void start(TimePoint now, Decisions& out);

  void call_arrived(CallId call, ModuleId module, TimePoint deadline, TimePoint now, Decisions& out);

  // The worker answered the call, whether it was still wanted or not.
  void call_answered(CallId call, TimePoint now, Decisions& out);

  // Nobody waits for the call any more: its client cancelled it, left, or has its answer. Returns the worker that has
  // it, to be told; its place there is free only once call_answered() came. Without one the call is forgotten.
  std::optional<WorkerId> abandon(CallId call, TimePoint now);

  void worker_forked(WorkerId worker, TimePoint now, Decisions& out);
  void worker_fork_failed(WorkerId worker, TimePoint now, Decisions& out);
  // Workers can be forked, but not used: no further fork for a while.
  void forks_fail(TimePoint now) { fork_again_ = now + options_.fork_retry; }
  void worker_loaded(WorkerId worker, TimePoint now, Decisions& out);

  // The worker is being stopped: no more calls for it. If it has calls, its slot stays taken until worker_lost().
  void worker_stopping(WorkerId worker);

  // The worker is to be replaced by another: no more calls for it, and once it has answered those that it has, it is
  // killed. Its module's calls wait meanwhile.
  void retire(WorkerId worker, TimePoint now, Decisions& out);

  // The same for all workers on standby, of which none has calls.
  void renew_standbys(TimePoint now, Decisions& out);

  // The worker is gone. `last_started` is the last call that it began (calls begin in order): those after it go back to
  // their queue, but for those that were overdue. Returns the other calls that were on it, abandoned ones included;
  // they are forgotten, answer them.
  std::vector<CallId> worker_lost(WorkerId worker, CallId last_started, TimePoint now, Decisions& out);

  // The module on this worker cannot be loaded. Returns its calls, abandoned ones and those that waited for a worker
  // included; they are forgotten, answer them. The worker is leaving from then on.
  std::vector<CallId> load_failed(WorkerId worker, TimePoint now, Decisions& out);

  // To be called at or after next_wakeup().
  void tick(TimePoint now, Decisions& out);

  // When tick() has something to do at the earliest; nothing: only after a further event.
  std::optional<TimePoint> next_wakeup() const;

  // Calls that were neither answered nor forgotten, abandoned ones not counted.
  std::size_t open_calls() const { return open_calls_; }
  WorkerView view(WorkerId worker) const;
  std::vector<std::pair<WorkerId, WorkerView>> workers() const;  // in the order of their ids
  // Whether the worker was given the call and has not answered it, abandoned or not.
  bool is_on(CallId call, WorkerId worker) const;
  // Whether the call waits for a worker.
  bool is_queued(CallId call) const;

 private:
  struct Worker;

  struct Call {
    ModuleId module{};
    std::optional<WorkerId> worker;  // none: in its module's queue
    std::size_t attempts = 0;
    bool abandoned = false;
    std::multimap<TimePoint, CallId>::iterator timer;  // its deadline, or when its worker must have given it up
    bool timer_set = false;
  };

  struct Module {
    std::deque<CallId> queue;
    std::optional<WorkerId> worker;
    bool waiting = false;  // in waiting_
  };

  struct Worker {
    WorkerPhase phase = WorkerPhase::starting;
    std::optional<ModuleId> module;
    std::vector<CallId> calls;  // in the order given, abandoned ones included
    std::uint64_t calls_done = 0;
    bool retiring = false;
    TimePoint idle_since{};  // without calls, or on standby
  };

  Call& call_of(CallId id);
  Worker& worker_of(WorkerId id);
  const Worker& worker_of(WorkerId id) const;

  void set_timer(CallId id, Call& call, TimePoint when);
  void clear_timer(Call& call);
  void forget(CallId id);
  void enqueue_waiting(ModuleId id, Module& module);
  void dispatch(Module& module, Decisions& out);
  void assign_workers(TimePoint now, Decisions& out);
  void assign(WorkerId id, Worker& worker, ModuleId module_id, Decisions& out);
  bool holds_slot(WorkerId id, const Worker& worker) const;
  bool evict_idle_worker(Decisions& out);
  void replenish(TimePoint now, Decisions& out);
  void became_idle(WorkerId id, Worker& worker, TimePoint now, Decisions& out);
  void release_module(ModuleId id);
  void set_leaving(Worker& worker);
  std::size_t count(WorkerPhase phase) const { return phase_counts_[static_cast<std::size_t>(phase)]; }
  void set_phase(Worker& worker, WorkerPhase phase);
  void check() const;

  const SchedulerOptions options_;
  std::unordered_map<CallId, Call> calls_;
  std::unordered_map<ModuleId, Module> modules_;
  std::unordered_map<WorkerId, Worker> workers_;
  std::multimap<TimePoint, CallId> timers_;
  std::deque<ModuleId> waiting_;  // modules with queued calls and no worker, in order of arrival
  std::array<std::size_t, 5> phase_counts_{};
  std::size_t slots_taken_ = 0;  // workers that hold a module and are not leaving
  std::size_t open_calls_ = 0;
  std::uint64_t last_worker_ = 0;
  std::optional<TimePoint> idle_check_;  // when the first idle worker may have been idle for too long
  std::optional<TimePoint> fork_again_;  // forks fail: none before this
  bool started_ = false;
};

}  // namespace holdfast::supervisor
