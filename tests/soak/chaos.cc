#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <thread>

#include "ipc/base/units.h"
#include "tests/soak/family.h"
#include "tests/soak/forms.h"
#include "tests/soak/ledger.h"
#include "tests/soak/load.h"
#include "tests/soak/process_acts.h"
#include "tests/soak/quiet.h"
#include "tests/soak/stall_watch.h"
#include "tests/soak/vandals.h"
#include "tests/support/as_nobody.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/waiting.h"

namespace holdfast::soak {
namespace {

using std::chrono::seconds;

constexpr std::size_t kStandby = 2;

// Few workers for many modules, short budgets and short-lived zygotes: evictions, stops and replacements happen all the
// time.
const std::vector<std::string> kFlags = {
    "--standby",    "2",   "--max-workers",  "6",       "--stretch",          "200ms", "--memory",       "48MB",
    "--timeout",    "4s",  "--idle-timeout", "1s",      "--queue-limit",      "300",   "--zygote-forks", "150",
    "--zygote-age", "20s", "--log-level",    "warning", "--shutdown-timeout", "5s",
};

constexpr Clock::duration kShortestRound = seconds(4);
constexpr Clock::duration kLongestRound = seconds(20);

// One round in this many, starting with the first, is calm: processes are left alone, so only errors that calls cause
// themselves are accepted.
constexpr std::size_t kCalmEvery = 6;

class Chaos {
 public:
  explicit Chaos(Run& run)
      : run_(run),
        folder_(std::make_shared<test::TemporaryFolder>()),
        daemon_(std::in_place,
                test::DaemonOptions{
                    .modules = modules_of_kinds(), .flags = kFlags, .as_nobody = run.as_nobody, .folder = folder_}),
        acts_(daemon_->pid(), run, disturbances_),
        vandals_(daemon_->socket_path(), run) {}

  void run() {
    Load load(daemon_->socket_path(), {}, run_, ledger_, disturbances_);
    Quiet quiet(*daemon_, kStandby, run_);
    load.resume();  // warms everything up before the baseline is taken
    pause_for(seconds(1));
    load.pause();
    (void)quiet.await("at the start");
    const auto begin = Clock::now();
    const auto round = std::clamp<Clock::duration>(run_.duration / 12, kShortestRound, kLongestRound);
    std::size_t number = 0;
    while (Clock::now() - begin < run_.duration && !is_interrupted()) {
      play_round(load, std::min(round, run_.duration - (Clock::now() - begin)), number % kCalmEvery == 0);
      note_state(quiet.await(fmt::format("after round {}", number)), number, Clock::now() - begin, quiet.baseline());
      ++number;
    }
    kill_the_supervisor(load);
    report(number, load);
  }

 private:
  void play_round(Load& load, Clock::duration length, bool is_calm) {
    disturbances_ = acts_.left_somebody_stopped() ? kProcessesDied : kNothing;
    std::atomic<bool> stop = false;
    const auto in_thread = [&](const char* who, auto& performer) {
      return std::thread([&, who] {
        try {
          performer.perform(stop);
        } catch (const std::exception& error) {
          run_.report.broken(fmt::format("{}: {}", who, error.what()));
        }
      });
    };
    run_.report.note(is_calm ? "a calm round" : "a round");
    load.resume();
    std::thread stalls = in_thread("the watch for stalls", stall_watch_);
    std::thread vandals = in_thread("a client that misbehaves", vandals_);
    std::optional<std::thread> acts;
    if (!is_calm) acts.emplace(in_thread("an act", acts_));
    pause_for(length);
    stop = true;
    if (acts) acts->join();
    vandals.join();
    load.pause();
    stalls.join();
  }

  void note_state(const Measured& measured, std::size_t round, Clock::duration since, const Baseline& baseline) {
    supervisor_bytes_.push_back(measured.supervisor_bytes);
    broker_bytes_.push_back(measured.broker_bytes);
    const double ratio = in_millis(measured.latency) / in_millis(baseline.latency);
    latency_ratios_.push_back(ratio);
    if (ledger_.made() != ledger_.answered()) {
      run_.report.broken(fmt::format("{} calls were made, but {} answered", ledger_.made(), ledger_.answered()));
    }
    const std::string line =
        fmt::format("round {} after {:.0f} s: {} calls, holdfastd {}, broker {}, latency {:.2f} ms, {:.2f} of before",
                    round, in_millis(since) / 1000, ledger_.answered(), ipc::format_size(measured.supervisor_bytes),
                    ipc::format_size(measured.broker_bytes), in_millis(measured.latency), ratio);
    run_.report.note(line);
    show_progress(line);
  }

