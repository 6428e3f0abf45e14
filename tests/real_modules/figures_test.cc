// Not a test of behaviour, and skipped unless it is asked for: the figures of docs/modules.md.
#include <algorithm>
#include <cstdio>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/real_modules/bundles.h"
#include "tests/support/daemon.h"

namespace holdfast::test {
namespace {

constexpr int kLoads = 7;
constexpr int kCalls = 10;

struct Figures {
  double load_milliseconds = 0;  // the least of kLoads
  double memory_megabytes = 0;   // after kCalls
};

// Every version is loaded into a process that was ready before.
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
        figures.memory_megabytes = static_cast<double>(worker.memory_bytes) / 1e6;
      }
    }
  }
  return figures;
}

TEST_CASE("a table of what published packages take" * doctest::skip()) {
  std::vector<std::vector<Figures>> figures(real_modules().size());
  for (const char* profile : {"jit", "strict"}) {
    Daemon daemon({.flags = {"--profile", profile, "--allow-eval", "ajv", "--max-workers", "128"},
                   .folder = folder_with_bundles(kLoads)});
    ipc::Client client = daemon.connect();
    for (std::size_t i = 0; i < figures.size(); ++i) figures[i].push_back(figures_of(client, real_modules()[i]));
  }
  fmt::print(
      "| module | bundle | load, jit | strict | memory, jit | strict |\n| --- | --- | --- | --- | --- | --- |\n");
  for (std::size_t i = 0; i < figures.size(); ++i) {
    const RealModule& module = real_modules()[i];
    fmt::print("| {} | {} kB | {:.1f} ms | {:.1f} ms | {:.1f} MB | {:.1f} MB |\n", module.name,
               std::filesystem::file_size(bundle_of(module)) / 1000, figures[i][0].load_milliseconds,
               figures[i][1].load_milliseconds, figures[i][0].memory_megabytes, figures[i][1].memory_megabytes);
  }
}

}  // namespace
}  // namespace holdfast::test
