// A deterministic simulation of the scheduler: a world of clients, modules, workers and a clock, all played by one
// random number generator, puts events to a Scheduler, carries out what it decides, and checks after each step that
// what must always hold does hold. The same seed gives the same history.
//
// The world keeps a model of its own, which is the specification in scheduler.h written a second time, without care
// for speed. It is no doctest code, so that longer runs and fuzz targets can use it too.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "supervisor/scheduler.h"

namespace holdfast::supervisor::testing {

// What was broken, and the end of the history that led there.
struct BrokenRule {
  std::string rule;
  std::vector<std::string> history;
};

// What a run came across; for checking that runs come across everything.
struct SimulationCounts {
  std::map<std::string, std::uint64_t> decisions;  // by kind: "kill evicted"
  std::map<std::string, std::uint64_t> ends;       // of calls, by kind: "answered"
  std::uint64_t calls = 0;
};

class Simulation {
 public:
  enum class History { none, kept };

  explicit Simulation(std::uint64_t seed, History history = History::none);

  // Makes `steps` random steps, then lets the world behave until everything is finished. Nothing: all rules held.
  // Call once. A rule that the scheduler itself finds broken aborts the process.
  std::optional<BrokenRule> run(std::size_t steps);

  const SimulationCounts& counts() const { return counts_; }

 private:
  struct Call {
    ModuleId module{};
    TimePoint deadline{};
    std::optional<WorkerId> worker;
    std::size_t attempts = 0;
    bool was_overdue = false;
    bool abandoned = false;
    TimePoint give_up_at{};  // when its worker must have given it up, once it is abandoned
  };

  struct Worker {
    WorkerPhase phase = WorkerPhase::starting;
    std::optional<ModuleId> module;
    bool holds_slot = false;
    std::vector<CallId> calls;  // in the order given
    CallId last_given{};
    CallId last_started{};
    std::uint64_t calls_done = 0;
    std::optional<TimePoint> idle_since;  // ready and without calls
    std::optional<TimePoint> forked_at;
    bool retiring = false;
    bool lies = false;      // about what it started
    bool stubborn = false;  // ignores cancellations
  };

  // --- the world's steps
  void step();
  void arrive();
  void cancel();
  void finish_fork();
  void finish_load();
  void answer();
  void die();
  void stop_worker();
  void replace_worker();
  void pass_time();
  void tick();
  void settle();

  // --- events put to the scheduler
  void lose(WorkerId worker);
  void fail_load(WorkerId worker);
  void answer_call(CallId call);
  void abandon(CallId call, const char* end);

  // --- decisions carried out
  void carry_out(Decisions& decisions);
  void carry_out(const ForkWorker& fork, Decisions& further);
  void carry_out(const LoadModule& load, Decisions& further);
  void carry_out(const DispatchCall& dispatch, Decisions& further);
  void carry_out(const KillWorker& kill, Decisions& further);
  void carry_out(const CallOverdue& overdue, Decisions& further);
  void carry_out(const CancelOverdue& late, Decisions& further);
  void carry_out(const RefuseCall& refuse, Decisions& further);

  // --- the model
  void end(CallId call, const std::string& how);
  void leave(WorkerId id, Worker& worker);
  void update_waiting(ModuleId module);
  std::deque<CallId>& queue(ModuleId module) { return queues_[module]; }
  std::optional<WorkerId> holder(ModuleId module) const;
  std::size_t slots_taken() const;
  std::size_t count(WorkerPhase phase) const;
  std::size_t idle_workers() const;
  std::size_t wanted_workers() const;

  // --- what must hold
  void check();
  void check_due(bool after_tick);
  void check_work_is_given_out();
  void check_views();
  void require(bool condition, const std::string& rule);

  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }
  template <typename Filter>
  std::optional<WorkerId> pick_worker(Filter filter);
  void note(const char* format, std::uint64_t first = 0, std::uint64_t second = 0);

  static SchedulerOptions random_options(std::mt19937_64& random);

  std::mt19937_64 random_;
  bool renewing_ = false;  // the standbys are to be replaced
  const SchedulerOptions options_;
  Scheduler scheduler_;
  TimePoint now_{std::chrono::seconds(1000)};
  std::uint64_t modules_ = 1;
  bool behaves_ = false;  // the world: at the end

  std::map<CallId, Call> calls_;  // neither answered nor forgotten
  std::map<WorkerId, Worker> workers_;
  std::map<ModuleId, std::deque<CallId>> queues_;
  std::deque<ModuleId> waiting_;      // modules with queued calls and nobody to serve them
  std::set<CallId> ended_meanwhile_;  // while decisions are carried out
  std::uint64_t last_call_ = 0;
  WorkerId last_worker_{};
  std::optional<TimePoint> fork_failed_at_;
  // A slot or a standby worker was lost by an event that gives out no decisions; the next one that does uses it.
  bool decisions_pending_ = false;

  SimulationCounts counts_;
  const History keep_history_;
  std::deque<std::string> history_;
};

}  // namespace holdfast::supervisor::testing
