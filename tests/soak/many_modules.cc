#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <vector>

#include "ipc/client.h"
#include "tests/soak/askers.h"
#include "tests/soak/forms.h"
#include "tests/soak/observer.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::soak {
namespace {

// The longest that a call may wait until a slot comes round to its module; no machine is that slow.
constexpr std::chrono::seconds kLongestTurnWait{60};

// Jain's fairness index (Jain, Chiu, Hawe 1984): 1 if all have the same share, 1/n if one has everything.
constexpr double kLeastFairness = 0.9;

// How long to wait for answers before looking at the time again.
constexpr std::chrono::milliseconds kWait{100};

struct AskerOfOne : Asker {
  using Asker::Asker;

  std::uint64_t started = 0;
  std::uint64_t turns = 0;  // workers that were started for its calls
  Clock::time_point since;
  Clock::duration longest{0};
};

class ManyModules {
 public:
  ManyModules(Run& run, const test::Daemon& daemon, const std::vector<test::Module>& modules) : run_(run) {
    for (const test::Module& module : modules) askers_.add(module.name, daemon.connect());
  }

  void run() {
    begin_ = Clock::now();
    for (const auto& asker : askers_.all()) {
      ask(*asker);
      askers_.serve(*asker);
    }
    auto next_line = begin_ + std::chrono::seconds(5);
    while (Clock::now() - begin_ < run_.duration && !is_interrupted()) {
      askers_.serve_arrived(kWait);
      if (Clock::now() > next_line) {
        show_progress(
            fmt::format("{:.0f} s: {} calls answered", in_millis(Clock::now() - begin_) / 1000, askers_.answered()));
        next_line += std::chrono::seconds(5);
      }
    }
    is_ending_ = true;
    asked_for_ = Clock::now() - begin_;
    const auto guard = Clock::now() + kLongestTurnWait;
    while (open_ > 0 && Clock::now() < guard) askers_.serve_arrived(kWait);
    if (open_ > 0) run_.report.broken(fmt::format("{} calls were never answered", open_));
  }

  void report() const {
    std::vector<double> counts;
    std::vector<std::uint64_t> turns;
    Clock::duration longest{0};
    for (const auto& asker : askers_.all()) {
      counts.push_back(static_cast<double>(asker->answered));
      turns.push_back(asker->turns);
      longest = std::max(longest, asker->longest);
    }
    const double sum = std::accumulate(counts.begin(), counts.end(), 0.0);
    const double squares = std::inner_product(counts.begin(), counts.end(), counts.begin(), 0.0);
    const double fairness = squares > 0 ? sum * sum / (static_cast<double>(counts.size()) * squares) : 0;
    const auto [least, most] = std::minmax_element(counts.begin(), counts.end());
    run_.report.figure("calls answered", static_cast<std::uint64_t>(sum));
    run_.report.figure("calls each second", sum / (in_millis(asked_for_) / 1000));
    run_.report.figure("calls of a module, least", *least);
    run_.report.figure("calls of a module, most", *most);
    run_.report.figure("Jain's fairness index", fairness);
    run_.report.figure("turns of a module, least", *std::min_element(turns.begin(), turns.end()));
    run_.report.figure("turns of a module, most", *std::max_element(turns.begin(), turns.end()));
    run_.report.figure("longest wait, ms", in_millis(longest));
    if (*least < 1) run_.report.broken("a module was never served");
    if (fairness < kLeastFairness) {
      run_.report.broken(fmt::format("the fairness index is {:.3f}, below {}", fairness, kLeastFairness));
    }
  }

 private:
  void ask(AskerOfOne& asker) {
    asker.since = Clock::now();
    ++asker.started;
    ++open_;
    const std::string payload = fmt::format("\"{}-{}\"", asker.module, asker.started);
    const test::CallTo to{asker.module, "echo", payload, kLongestTurnWait};
    asker.client.start(to.request(), [this, &asker, payload](ipc::Answer answer) {
      --open_;
      asker.turns += answer.usage.cold;
      asker.longest = std::max(asker.longest, Clock::now() - asker.since);
      if (test::outcome(answer) == payload) {
        if (!is_ending_) ++asker.answered;
      } else {
        run_.report.broken(fmt::format("module {}: {}", asker.module, test::outcome(answer)));
      }
      if (!is_ending_ && asker.client.connected()) ask(asker);
    });
  }

  Run& run_;
  Askers<AskerOfOne> askers_;
  std::size_t open_ = 0;
  bool is_ending_ = false;  // answers no longer count, and no call is started
  Clock::time_point begin_;
  Clock::duration asked_for_{0};
};

}  // namespace

void run_many_modules(Run& run, std::size_t modules, std::size_t workers) {
  std::vector<test::Module> all;
  for (std::size_t i = 0; i < modules; ++i)
    all.push_back({fmt::format("m{:05}", i), "exports.echo = (payload) => payload;"});
  test::Daemon daemon({.modules = all,
                       .flags = {"--max-workers", std::to_string(workers), "--max-clients",
                                 std::to_string(modules + 16), "--timeout", "60s", "--log-level", "warning"},
                       .as_nobody = run.as_nobody});
  {
    ManyModules form(run, daemon, all);
    const Observer observer(daemon.socket_path(), run);
    form.run();
    form.report();
    observer.report();
  }
  daemon.stop();
}

}  // namespace holdfast::soak
