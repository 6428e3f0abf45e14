// First calls of modules: with a standby ready, without standbys, and with an eviction of another module.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "tools/cli/bench/calls.h"
#include "tools/cli/bench/series.h"
#include "tools/cli/bench/supervisor.h"

namespace holdfast::cli::bench {
namespace {

constexpr std::size_t kFullPool = 8;

// This many calls of one kind follow each other, as on a host with many cold calls: the first finds the caches as
// another kind left them, the others as the supervisor's own work left them.
constexpr unsigned kInARow = 6;

// Samples the first call of each module in turn.
Sampler first_calls(const Context& context, ipc::Client& client, const std::vector<ipc::ModuleName>& modules) {
  return [&context, &client, &modules, next = std::size_t{0}]() mutable {
    return timed_call(context, client, add_request(modules.at(next++)));
  };
}

// Fills the pool, so that the next cold call finds no room.
std::optional<Stop> fill(const Context& context, ipc::Client& client) {
  const auto residents = context.files.write_many("resident", kFullPool);
  if (!residents) return stop(residents.error()).value();
  for (const ipc::ModuleName& module : *residents) {
    if (auto problem = call_add(context, client, module)) return problem;
  }
  return std::nullopt;
}

}  // namespace

Sections run_cold(const Context& context) {
  context.progress("cold calls: starting");
  const unsigned samples = context.options.cold_calls;
  const auto modules = context.files.write_many("cold", samples);
  if (!modules) return stop(modules.error());
  // With room for all modules, so that no eviction is measured.
  auto with_standby = BenchSupervisor::start(context, "standby", pool_flags(samples + 1, 1));
  if (!with_standby) return tl::unexpected(with_standby.error());
  auto without = BenchSupervisor::start(context, "no-standby", pool_flags(samples + 1, 0));
  if (!without) return tl::unexpected(without.error());
  auto full = BenchSupervisor::start(context, "full", pool_flags(kFullPool, 0));
  if (!full) return tl::unexpected(full.error());
  if (auto problem = fill(context, full->client())) return tl::unexpected(*problem);

  auto series = fork_floors(context);
  if (!series) return tl::unexpected(series.error());
  const Sampler first = first_calls(context, with_standby->client(), *modules);
  series->push_back(
      {{.key = "cold_with_standby", .what = "cold: a standby was ready"}, [&]() -> tl::expected<nanoseconds, Stop> {
         // The next standby must be ready before anything else is measured.
         auto elapsed = first();
         if (!elapsed) return elapsed;
         if (auto problem = wait_for_standby(context, with_standby->client())) {
           return tl::unexpected(*problem);
         }
         return elapsed;
       }});
  series->push_back({{.key = "cold_without_standby", .what = "cold: without standbys"},
                     first_calls(context, without->client(), *modules)});
  series->push_back({{.key = "cold_with_eviction", .what = "cold: without standbys, another module has to go"},
                     first_calls(context, full->client(), *modules)});
  if (auto problem = wait_for_standby(context, with_standby->client())) return tl::unexpected(*problem);
  auto rows =
      measure(context, "cold calls", *series, {.samples = samples, .rounds = (samples + kInARow - 1) / kInARow});
  if (!rows) return tl::unexpected(rows.error());

  Section cold{
      .title = "COLD",
      .rows = std::move(*rows),
      .notes = {fmt::format("Each call is the first one to a module of {} bytes. Where another module has to go, {} "
                            "idle modules fill the pool. Up to {} calls of a kind are made one after the other.",
                            kSmallModule.size(), kFullPool, kInARow)},
      .curves = {{.name = "cold", .title = "Latency of cold calls", .x = {}}}};
  if (context.options.fork_call.empty()) {
    cold.notes.emplace_back("The floor of a fork with V8 was left out: --fork-call names no program.");
  }
  return std::vector{std::move(cold)};
}

}  // namespace holdfast::cli::bench
