#include "tools/cli/bench/series.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "tools/cli/bench/floor.h"
#include "tools/cli/bench/fork_floor.h"

namespace holdfast::cli::bench {
namespace {

tl::expected<Series, Stop> byte_floor(Floor::Path path, std::size_t request_bytes, std::size_t answer_bytes, Row row) {
  auto floor = Floor::start(path, request_bytes, answer_bytes);
  if (!floor) return stop(floor.error());
  auto shared = std::make_shared<Floor>(std::move(*floor));
  return Series{std::move(row), [shared]() -> tl::expected<nanoseconds, Stop> {
                  const auto begin = std::chrono::steady_clock::now();
                  if (!shared->round_trip()) return stop("a process that measures the floor ended early");
                  return std::chrono::steady_clock::now() - begin;
                }};
}

}  // namespace

tl::expected<std::vector<Taken>, Stop> take_turns(const Context& context, const std::string& title,
                                                  const std::vector<Series>& series, const Turns& turns) {
  const auto sample = [&](const Series& one, unsigned times) -> tl::expected<Samples, Stop> {
    Samples samples;
    samples.reserve(times);
    for (unsigned i = 0; i < times; ++i) {
      const auto elapsed = one.sample();
      if (!elapsed) return tl::unexpected(elapsed.error());
      samples.push_back(*elapsed);
    }
    if (auto signal = interrupted(context)) return tl::unexpected(*signal);
    return samples;
  };
  context.progress(fmt::format("{}: warming up", title));
  for (const Series& one : series) {
    if (const auto unused = sample(one, turns.warm_up); !unused) return tl::unexpected(unused.error());
  }
  std::vector<Taken> taken(series.size());
  const unsigned rounds = std::max(1U, std::min(turns.rounds, turns.samples));
  for (unsigned round = 0; round < rounds; ++round) {
    context.progress(fmt::format("{}: round {} of {}", title, round + 1, rounds));
    const unsigned share = turns.samples / rounds + (round < turns.samples % rounds ? 1 : 0);
    for (std::size_t i = 0; i < series.size(); ++i) {
      const auto part = sample(series[i], share);
      if (!part) return tl::unexpected(part.error());
      taken[i].samples.insert(taken[i].samples.end(), part->begin(), part->end());
      taken[i].medians.push_back(summarize(*part).p50);
    }
  }
  return taken;
}

tl::expected<std::vector<Row>, Stop> measure(const Context& context, const std::string& title,
                                             const std::vector<Series>& series, const Turns& turns) {
  auto taken = take_turns(context, title, series, turns);
  if (!taken) return tl::unexpected(taken.error());
  std::vector<Row> rows;
  for (std::size_t i = 0; i < series.size(); ++i) {
    rows.push_back(series[i].row);
    rows.back().latency = summarize(std::move((*taken)[i].samples));
  }
  return rows;
}

tl::expected<std::vector<Series>, Stop> byte_floors(std::size_t request_bytes, std::size_t answer_bytes,
                                                    const std::vector<Value>& parameters) {
  auto relayed =
      byte_floor(Floor::Path::relayed, request_bytes, answer_bytes,
                 {.key = "floor", .what = "floor: the same bytes through three processes", .parameters = parameters});
  if (!relayed) return tl::unexpected(relayed.error());
  auto direct = byte_floor(
      Floor::Path::direct, request_bytes, answer_bytes,
      {.key = "floor_direct", .what = "floor: the same bytes between two processes", .parameters = parameters});
  if (!direct) return tl::unexpected(direct.error());
  return std::vector{std::move(*relayed), std::move(*direct)};
}

tl::expected<std::vector<Series>, Stop> fork_floors(const Context& context) {
  std::vector<Series> floors = {{{.key = "floor_fork", .what = "floor: a bare fork, to the child's end"},
                                 []() -> tl::expected<nanoseconds, Stop> {
                                   const auto elapsed = time_fork();
                                   if (!elapsed) return stop(elapsed.error());
                                   return *elapsed;
                                 }}};
  if (context.options.fork_call.empty()) return floors;
  auto program = ForkCallProgram::start(context.options.fork_call);
  if (!program) return stop(program.error());
  auto shared = std::make_shared<ForkCallProgram>(std::move(*program));
  floors.push_back({{.key = "floor_fork_v8", .what = "floor: a bare fork with V8, to a call's answer"},
                    [shared]() -> tl::expected<nanoseconds, Stop> {
                      const auto elapsed = shared->sample();
                      if (!elapsed) return stop(elapsed.error());
                      return *elapsed;
                    }});
  return floors;
}

}  // namespace holdfast::cli::bench
