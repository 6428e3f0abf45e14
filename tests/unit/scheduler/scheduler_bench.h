// Passes events to a scheduler and shows its decisions as text, so that a test reads like a log:
//   bench.arrives(1, 'a') == "load w1 a, call c1 on w1, fork w2"
// By default a requested source arrives at once: the request is not shown, and the decisions that the source leads to
// follow those of the event. A test can hold sources back instead.
#pragma once

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "supervisor/scheduler/scheduler.h"

namespace holdfast::supervisor::testing {

using namespace std::chrono_literals;

// Modules are named by a letter.
inline ModuleId module_id(char name) { return ModuleId{static_cast<std::uint64_t>(name)}; }

inline const char* describe(KillWorker::Reason reason) {
  using enum KillWorker::Reason;
  switch (reason) {
    case evicted:
      return "evicted";
    case slice_over:
      return "slice over";
    case idle:
      return "idle";
    case retired:
      return "retired";
  }
  return "?";
}

inline const char* describe(RefuseCall::Reason reason) {
  using enum RefuseCall::Reason;
  switch (reason) {
    case module_queue_full:
      return "module queue full";
    case client_queue_full:
      return "client queue full";
    case all_queues_full:
      return "all queues full";
    case held_off:
      return "held off";
    case owner_paused:
      return "owner paused";
  }
  return "?";
}

inline std::string describe(const Decision& decision) {
  struct Words {
    static std::uint64_t of(CallId id) { return static_cast<std::uint64_t>(id); }
    static std::uint64_t of(WorkerId id) { return static_cast<std::uint64_t>(id); }
    static char of(ModuleId id) { return static_cast<char>(id); }
    std::string operator()(const ForkWorker& fork) { return fmt::format("fork w{}", of(fork.worker)); }
    std::string operator()(const FetchSource& fetch) { return fmt::format("fetch {}", of(fetch.module)); }
    std::string operator()(const LoadModule& load) {
      return fmt::format("load w{} {}", of(load.worker), of(load.module));
    }
    std::string operator()(const DispatchCall& call) {
      return fmt::format("call c{} on w{}", of(call.call), of(call.worker));
    }
    std::string operator()(const LookAtProgress& look) { return fmt::format("look at w{}", of(look.worker)); }
    std::string operator()(const TakeCallsBack& take) { return fmt::format("take back from w{}", of(take.worker)); }
    std::string operator()(const DrainWorker& drain) {
      return fmt::format("drain w{} for {}", of(drain.worker), of(drain.for_module));
    }
    std::string operator()(const DrainOverdue& drain) {
      return fmt::format("drain of w{} overdue{}", of(drain.worker), drain.has_had_its_time ? ", finally" : "");
    }
    std::string operator()(const KillWorker& kill) {
      return fmt::format("kill w{} {}", of(kill.worker), describe(kill.reason));
    }
    std::string operator()(const CancelOverdue& late) {
      return fmt::format("late cancel c{} on w{}", of(late.call), of(late.worker));
    }
    std::string operator()(const CallOverdue& overdue) {
      if (!overdue.worker) return fmt::format("overdue c{} queued", of(overdue.call));
      return fmt::format("overdue c{} on w{}", of(overdue.call), of(*overdue.worker));
    }
  };
  return std::visit(Words{}, decision);
}

class Bench {
 public:
  explicit Bench(const SchedulerOptions& options) : scheduler_(options), settings_(options.module) {}

  // --- events; each returns the decisions that it led to

