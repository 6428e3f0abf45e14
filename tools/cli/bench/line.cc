// Calls over a direct line, made one after the other, compared with calls that the supervisor relays.
#include <fmt/format.h>

#include <utility>

#include "tools/cli/bench/calls.h"
#include "tools/cli/bench/series.h"
#include "tools/cli/bench/supervisor.h"

namespace holdfast::cli::bench {

Sections run_line(const Context& context) {
  context.progress("calls over a direct line: starting");
  auto target = Target::open(context, {"--direct-line"});
  if (!target) return tl::unexpected(target.error());
  auto relayed = connect_to(context, target->socket());
  if (!relayed) return tl::unexpected(relayed.error());
  if (const auto opened = target->client().open_line(target->module()); !opened) return stop(opened.error().message);
  ipc::CallRequest request = add_request(target->module());
  // Calls on the line do not name the module.
  ipc::CallRequest on_line = request;
  on_line.module = on_line.version = {};
  const CallBytes frames = call_bytes(on_line, kAddExpected);
  auto series = byte_floors(frames.request, frames.answer);
  if (!series) return tl::unexpected(series.error());
  // Keys other than those of the suite `hot`.
  series->at(0).row.key = "line_floor_relayed";
  series->at(1).row.key = "line_floor";
  series->push_back({{.key = "line_relayed", .what = "hot: add, one call at a time, relayed"},
                     [&] { return timed_call(context, *relayed, request); }});
  series->push_back({{.key = "line", .what = "line: add, one call at a time"},
                     [&] { return timed_call(context, target->client(), request); }});
  auto taken =
      take_turns(context, "calls over a direct line", *series,
                 {.samples = context.options.calls, .rounds = context.options.rounds, .warm_up = kWarmUpCalls});
  if (!taken) return tl::unexpected(taken.error());
  if (!target->client().has_line(target->module())) return stop("the direct line was withdrawn during the measurement");

  Section line{
      .title = "LINE",
      .notes = {fmt::format("A call is {} bytes, its answer {}; {} calls of warm-up are not counted. The floor "
                            "to compare the line with is the one between two processes, which sleep until bytes come.",
                            frames.request, frames.answer, kWarmUpCalls)},
      .curves = {{.name = "line", .title = "Latency of calls over a direct line", .x = {}}}};
  Section rounds{.key = "line_rounds", .title = "ROUNDS OF LINE", .in_tables = false};
  constexpr std::size_t kDirectFloor = 1, kLine = 3;
  for (std::size_t i = 0; i < taken->at(kLine).medians.size(); ++i) {
    rounds.rows.push_back({.what = "round",
                           .figures = {duration("line_floor_p50", taken->at(kDirectFloor).medians[i]),
                                       duration("line_p50", taken->at(kLine).medians[i])}});
  }
  for (std::size_t i = 0; i < series->size(); ++i) {
    line.rows.push_back((*series)[i].row);
    line.rows.back().latency = summarize(std::move((*taken)[i].samples));
  }
  const auto p50 = [&](std::size_t row) { return static_cast<double>(line.rows[row].latency->p50.count()); };
  if (p50(kDirectFloor) > 0) line.figures.push_back(ratio("line_to_floor", p50(kLine) / p50(kDirectFloor)));
  return std::vector{std::move(line), std::move(rounds)};
}

}  // namespace holdfast::cli::bench