  // Kills the supervisor while calls are open. All its processes must end with it, and the next supervisor must serve
  // at once.
  void kill_the_supervisor(Load& load) {
    load.resume();
    pause_for(milliseconds(500));
    load.expect_the_end();
    const auto family = test::descendants_of(daemon_->pid());
    daemon_->signal(SIGKILL);
    if (daemon_->wait() != 128 + SIGKILL) run_.report.broken("the supervisor was not ended by SIGKILL");
    const auto died = Clock::now();
    for (pid_t process : family) {
      if (!test::eventually([&] { return !test::is_running(process); })) {
        run_.report.broken(fmt::format("process {} outlives its supervisor", process));
      }
    }
    run_.report.figure("all gone after kill -9, ms", in_millis(Clock::now() - died));
    reap_orphans(0);
    daemon_.reset();
    const auto begin = Clock::now();
    daemon_.emplace(test::DaemonOptions{.flags = kFlags, .as_nobody = run_.as_nobody, .folder = folder_});
    ipc::Client client = daemon_->connect();
    const std::string outcome = test::outcome(test::call(client, {kPlainModule, "echo", "7"}));
    if (outcome != "7") run_.report.broken("the next supervisor does not serve: " + outcome);
    run_.report.figure("next supervisor serves after, ms", in_millis(Clock::now() - begin));
    daemon_->stop();
    daemon_.reset();
    for (const auto& entry : std::filesystem::directory_iterator(folder_->path())) {
      if (entry.path().filename() != "modules") {
        run_.report.broken("a file was left: " + entry.path().filename().string());
      }
    }
  }

  void report(std::size_t rounds, const Load& load) {
    const auto add = [&](const std::string& name, const auto& value) { run_.report.figure(name, value); };
    add("rounds", rounds);
    add("calls made", ledger_.made());
    add("calls answered", ledger_.answered());
    add("results", ledger_.results());
    add("longest wait, ms", in_millis(ledger_.worst_wait()));
    add("most workers for one call", ledger_.most_attempts());
    add("connections lost", load.reconnected());
    add("stalls of the machine", stall_watch_.stalls());
    add("holdfastd's memory by rounds, bytes", supervisor_bytes_);
    add("broker's memory by rounds, bytes", broker_bytes_);
    add("latency by rounds, of before", latency_ratios_);
    add("acts", acts_.counts());
    add("clients that misbehaved", vandals_.counts());
    add("calls by kind", ledger_.by_kind());
    if (grows(supervisor_bytes_)) run_.report.broken("holdfastd's memory grows from round to round");
    if (grows(broker_bytes_)) run_.report.broken("the broker's memory grows from round to round");
  }

  Run& run_;
  std::shared_ptr<test::TemporaryFolder> folder_;
  std::optional<test::Daemon> daemon_;
  std::atomic<unsigned> disturbances_ = kNothing;
  Ledger ledger_;
  StallWatch stall_watch_{disturbances_};
  ProcessActs acts_;
  Vandals vandals_;
  std::vector<std::uint64_t> supervisor_bytes_;
  std::vector<std::uint64_t> broker_bytes_;
  std::vector<double> latency_ratios_;
};

// A supervisor whose log cannot be written, as on a full disk: /dev/full in full(4). Workers are killed so that it has
// something to log.
void serve_with_a_full_disk(Run& run) {
  const test::TemporaryFolder folder;
  const bool as_nobody = run.as_nobody || test::is_for_nobody();
  const std::string program =
      as_nobody ? test::startable_by_nobody(test::supervisor_program()) : test::supervisor_program();
  const auto start = folder.write("start", fmt::format("#!/bin/sh\nexec '{}' \"$@\" 2>/dev/full\n", program));
  ::chmod(start.c_str(), 0755);
  std::vector<std::string> flags = kFlags;
  std::replace(flags.begin(), flags.end(), std::string("warning"), std::string("debug"));
  test::Daemon daemon({.modules = modules_of_kinds(), .flags = flags, .supervisor = start, .as_nobody = run.as_nobody});
  ipc::Client client = daemon.connect();
  constexpr std::size_t kTurns = 20;
  constexpr std::size_t kCallsEach = 20;
  test::Calls calls(client);
  for (std::size_t turn = 0; turn < kTurns; ++turn) {
    for (std::size_t i = 0; i < kCallsEach; ++i) calls.start({"noisy", "shout", "\"s\""});
    if (turn % 5 == 0) calls.start({"hog", "fill"});
    client.run_once(milliseconds(0));
    if (turn % 4 == 1) {
      for (pid_t worker : family_of(daemon.pid()).workers) ::kill(worker, SIGKILL);
    }
    calls.wait_for_all();
  }
  const std::size_t explained = calls.count("result") + calls.count("worker_crashed") + calls.count("out_of_memory") +
                                calls.count("cpu_exceeded") + calls.count("unavailable") + calls.count("overloaded") +
                                calls.count("load_failed");
  if (explained != calls.size()) run.report.broken("with a full disk: calls ended with unexpected errors");
  if (calls.count("result") < calls.size() / 4)
    run.report.broken("with a full disk: less than a quarter of the calls have a result");
  // Later calls are served as usual.
  if (!test::eventually([&] { return test::outcome(test::call(client, {kPlainModule, "echo", "5"})) == "5"; })) {
    run.report.broken("with a full disk: a plain call is not served");
  }
  if (!client.connected()) run.report.broken("with a full disk: the connection was lost");
  run.report.figure("calls with a full disk", calls.size());
  daemon.stop();
}

}  // namespace

void run_chaos(Run& run) {
  Chaos(run).run();
  if (!is_interrupted()) serve_with_a_full_disk(run);
}

}  // namespace holdfast::soak
