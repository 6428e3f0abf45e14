// Calls per second of one module by calls in flight, and latencies at a fixed rate of arrival.
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

constexpr std::array kInFlight = {1U, 4U, 16U, 64U, 256U};

// Arrival rates in percent of the closed loop's rate with kOpenLoopBase calls in flight.
constexpr std::array kArrivalPercent = {25U, 50U, 75U};
constexpr unsigned kOpenLoopBase = 16;

tl::expected<Section, Stop> at_fixed_rates(const Context& context, ipc::Client& client, const ipc::CallRequest& request,
                                           double closed_rate) {
  Section section{
      .key = "open_loop",
      .title = "OPEN LOOP",
      .notes = {fmt::format("Calls arrive at a fixed rate: a percentage of the closed loop's rate with {} in "
                            "flight. Latency counts from when the call was due to be sent; LATE_P99 is how "
                            "late the client sent it.",
                            kOpenLoopBase)},
      .curves = {{.name = "open-loop",
                  .title = "Latency at a fixed rate of arrival",
                  .x = "arrivals_per_second",
                  .x_label = "calls that arrive per second",
                  .y = "p99_ns",
                  .y_label = "latency (p99)"}}};
  for (const unsigned percent : kArrivalPercent) {
    context.progress(fmt::format("open loop at {} % of the closed loop's rate", percent));
    const double arrivals = std::max(1.0, closed_rate * percent / 100);
    const nanoseconds interval(std::max<nanoseconds::rep>(1, static_cast<nanoseconds::rep>(1e9 / arrivals)));
    auto load = open_loop(context, client, request, interval, load_duration(context));
    if (!load) return tl::unexpected(load.error());
    section.rows.push_back(
        {.what = "open loop",
         .parameters = {count("percent_of_closed_loop", percent), count("arrivals_per_second", arrivals)},
         .latency = summarize(std::move(load->latencies)),
         .figures = {duration("late_p99", summarize(std::move(load->lateness)).p99),
                     calls_per_second(load->answered, load->elapsed)}});
  }
  return section;
}

}  // namespace

Sections run_rates(const Context& context) {
  context.progress("calls per second: starting");
  // An open loop does not wait for queued calls.
  auto target = Target::open(
      context, {"--client-queue-limit", "1000000", "--queue-limit", "1000000", "--total-queue-limit", "1000000"});
  if (!target) return tl::unexpected(target.error());
  const ipc::CallRequest request = add_request(target->module());
  const CallBytes frames = call_bytes(request, kAddExpected);
  auto floors = byte_floors(frames.request, frames.answer, {count("in_flight", 1)});
  if (!floors) return tl::unexpected(floors.error());
  for (unsigned i = 0; i < kWarmUpCalls; ++i) {
    if (auto problem = call_add(context, target->client(), target->module())) return tl::unexpected(*problem);
  }
  std::vector<LoadSeries> series;
  for (const unsigned in_flight : kInFlight) {
    series.push_back({.row = {.what = "one client", .parameters = {count("in_flight", in_flight)}},
                      .clients = {&target->client()},
                      .in_flight = in_flight,
                      .supervisor = target->supervisor_pid()});
  }
  auto loads = measure_loads(context, "calls per second", series, load_duration(context), again(request),
                             {std::move(*floors), context.options.calls, kWarmUpCalls});
  if (!loads) return tl::unexpected(loads.error());
  const auto base = std::ranges::find(kInFlight, kOpenLoopBase) - kInFlight.begin();
  const double closed_rate = number((*loads)[static_cast<std::size_t>(base)], "calls_per_second").value_or(0);
  auto open = at_fixed_rates(context, target->client(), request, closed_rate);
  if (!open) return tl::unexpected(open.error());

  Section rates{.key = "rates",
                .title = "CALLS PER SECOND",
                .rows = std::move(*loads),
                .notes = {"Closed loop: IN_FLIGHT calls are open at all times, so a call's latency includes its wait "
                          "for other calls. SUPERVISOR_CPU is the supervisor's CPU time for each call."},
                .curves = {{.name = "rates",
                            .title = "Calls per second by calls in flight",
                            .x = "in_flight",
                            .x_label = "calls in flight",
                            .y = "calls_per_second",
                            .y_label = "calls per second"},
                           {.name = "rates-latency",
                            .title = "Latency by calls in flight",
                            .x = "in_flight",
                            .x_label = "calls in flight"}}};
  return std::vector{std::move(rates), std::move(*open)};
}

}  // namespace holdfast::cli::bench
