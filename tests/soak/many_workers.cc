#include <fmt/format.h>
#include <sys/resource.h>

#include <vector>

#include "ipc/base/units.h"
#include "tests/soak/family.h"
#include "tests/soak/forms.h"
#include "tests/soak/observer.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/waiting.h"

namespace holdfast::soak {
namespace {

struct Sum {
  Memory memory;
  std::size_t unreadable = 0;
};

Sum memory_of_all(const std::vector<pid_t>& processes) {
  Sum sum;
  for (pid_t pid : processes) {
    if (const auto memory = memory_of(pid)) {
      sum.memory.private_bytes += memory->private_bytes;
      sum.memory.proportional_bytes += memory->proportional_bytes;
    } else {
      ++sum.unreadable;
    }
  }
  return sum;
}

void report_memory(Run& run, const std::string& whose, const std::vector<pid_t>& processes) {
  const Sum sum = memory_of_all(processes);
  if (sum.unreadable > 0) {
    // This happens where only root may inspect processes that are not dumpable.
    run.report.figure(whose, fmt::format("{} of {} cannot be inspected", sum.unreadable, processes.size()));
    return;
  }
  run.report.figure(whose + ", private bytes", sum.memory.private_bytes);
  run.report.figure(whose + ", share of all bytes", sum.memory.proportional_bytes);
}

// Measures what holdfastd and the broker do while no calls are made.
void report_idleness(Run& run, const Family& family) {
  constexpr std::chrono::seconds kTime{10};
  const auto effort_of_all = [](const std::vector<pid_t>& processes) {
    Effort sum;
    for (pid_t pid : processes) {
      const Effort effort = effort_of(pid).value_or(Effort{});
      sum.cpu_time += effort.cpu_time;
      sum.wakeups += effort.wakeups;
    }
    return sum;
  };
  const std::vector<std::pair<std::string, std::vector<pid_t>>> all = {
      {"holdfastd", {family.supervisor}}, {"broker", family.brokers}, {"workers", family.workers}};
  std::vector<Effort> before;
  for (const auto& [whose, processes] : all) before.push_back(effort_of_all(processes));
  if (!pause_for(kTime)) return;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Effort after = effort_of_all(all[i].second);
    run.report.figure(all[i].first + ", idle for 10 s, ms of CPU", (after.cpu_time - before[i].cpu_time).count());
    run.report.figure(all[i].first + ", idle for 10 s, wake-ups", after.wakeups - before[i].wakeups);
  }
}

// Makes one call to each module, all at once, and notes how long all of them took.
void call_each(Run& run, ipc::Client& client, const std::vector<test::Module>& modules, const std::string& name) {
  const auto begin = Clock::now();
  test::Calls calls(client);
  for (std::size_t i = 0; i < modules.size(); ++i) {
    calls.start({modules[i].name, "count", std::to_string(i), std::chrono::seconds(120)});
  }
  calls.wait_for_all();
  run.report.figure(name + ", ms", in_millis(Clock::now() - begin));
  for (std::size_t i = 0; i < modules.size(); ++i) {
    const std::string expected = fmt::format("[{},{}]", i, name == "first calls" ? 1 : 2);
    const std::string outcome = test::outcome(calls.answer(i));
    if (outcome != expected) run.report.broken(fmt::format("{}: module {}: {}", name, modules[i].name, outcome));
  }
}

}  // namespace

void run_many_workers(Run& run, std::size_t workers) {
  // Four descriptors for each worker, and some for everything else; see default_max_clients() in supervisor/main.cc.
  const std::size_t needed = 4 * workers + 256;
  rlimit limit = {};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_max < needed) {
    return run.report.broken(
        fmt::format("the limit of open files is {}; {} workers need {} (ulimit -Hn)", limit.rlim_max, workers, needed));
  }
  std::vector<test::Module> modules;
  for (std::size_t i = 0; i < workers; ++i) {
    // The second answer shows that it comes from the same process as the first.
    modules.push_back({fmt::format("m{:05}", i), "let calls = 0; exports.count = (payload) => [payload, ++calls];"});
  }
  test::Daemon daemon({.modules = modules,
                       .flags = {"--max-workers", std::to_string(workers), "--idle-timeout", "1h", "--timeout", "120s",
                                 "--log-level", "warning"},
                       .as_nobody = run.as_nobody});
  {
    const Observer observer(daemon.socket_path(), run);
    ipc::Client client = daemon.connect();
    show_progress("first calls");
    call_each(run, client, modules, "first calls");
    std::size_t alive = 0;
    for (const auto& worker : test::workers(client)) alive += !worker.module.empty() && worker.pid != 0;
    run.report.figure("workers alive at once", alive);
    if (alive != workers) run.report.broken(fmt::format("{} of {} workers are alive", alive, workers));
    show_progress("second calls");
    call_each(run, client, modules, "second calls");
    const Family family = family_of(daemon.pid());
    run.report.figure("processes of workers", family.workers.size());
    report_memory(run, "workers", family.workers);
    report_memory(run, "zygotes", family.zygotes);
    report_memory(run, "launchers", family.launchers);
    report_memory(run, "broker", family.brokers);
    report_memory(run, "holdfastd", {family.supervisor});
    observer.report();
  }
  show_progress("idle");
  report_idleness(run, family_of(daemon.pid()));
  const auto begin = Clock::now();
  daemon.stop();
  run.report.figure("end, ms", in_millis(Clock::now() - begin));
}

}  // namespace holdfast::soak