  std::string start() {
    return after([&](Decisions& out) { scheduler_.start(now_, out); });
  }
  std::string configure(char module, const ModuleSettings& settings) {
    return after([&](Decisions& out) { scheduler_.configure(module_id(module), settings, now_, out); });
  }
  struct Arrival {
    Duration time = 1h;  // until the deadline
    std::uint64_t client = 1;
    bool idempotent = false;
    unsigned user = 1;
    std::uint64_t function = 1;
  };
  std::string arrives(std::uint64_t call, char module, const Arrival& arrival) {
    std::optional<RefuseCall> refused;
    const std::string decisions = after([&](Decisions& out) {
      refused = scheduler_.call_arrived(
          {.id = CallId{call},
           .module = module_id(module),
           .caller = {UserId{arrival.user}, ClientId{arrival.client}, FunctionId{arrival.function}},
           .deadline = now_ + arrival.time,
           .idempotent = arrival.idempotent},
          now_, out);
    });
    return refused ? fmt::format("refuse c{} {}{}", call, describe(refused->reason), decisions) : decisions;
  }
  std::string arrives(std::uint64_t call, char module, Duration time = 1h) {
    return arrives(call, module, Arrival{.time = time});
  }
  std::string answered(std::uint64_t call, Duration cpu_time = 1ms) {
    return after([&](Decisions& out) { scheduler_.call_answered(CallId{call}, cpu_time, now_, out); });
  }
  void ran(std::uint64_t worker, const Caller& caller, Duration cpu_time) {
    scheduler_.call_ran(WorkerId{worker}, CallId{}, caller, cpu_time);
  }
  std::string calls_started(std::uint64_t worker, std::uint64_t count, Duration cpu_time = {}) {
    return after([&](Decisions& out) { scheduler_.calls_started(WorkerId{worker}, count, cpu_time, now_, out); });
  }
  std::string calls_taken_back(std::uint64_t worker, std::uint64_t started, std::uint64_t last) {
    return after([&](Decisions& out) { scheduler_.calls_taken_back(WorkerId{worker}, started, last, now_, out); });
  }
  std::string source_ready(char module) {
    return after([&](Decisions& out) { scheduler_.source_ready(module_id(module), now_, out); });
  }
  std::string source_failed(char module) {
    return after([&](Decisions& out) { return scheduler_.source_failed(module_id(module), now_, out); });
  }
  std::string source_changed(char module) {
    return after([&](Decisions& out) { scheduler_.source_changed(module_id(module), now_, out); });
  }
  std::string forked(std::uint64_t worker) {
    return after([&](Decisions& out) { scheduler_.worker_forked(WorkerId{worker}, now_, out); });
  }
  std::string fork_failed(std::uint64_t worker) {
    return after([&](Decisions& out) { scheduler_.worker_fork_failed(WorkerId{worker}, now_, out); });
  }
  std::string loaded(std::uint64_t worker) {
    return after([&](Decisions& out) { scheduler_.worker_loaded(WorkerId{worker}, now_, out); });
  }
  void forks_fail() { scheduler_.forks_fail(now_); }
  std::string stopping(std::uint64_t worker, std::uint64_t suspect = 0, const std::optional<Caller>& left_by = {}) {
    return after(
        [&](Decisions& out) { scheduler_.worker_stopping(WorkerId{worker}, CallId{suspect}, left_by, now_, out); });
  }
  std::string retire(std::uint64_t worker) {
    return after([&](Decisions& out) { scheduler_.retire(WorkerId{worker}, now_, out); });
  }
  std::string bound_workers(std::optional<std::size_t> most) {
    return after([&](Decisions& out) { scheduler_.bound_workers(most, now_, out); });
  }
  std::string renew_standbys() {
    return after([&](Decisions& out) { scheduler_.renew_standbys(now_, out); });
  }

  // Returns "ended c1 started, c2 abandoned" first, if calls ended.
  std::string lost(std::uint64_t worker, const WorkerLoss& loss) {
    return after([&](Decisions& out) { return scheduler_.worker_lost(WorkerId{worker}, loss, now_, out); });
  }
  // The worker had started its first `started` calls.
  std::string lost(std::uint64_t worker, std::uint64_t started = 0) {
    return lost(worker, WorkerLoss{.started = started});
  }
  // Returns "ended c1, c2" first, if calls ended.
  std::string load_failed(std::uint64_t worker) {
    return after([&](Decisions& out) { return scheduler_.load_failed(WorkerId{worker}, now_, out); });
  }

