// A simulation of the scheduler over time. Calls, loads and forks take time, workers run one call at a time, and a
// clock jumps from event to event. It measures how long each module waits, how long it has slots, and how much work
// gets done. The same world gives the same history.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "supervisor/scheduler/scheduler.h"

namespace holdfast::supervisor::testing {

struct FairnessModule {
  ModuleSettings settings;
  // The number of open calls that a flooding module keeps. 0: it makes one call after each `pause`.
  std::size_t open_calls = 0;
  Duration pause{};
  Duration shortest_call = std::chrono::milliseconds(1);
  Duration longest_call = std::chrono::milliseconds(5);
  unsigned one_call_is_endless_in = 0;  // one call in this many never ends by itself; 0: none
  // Endless calls wait for ever instead of using the CPU, and the calls behind them wait, too.
  bool endless_calls_wait = false;
  // An endless call is stopped after this long on the CPU, and its owner is to blame. 0: it is stopped at its deadline,
  // and no owner is to blame.
  Duration stretch{};
  // If set, this entry is another client of that module in the list instead of a module of its own.
  std::optional<std::size_t> calls_module;
  UserId user{1};
  FunctionId endless_function{1};  // the function of its endless calls; other calls call 1
  Duration deadline = std::chrono::seconds(30);
  Duration load_time = std::chrono::milliseconds(3);
};

struct FairnessWorld {
  std::uint64_t seed = 1;
  SchedulerOptions options;
  std::vector<FairnessModule> modules;
  Duration fork_time = std::chrono::milliseconds(1);
  Duration stop_time =
      std::chrono::milliseconds(10);  // from a deadline to the end of the worker that is stopped for it
  Duration length = std::chrono::seconds(60);
};

struct FairnessResult {
  struct OfModule {
    Duration work{};                 // CPU time of the answered calls
    Duration slot_time{};            // from each load until the slot was free
    Duration longest_answer{};       // from a call's arrival to its end
    Duration longest_good_answer{};  // the same for calls that are not endless
    std::uint64_t answered = 0;
    std::uint64_t overdue = 0;
    std::uint64_t good_overdue = 0;
    std::uint64_t refused = 0;
    std::uint64_t turns = 0;  // how many times it was loaded
  };
  std::vector<OfModule> modules;
  // The longest wait of a module without a worker for a slot, by the number of such modules ahead of it.
  std::map<std::size_t, Duration> longest_wait;
  Duration longest_drain{};  // from the decision until the slot was free or the worker stopped draining
  std::uint64_t drained = 0;

  Duration work() const;
};

class FairnessSimulation {
 public:
  explicit FairnessSimulation(const FairnessWorld& world);

  FairnessResult run();

 private:
  struct Call {
    std::size_t module = 0;
    TimePoint arrived{};
    Duration time{};
    bool is_endless = false;
    bool abandoned = false;
  };

  struct Worker {
    std::optional<std::size_t> module;
    std::deque<CallId> calls;   // dispatched and not ended
    std::uint64_t started = 0;  // calls that were started or taken back
    Duration cpu_time{};        // used by finished calls
    TimePoint running_since{};
    std::optional<TimePoint> loaded_at;
    std::optional<TimePoint> draining_since;
    bool has_slot = false;
    bool is_running = false;  // it runs the first of its calls
    bool is_stopping = false;
  };

  struct Wait {
    TimePoint since{};
    std::size_t ahead = 0;
  };

  ModuleId id_of(std::size_t module) const {
    return ModuleId{world_.modules[module].calls_module.value_or(module) + 1};
  }
  static std::size_t module_of(ModuleId id) { return static_cast<std::size_t>(id) - 1; }

  void at(TimePoint when, std::function<void()> event);
  void make_call(std::size_t module);
  void end_call(CallId id, bool answered);
  void run_next(WorkerId id);
  void finish(WorkerId id, CallId call);
  enum class Blamed { nobody, owner };
  void stop(WorkerId id, CallId guilty, Blamed blamed);
  void lose(WorkerId id, CallId guilty, Blamed blamed);
  bool only_waits(const Worker& worker) const;
  Duration cpu_time(const Worker& worker) const;
  void free_slot(Worker& worker);
  void have_source(std::size_t module);

  void carry_out(Decisions decisions);
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
  void see_who_waits();
  bool has_worker(std::size_t module) const;

  const FairnessWorld world_;
  std::mt19937_64 random_;
  Scheduler scheduler_;
  TimePoint now_{std::chrono::seconds(1000)};
  std::multimap<TimePoint, std::function<void()>> events_;
  std::map<CallId, Call> calls_;
  std::map<WorkerId, Worker> workers_;
  std::map<std::size_t, Wait> waits_;  // by module
  std::uint64_t last_call_ = 0;
  FairnessResult result_;
};

}  // namespace holdfast::supervisor::testing
