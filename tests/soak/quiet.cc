#include "tests/soak/quiet.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <numeric>
#include <optional>

#include "tests/soak/family.h"
#include "tests/soak/kinds.h"
#include "tests/support/calls.h"
#include "tests/support/processes.h"
#include "tests/support/waiting.h"

namespace holdfast::soak {
namespace {

namespace fs = std::filesystem;

// Enough time for unneeded processes to end: covers the idle timeout and the detection of a hung zygote.
constexpr std::chrono::seconds kSettled{30};

// Latency is measured over batches of plain calls. The best batch counts, as other load on the machine comes and goes.
constexpr std::size_t kBatches = 4;
constexpr std::size_t kCallsInABatch = 200;

// Allocators keep some freed memory, and a process that has served for a minute has not used all of its code yet.
constexpr std::uint64_t kTolerableGrowth = std::uint64_t{32} << 20;

// Gives up after kSettled, as a call that is never answered is what the run looks for and must not block it.
std::string outcome_of_plain_call(ipc::Client& client, const std::string& payload) {
  const test::CallTo to{kPlainModule, "echo", payload};
  const auto outcome = std::make_shared<std::optional<std::string>>();
  client.start(to.request(), [outcome](const ipc::Answer& answer) { *outcome = test::outcome(answer); });
  const auto end = Clock::now() + kSettled;
  while (!*outcome && Clock::now() < end) client.run_once(milliseconds(100));
  return outcome->value_or("no answer");
}

}  // namespace

Quiet::Quiet(const test::Daemon& daemon, std::size_t standby, Run& run)
    : daemon_(daemon), standby_(standby), run_(run), client_(daemon.connect()) {}

Measured Quiet::await(const std::string& when) {
  end_what_is_stopped();
  await_service(when);
  // Measures latency when nothing else is going on, and memory after everything that the measurement started is gone.
  settle(when);
  Measured measured;
  measured.latency = measure_latency();
  settle(when);
  const pid_t broker = daemon_.broker();
  if (!has_baseline_) {
    has_baseline_ = true;
    baseline_.supervisor_descriptors = test::descriptors_of(daemon_.pid()).size();
    baseline_.broker_descriptors = test::descriptors_of(broker).size();
    baseline_.latency = measured.latency;
    check_files(when);
  } else {
    const auto check = [&](const char* whose, pid_t pid, std::size_t before) {
      if (test::eventually([&] { return test::descriptors_of(pid).size() == before; })) return;
      std::string list;
      for (const std::string& target : test::descriptors_of(pid)) list += " " + target;
      run_.report.broken(fmt::format("{}: {} had {} descriptors, now {}:{}", when, whose, before,
                                     test::descriptors_of(pid).size(), list));
    };
    check("holdfastd", daemon_.pid(), baseline_.supervisor_descriptors);
    check("the broker", broker, baseline_.broker_descriptors);
    check_files(when);
  }
  measured.supervisor_bytes = anonymous_bytes(daemon_.pid());
  measured.broker_bytes = anonymous_bytes(broker);
  return measured;
}

// The supervisor cannot tell that a standby is stopped; each one would cost a later call its deadline.
void Quiet::end_what_is_stopped() {
  for (pid_t pid : test::descendants_of(daemon_.pid())) {
    if (!test::status_field(pid, "State").starts_with('T')) continue;
    run_.report.note(fmt::format("kill {}, which was left stopped", pid));
    ::kill(pid, SIGKILL);
  }
}

// Calls may still fail through earlier acts until each damaged process has been replaced.
void Quiet::await_service(const std::string& when) {
  constexpr std::size_t kEnough = 5;
  std::size_t served = 0;
  std::string last;
  const bool is_served = test::eventually(
      [&] {
        if (!client_.connected()) client_ = daemon_.connect();
        last = outcome_of_plain_call(client_, "1");
        served = last == "1" ? served + 1 : 0;
        return served == kEnough;
      },
      kSettled);
  if (!is_served) run_.report.broken(fmt::format("{}: a plain call is not served: {}", when, last));
}

void Quiet::settle(const std::string& when) {
  if (!test::eventually([&] { return has_only_standbys(); }, kSettled)) {
    run_.report.broken(fmt::format("{}: processes are left: {}", when, state_of_family()));
  }
}

bool Quiet::has_only_standbys() {
  const auto list = client_.list_workers();
  if (!list) return false;
  const bool all_are_standbys =
      std::all_of(list->workers.begin(), list->workers.end(),
                  [](const ipc::WorkerInfo& info) { return info.state == ipc::WorkerState::standby && info.pid != 0; });
  if (!all_are_standbys || list->workers.size() != standby_) return false;
  reap_orphans(daemon_.pid());
  const Family family = family_of(daemon_.pid());
  if (family.brokers.size() != 1 || family.launchers.size() != 1 || family.zygotes.size() != 1) return false;
  if (family.workers.size() != standby_) return false;
  // The monitor, the server, the broker, the launcher and the zygote; any further process below this program was left
  // behind.
  return test::descendants_of(::getpid()).size() == 5 + standby_ && test::zombies_below(daemon_.pid()).empty();
}

std::string Quiet::state_of_family() {
  std::string text;
  if (const auto list = client_.list_workers()) {
    for (const auto& info : list->workers) {
      text += fmt::format("[worker {} {} {} with {} calls] ", info.pid, info.module, ipc::to_string(info.state),
                          info.calls_in_flight);
    }
  }
  for (pid_t pid : test::descendants_of(::getpid())) {
    text += fmt::format("[{} {} {} below {}] ", pid, test::status_field(pid, "Name"), test::status_field(pid, "State"),
                        test::status_field(pid, "PPid"));
  }
  for (pid_t pid : test::zombies_below(daemon_.pid())) text += fmt::format("[zombie {}] ", pid);
  return text;
}

void Quiet::check_files(const std::string& when) {
  std::set<std::string> files;
  for (const auto& entry : fs::directory_iterator(daemon_.folder()->path())) {
    if (entry.path().filename() != "modules") files.insert(entry.path().filename());
  }
  if (baseline_.files.empty()) baseline_.files = files;
  if (files != baseline_.files)
    run_.report.broken(
        fmt::format("{}: {} files beside the modules, expected {}", when, files.size(), baseline_.files.size()));
}

Clock::duration Quiet::measure_latency() {
  auto best = Clock::duration::max();
  for (std::size_t batch = 0; batch < kBatches; ++batch) {
    std::vector<Clock::duration> samples;
    for (std::size_t i = 0; i < kCallsInABatch; ++i) {
      const std::string payload = std::to_string(i);
      const auto begin = Clock::now();
      const std::string outcome = outcome_of_plain_call(client_, payload);
      samples.push_back(Clock::now() - begin);
      if (outcome == payload) continue;
      run_.report.broken("a plain call in a quiet phase: " + outcome);
      if (!client_.connected()) client_ = daemon_.connect();
    }
    const auto middle = samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2);
    std::nth_element(samples.begin(), middle, samples.end());
    best = std::min(best, *middle);
  }
  return best;
}

bool grows(const std::vector<std::uint64_t>& bytes) {
  constexpr std::size_t kFirst = 1;
  constexpr std::size_t kEnough = 4;
  if (bytes.size() < kEnough) return false;
  const std::size_t third = (bytes.size() - kFirst) / 3;
  const auto mean = [&](std::size_t begin) {
    const auto from = bytes.begin() + static_cast<std::ptrdiff_t>(begin);
    return std::accumulate(from, from + static_cast<std::ptrdiff_t>(third), std::uint64_t{0}) / third;
  };
  const std::uint64_t early = mean(kFirst);
  return mean(bytes.size() - third) > early + std::max(kTolerableGrowth, early / 2);
}

}  // namespace holdfast::soak
