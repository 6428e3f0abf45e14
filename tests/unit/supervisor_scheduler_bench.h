// Puts events to a scheduler and shows its decisions as text, so that a test reads like a log:
//   bench.arrives(1, "a") == "load w1 a, call c1 on w1, fork w2"
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <fmt/format.h>

#include "supervisor/scheduler.h"

namespace holdfast::supervisor::testing {

using namespace std::chrono_literals;

// Modules are named by a letter.
inline ModuleId module_id(char name) { return ModuleId{static_cast<std::uint64_t>(name)}; }

inline std::string describe(const Decision& decision) {
  struct Words {
    static std::uint64_t of(CallId id) { return static_cast<std::uint64_t>(id); }
    static std::uint64_t of(WorkerId id) { return static_cast<std::uint64_t>(id); }
    std::string operator()(const ForkWorker& fork) { return fmt::format("fork w{}", of(fork.worker)); }
    std::string operator()(const LoadModule& load) {
      return fmt::format("load w{} {}", of(load.worker), static_cast<char>(load.module));
    }
    std::string operator()(const DispatchCall& call) {
      return fmt::format("call c{} on w{}", of(call.call), of(call.worker));
    }
    std::string operator()(const KillWorker& kill) {
      return fmt::format("kill w{} {}", of(kill.worker),
                         kill.reason == KillWorker::Reason::evicted ? "evicted" : "idle");
    }
    std::string operator()(const CancelOverdue& late) {
      return fmt::format("late cancel c{} on w{}", of(late.call), of(late.worker));
    }
    std::string operator()(const CallOverdue& overdue) {
      if (!overdue.worker) return fmt::format("overdue c{} queued", of(overdue.call));
      return fmt::format("overdue c{} on w{}", of(overdue.call), of(*overdue.worker));
    }
    std::string operator()(const RefuseCall& refuse) {
      return fmt::format("refuse c{} {}", of(refuse.call),
                         refuse.reason == RefuseCall::Reason::queue_full ? "queue_full" : "too_many_attempts");
    }
  };
  return std::visit(Words{}, decision);
}

class Bench {
 public:
  explicit Bench(const SchedulerOptions& options) : scheduler_(options) {}

  // --- events; each gives the decisions that it led to

  std::string start() {
    return after([&](Decisions& out) { scheduler_.start(now_, out); });
  }
  std::string arrives(std::uint64_t call, char module, Duration time = 1h) {
    return after(
        [&](Decisions& out) { scheduler_.call_arrived(CallId{call}, module_id(module), now_ + time, now_, out); });
  }
  std::string answered(std::uint64_t call) {
    return after([&](Decisions& out) { scheduler_.call_answered(CallId{call}, now_, out); });
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
  void stopping(std::uint64_t worker) { scheduler_.worker_stopping(WorkerId{worker}); }

  // Gives "ended c1 c2" first, if there are any.
  std::string lost(std::uint64_t worker, std::uint64_t last_started = 0) {
    return after(
        [&](Decisions& out) { return scheduler_.worker_lost(WorkerId{worker}, CallId{last_started}, now_, out); });
  }
  std::string load_failed(std::uint64_t worker) {
    return after([&](Decisions& out) { return scheduler_.load_failed(WorkerId{worker}, now_, out); });
  }

  // "queued", or the worker to tell.
  std::string abandon(std::uint64_t call) {
    const auto worker = scheduler_.abandon(CallId{call}, now_);
    return worker ? fmt::format("on w{}", static_cast<std::uint64_t>(*worker)) : "queued";
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

  // Starts, and forks what is asked for: standby workers 1 to `standby`.
  Bench& started(std::uint64_t standby = 1) {
    start();
    for (std::uint64_t worker = 1; worker <= standby; ++worker) forked(worker);
    return *this;
  }

  Scheduler& scheduler() { return scheduler_; }
  WorkerView view(std::uint64_t worker) const { return scheduler_.view(WorkerId{worker}); }
  bool is_queued(std::uint64_t call) const { return scheduler_.is_queued(CallId{call}); }
  bool is_on(std::uint64_t call, std::uint64_t worker) const {
    return scheduler_.is_on(CallId{call}, WorkerId{worker});
  }

 private:
  template <typename Event>
  std::string after(Event event) {
    Decisions out;
    std::string text;
    const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
    if constexpr (std::is_void_v<decltype(event(out))>) {
      event(out);
    } else if (const auto ended = event(out); !ended.empty()) {
      text = "ended";
      for (CallId call : ended) text += fmt::format(" c{}", static_cast<std::uint64_t>(call));
    }
    for (const Decision& decision : out) add(describe(decision));
    return text;
  }

  Scheduler scheduler_;
  TimePoint now_{1000s};
};

}  // namespace holdfast::supervisor::testing
