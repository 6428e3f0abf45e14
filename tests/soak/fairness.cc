#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "ipc/base/units.h"
#include "ipc/client.h"
#include "tests/soak/askers.h"
#include "tests/soak/family.h"
#include "tests/soak/forms.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::soak {
namespace {

using std::chrono::seconds;

constexpr std::size_t kSlots = 2;
constexpr std::size_t kFlooded = 10;
// Open calls of each flooded module, enough that a worker always has a next call.
constexpr std::size_t kOpenCalls = 16;
constexpr seconds kBetweenCalls{1};

// D in the promised bound: no call stays on a worker for longer than its timeout.
constexpr seconds kTimeout{5};
// c in the bound: a forced stop of a worker (0.5 s of wall-clock time), a fork and a load.
constexpr seconds kStart{1};

// About a millisecond of CPU time. The loop counts iterations instead of time, so that a process that shares its CPU
// gets less done.
const char* const kLongWork = R"js(
    exports.work = (payload) => {
      let sum = payload;
      for (let i = 0; i < 2e5; i++) sum = (sum * 31 + i) | 0;
      return sum;
    };
)js";
const char* const kEcho = "exports.work = (payload) => payload;";

// Keeps calls to the flooded modules open all the time, over one connection for each module.
class Flood {
 public:
  Flood(Run& run, const test::Daemon& daemon, Clock::duration timeout)
      : run_(run), timeout_(std::chrono::duration_cast<milliseconds>(timeout)) {
    for (std::size_t i = 0; i < kFlooded; ++i) askers_.add(fmt::format("flooded{}", i), daemon.connect());
  }

  // Runs until `stop`. Calls that are open then are dropped with their connections.
  void run(const std::atomic<bool>& stop) {
    const auto begin = Clock::now();
    for (const auto& asker : askers_.all()) {
      for (std::size_t i = 0; i < kOpenCalls; ++i) ask(*asker);
      askers_.serve(*asker);
    }
    while (!stop && !is_interrupted()) askers_.serve_arrived(milliseconds(50));
    took_ = Clock::now() - begin;
  }

  std::uint64_t answered() const { return askers_.answered(); }
  double calls_per_second() const { return static_cast<double>(answered()) / (in_millis(took_) / 1000); }
  std::size_t modules_served() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(askers_.all(), [](const auto& asker) { return asker->answered > 0; }));
  }
  std::uint64_t overdue() const { return overdue_; }
  // The longest that a call was on a worker, not counting the load of its module; and the longest such load.
  Clock::duration longest_run() const { return longest_run_; }
  Clock::duration longest_load() const { return longest_load_; }

 private:
  void ask(Asker& asker) {
    const test::CallTo to{asker.module, "work", "1", timeout_};
    asker.client.start(to.request(), [this, &asker](const ipc::Answer& answer) {
      take(asker, answer);
      if (asker.client.connected()) ask(asker);
    });
  }

  void take(Asker& asker, const ipc::Answer& answer) {
    if (answer) {
      ++asker.answered;
      longest_run_ = std::max<Clock::duration>(longest_run_, answer.usage.run);
      longest_load_ = std::max<Clock::duration>(longest_load_, answer.usage.load);
    } else if (answer.error().code == ipc::ErrorCode::deadline_exceeded) {
      ++overdue_;
    } else {
      run_.report.broken(fmt::format("{}: {}", asker.module, test::outcome(answer)));
    }
  }

  Run& run_;
  const milliseconds timeout_;
  Askers<Asker> askers_;
  std::uint64_t overdue_ = 0;
  Clock::duration longest_run_{0};
  Clock::duration longest_load_{0};
  Clock::duration took_{0};
};

// The longest wait of a client that calls once a second.
Clock::duration worst_wait_of_caller(Run& run, ipc::Client& client, Clock::duration time_for_a_call) {
  Clock::duration worst{0};
  const auto end = Clock::now() + run.duration;
  for (auto next = Clock::now() + kBetweenCalls / 2; next < end; next += kBetweenCalls) {
    if (!pause_for(next - Clock::now())) break;
    const auto begin = Clock::now();
    const auto timeout = std::chrono::ceil<milliseconds>(time_for_a_call);
    const std::string outcome = test::outcome(test::call(client, {"caller", "work", "7", timeout}));
    worst = std::max(worst, Clock::now() - begin);
    if (outcome != "7") run.report.broken("the client that calls once a second: " + outcome);
  }
  return worst;
}

struct Setting {
  const char* name;
  const char* code;
};

struct Outcome {
  double calls_per_second = 0;
  double cpu_micros_per_call = 0;  // of holdfastd and all its processes
  std::size_t modules_served = 0;
  std::uint64_t overdue = 0;
  std::uint64_t cold_starts = 0;
  Clock::duration longest_run{0};
  Clock::duration longest_load{0};
  Clock::duration worst_wait{0};
};