  // Returns "queued" or the worker that has to be told, and the decisions.
  std::string abandon(std::uint64_t call) {
    std::string where;
    const std::string rest = after([&](Decisions& out) {
      const auto worker = scheduler_.abandon(CallId{call}, now_, out);
      where = worker ? fmt::format("on w{}", static_cast<std::uint64_t>(*worker)) : "queued";
    });
    return rest.empty() ? where : where + ", " + rest;
  }

  std::string tick() {
    return after([&](Decisions& out) { scheduler_.tick(now_, out); });
  }

  // --- time

  void pass(Duration time) { now_ += time; }
  std::string tick_after(Duration time) {
    pass(time);
    return tick();
  }
  // Time until the next wakeup.
  std::optional<Duration> wakeup_in() const {
    const auto next = scheduler_.next_wakeup();
    if (!next) return std::nullopt;
    return *next - now_;
  }

  // --- shortcuts

  // From now on requests for sources are shown, and a source arrives only when the test says so.
  Bench& holding_sources() {
    sources_are_held_ = true;
    return *this;
  }

  // Starts the scheduler and forks the requested standby workers, 1 to `standby`.
  Bench& started(std::uint64_t standby = 1) {
    start();
    for (std::uint64_t worker = 1; worker <= standby; ++worker) forked(worker);
    return *this;
  }

  Scheduler& scheduler() { return scheduler_; }
  ModuleSettings settings() const { return settings_; }
  WorkerView view(std::uint64_t worker) const { return scheduler_.view(WorkerId{worker}); }
  ModuleView module(char name) const { return scheduler_.view(module_id(name), now_); }
  PoolView pool() const { return scheduler_.pool(now_); }
  bool is_queued(std::uint64_t call) const { return scheduler_.is_queued(CallId{call}); }
  bool is_on(std::uint64_t call, std::uint64_t worker) const {
    return scheduler_.is_on(CallId{call}, WorkerId{worker});
  }

 private:
  static std::string describe_end(const EndedCall& ended) {
    using State = EndedCall::State;
    const char* state = ended.state == State::abandoned ? "abandoned"
                        : ended.state == State::started ? "started"
                                                        : "not started";
    return fmt::format("c{} {}", static_cast<std::uint64_t>(ended.call), state);
  }
  static std::string describe_end(CallId ended) { return fmt::format("c{}", static_cast<std::uint64_t>(ended)); }

  template <typename Event>
  std::string after(Event event) {
    Decisions out;
    std::string text;
    const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
    if constexpr (std::is_void_v<decltype(event(out))>) {
      event(out);
    } else {
      for (const auto& ended : event(out)) add((text.empty() ? "ended " : "") + describe_end(ended));
    }
    for (std::size_t i = 0; i < out.size(); ++i) {
      const auto* fetch = std::get_if<FetchSource>(&out[i]);
      if (fetch == nullptr || sources_are_held_) {
        add(describe(out[i]));
      } else {
        scheduler_.source_ready(ModuleId{fetch->module}, now_, out);
      }
    }
    return text;
  }

  Scheduler scheduler_;
  ModuleSettings settings_;
  bool sources_are_held_ = false;
  TimePoint now_{1000s};
};

// One module at a time, one worker ready beside it.
inline constexpr SchedulerOptions kOneWorker = {.max_workers = 1, .standby = 1, .slice = 100ms};
inline constexpr SchedulerOptions kTwoWorkers = {.max_workers = 2, .standby = 1};

// A bench whose worker 1 has loaded module a for call 1; worker 2 is on standby.
inline Bench with_module(const SchedulerOptions& options) {
  Bench bench(options);
  bench.started();
  bench.arrives(1, 'a');
  bench.forked(2);
  bench.loaded(1);
  return bench;
}

}  // namespace holdfast::supervisor::testing
