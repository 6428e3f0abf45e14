// Calls of a module that is loaded and warm, made one after the other.
#include <fmt/format.h>

#include <utility>

#include "tools/cli/bench/calls.h"
#include "tools/cli/bench/series.h"
#include "tools/cli/bench/supervisor.h"

namespace holdfast::cli::bench {

Sections run_hot(const Context& context) {
  context.progress("hot calls: starting");
  auto target = Target::open(context);
  if (!target) return tl::unexpected(target.error());
  const ipc::CallRequest request = add_request(target->module());
  const CallBytes frames = call_bytes(request, kAddExpected);
  auto series = byte_floors(frames.request, frames.answer);
  if (!series) return tl::unexpected(series.error());
  series->push_back({{.key = "hot", .what = "hot: add, one call at a time"},
                     [&] { return timed_call(context, target->client(), request); }});

  auto taken =
      take_turns(context, "hot calls", *series,
                 {.samples = context.options.calls, .rounds = context.options.rounds, .warm_up = kWarmUpCalls});
  if (!taken) return tl::unexpected(taken.error());
  Section hot{
      .title = "HOT",
      .notes = {fmt::format("A call is {} bytes, its answer {}; {} calls of warm-up are not counted. "
                            "The processes of the floors sleep until bytes come. Client and supervisor busy-poll "
                            "first, which can be faster. The floors change severalfold with whether the kernel "
                            "runs their processes on one core or on several.",
                            frames.request, frames.answer, kWarmUpCalls)},
      .curves = {{.name = "hot", .title = "Latency of hot calls", .x = {}}}};
  Section rounds{.key = "rounds", .title = "ROUNDS OF HOT", .in_tables = false};
  const auto& floors = taken->front().medians;
  const auto& calls = taken->back().medians;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    rounds.rows.push_back(
        {.what = "round", .figures = {duration("floor_p50", floors[i]), duration("hot_p50", calls[i])}});
  }
  for (std::size_t i = 0; i < series->size(); ++i) {
    hot.rows.push_back((*series)[i].row);
    hot.rows.back().latency = summarize(std::move((*taken)[i].samples));
  }
  const auto p50 = [&](std::size_t row) { return static_cast<double>(hot.rows[row].latency->p50.count()); };
  if (p50(0) > 0) hot.figures.push_back(ratio("hot_to_floor", p50(hot.rows.size() - 1) / p50(0)));
  return std::vector{std::move(hot), std::move(rounds)};
}

}  // namespace holdfast::cli::bench
