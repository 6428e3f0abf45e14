// Measures the figures in docs/modules.md. Not a test of behaviour, and skipped unless it is requested.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <sstream>

#include "tests/real_modules/bundles.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"

namespace holdfast::test {
namespace {

constexpr int kLoads = 7;
constexpr int kCalls = 10;

struct Figures {
  double load_milliseconds = 0;  // the shortest of kLoads
  double memory_megabytes = 0;   // after kCalls
};

// The process's private memory at the moment, as `holdfast ps` shows it.
double private_megabytes(pid_t pid) {
  std::istringstream lines(read_file(fmt::format("/proc/{}/smaps_rollup", pid)));
  double kilobytes = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("Private_Clean:", 0) == 0 || line.rfind("Private_Dirty:", 0) == 0) {
      kilobytes += std::stod(line.substr(line.find(':') + 1));
    }
  }
  REQUIRE_MESSAGE(kilobytes > 0, "only root can read the memory of a worker in /proc");
  return kilobytes * 1024 / 1e6;
}

// Every version is loaded into a standby.
Figures figures_of(ipc::Client& client, const RealModule& module) {
  Figures figures;
  for (int version = 1; version <= kLoads; ++version) {
    REQUIRE(workers_become(client, [](const auto& workers) {
      return std::any_of(workers.begin(), workers.end(),
                         [](const ipc::WorkerInfo& worker) { return worker.state == ipc::WorkerState::standby; });
    }));
    CallTo to{module.name, module.calls.front().function, module.calls.front().payload};
    to.version = fmt::format("v{}", version);
    const ipc::Answer answer = call(client, to);
    REQUIRE(answer.usage.cold);
    const double took = std::chrono::duration<double, std::milli>(answer.usage.load).count();
    figures.load_milliseconds = version == 1 ? took : std::min(figures.load_milliseconds, took);
    if (version < kLoads) continue;
    for (int i = 1; i < kCalls; ++i) call(client, to);
    for (const ipc::WorkerInfo& worker : workers(client)) {
      if (worker.module == module.name && worker.version == to.version) {
        figures.memory_megabytes = private_megabytes(worker.pid);
      }
    }
  }
  return figures;
}

Figures figures_in(const std::string& profile, const RealModule& module) {
  Daemon daemon({.flags = {"--profile", profile, "--allow-eval", "ajv"}, .folder = folder_with_bundles(kLoads)});
  ipc::Client client = daemon.connect();
  return figures_of(client, module);
}

std::string cells(double jit, double strict, const char* unit, bool runs_in_strict) {
  return fmt::format("{:.1f} {} | {}", jit, unit, runs_in_strict ? fmt::format("{:.1f} {}", strict, unit) : "");
}

TEST_CASE("a table of load times and memory of published packages" * doctest::skip()) {
  fmt::print(
      "| module | bundle | load, jit | strict | memory, jit | strict |\n| --- | --- | --- | --- | --- | --- |\n");
  for (const RealModule& module : real_modules()) {
    const bool runs_in_strict = module.calls.front().needs != Needs::web_assembly;
    const Figures jit = figures_in("jit", module);
    const Figures strict = runs_in_strict ? figures_in("strict", module) : Figures{};
    fmt::print("| {} | {} kB | {} | {} |\n", module.name, std::filesystem::file_size(bundle_of(module)) / 1000,
               cells(jit.load_milliseconds, strict.load_milliseconds, "ms", runs_in_strict),
               cells(jit.memory_megabytes, strict.memory_megabytes, "MB", runs_in_strict));
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace holdfast::test
