// How many cold starts per second can be sustained. Each call is of a new module, and the pool is full, so that
// another module must be evicted.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "tools/cli/bench/calls.h"
#include "tools/cli/bench/load.h"
#include "tools/cli/bench/series.h"
#include "tools/cli/bench/supervisor.h"

namespace holdfast::cli::bench {
namespace {

constexpr std::array kColdCallsInFlight = {1U, 4U, 16U};
constexpr std::size_t kPool = 32;

// Module files written in advance for each second: more than a machine of a few cores can cold start.
constexpr double kModulesPerSecond = 3000;
constexpr double kMostModules = 20'000;

}  // namespace

Sections run_cold_rate(const Context& context) {
  context.progress("cold starts per second: writing modules");
  const double wanted = context.options.seconds * kModulesPerSecond * static_cast<double>(kColdCallsInFlight.size());
  const auto modules =
      context.files.write_many("unseen", static_cast<std::size_t>(std::clamp(wanted, 100.0, kMostModules)));
  if (!modules) return stop(modules.error());
  auto supervisor =
      BenchSupervisor::start(context, "cold-rate", {"--max-workers", fmt::to_string(kPool), "--queue-limit", "100000"});
  if (!supervisor) return tl::unexpected(supervisor.error());
  auto next_module = modules->begin();
  for (std::size_t i = 0; i < kPool; ++i) {
    if (auto problem = call_add(context, supervisor->client(), *next_module++)) return tl::unexpected(*problem);
  }

  const NextCall next = [&]() -> std::optional<ipc::CallRequest> {
    if (next_module == modules->end()) return std::nullopt;
    return add_request(*next_module++);
  };
  std::vector<LoadSeries> series;
  for (const unsigned in_flight : kColdCallsInFlight) {
    series.push_back({{.what = "cold, another module has to go", .parameters = {count("in_flight", in_flight)}},
                      {&supervisor->client()},
                      in_flight});
  }
  auto floors = fork_floors(context);
  if (!floors) return tl::unexpected(floors.error());
  auto rows = measure_loads(context, "cold starts per second", series, load_duration(context), next,
                            {std::move(*floors), context.options.cold_calls});
  if (!rows) return tl::unexpected(rows.error());
  const bool ran_out = next_module == modules->end();

  Section section{
      .key = "cold_rate",
      .title = "COLD STARTS PER SECOND",
      .rows = std::move(*rows),
      .notes = {fmt::format(
          "The pool has {} slots, and modules hold all of them. The number of standbys is the default.", kPool)},
      .curves = {{.name = "cold-rate",
                  .title = "Cold starts per second by calls in flight",
                  .x = "in_flight",
                  .x_label = "calls in flight",
                  .y = "calls_per_second",
                  .y_label = "cold starts per second"}}};
  if (ran_out)
    section.notes.push_back(fmt::format("All {} modules were used up before the time was over.", modules->size()));
  return std::vector{std::move(section)};
}

}  // namespace holdfast::cli::bench