// The longest that a module can wait: each slot passes to the next module so many times, and each time its holder uses
// up its slice and finishes its open calls, and the next worker has to start (docs/architecture.md).
Clock::duration bound(Clock::duration slice, Clock::duration longest_call, Clock::duration start) {
  constexpr std::size_t kTurns = (kFlooded + 1 + kSlots - 1) / kSlots;
  return kTurns * (slice + longest_call + start);
}

enum class Caller { none, each_second };

Outcome flood(Run& run, const Setting& setting, Clock::duration slice, Caller with_caller) {
  std::vector<test::Module> modules = {{"caller", kEcho}};
  for (std::size_t i = 0; i < kFlooded; ++i) modules.push_back({fmt::format("flooded{}", i), setting.code});
  test::Daemon daemon({.modules = modules,
                       .flags = {"--max-workers", std::to_string(kSlots), "--slice", ipc::format_duration(slice),
                                 "--log-level", "warning"},
                       .as_nobody = run.as_nobody});
  Outcome outcome;
  {
    ipc::Client caller = daemon.connect();
    // Without switching, most calls would wait until their timeout: give them no short one, as timeouts are no work.
    Flood flood(run, daemon, with_caller == Caller::none ? std::chrono::hours(1) : Clock::duration(kTimeout));
    std::atomic<bool> stop = false;
    const auto cpu_before = cpu_time_of_all(family_of(daemon.pid()));
    std::thread thread([&] {
      try {
        flood.run(stop);
      } catch (const std::exception& error) {
        run.report.broken(error.what());
      }
    });
    if (with_caller == Caller::each_second) {
      outcome.worst_wait = worst_wait_of_caller(run, caller, 2 * bound(slice, kTimeout, kStart));
    } else {
      pause_for(run.duration);
    }
    stop = true;
    thread.join();
    const std::chrono::microseconds cpu_time = cpu_time_of_all(family_of(daemon.pid())) - cpu_before;
    outcome.cpu_micros_per_call = static_cast<double>(cpu_time.count()) / static_cast<double>(flood.answered());
    const auto stats = caller.stats();
    if (!stats) run.report.broken("stats: " + stats.error().message);
    for (const auto& module : stats->modules) outcome.cold_starts += module.cold_starts;
    outcome.calls_per_second = flood.calls_per_second();
    outcome.modules_served = flood.modules_served();
    outcome.overdue = flood.overdue();
    outcome.longest_run = flood.longest_run();
    outcome.longest_load = flood.longest_load();
  }
  daemon.stop();
  return outcome;
}

void compare(Run& run, const Setting& setting, Clock::duration slice) {
  show_progress(fmt::format("{} calls, not switching", setting.name));
  const Outcome still = flood(run, setting, std::chrono::hours(1), Caller::none);
  show_progress(fmt::format("{} calls", setting.name));
  const Outcome shared = flood(run, setting, slice, Caller::each_second);
  const auto promised = bound(slice, kTimeout, kStart);
  const auto add = [&](const std::string& name, const auto& value) {
    run.report.figure(fmt::format("{} calls: {}", setting.name, name), value);
  };
  add("calls/s", shared.calls_per_second);
  add("calls/s without switching", still.calls_per_second);
  // This may be more than there are slots: on a busy machine a flood pauses now and then, and an idle module makes
  // room.
  add("modules served without switching", still.modules_served);
  add("ratio", shared.calls_per_second / still.calls_per_second);
  // The ratio on a machine that does nothing else.
  add("ratio by CPU time for a call", still.cpu_micros_per_call / shared.cpu_micros_per_call);
  add("CPU time for a call, us", shared.cpu_micros_per_call);
  add("cold starts/s", static_cast<double>(shared.cold_starts) / (in_millis(run.duration) / 1000));
  add("worst wait, ms", in_millis(shared.worst_wait));
  add("bound by what was seen, ms", in_millis(bound(slice, shared.longest_run, shared.longest_load)));
  add("bound, ms", in_millis(promised));
  add("longest call on a worker, ms", in_millis(shared.longest_run));
  add("longest load, ms", in_millis(shared.longest_load));
  if (is_interrupted()) return;
  if (shared.worst_wait > promised) {
    run.report.broken(
        fmt::format("{} calls: the client that calls once a second waited for {:.0f} ms, longer than the bound",
                    setting.name, in_millis(shared.worst_wait)));
  }
  if (shared.modules_served != kFlooded) run.report.broken("a flooded module was never served");
  if (shared.overdue > 0) run.report.broken(fmt::format("{} calls reached their timeout", shared.overdue));
}

}  // namespace

void run_fairness(Run& run, Clock::duration slice) {
  for (const Setting& setting : {Setting{"long", kLongWork}, Setting{"short", kEcho}}) {
    if (!is_interrupted()) compare(run, setting, slice);
  }
}

}  // namespace holdfast::soak
