// Calls per second of one module by the number of clients, each with its own connection.
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

constexpr std::array kClients = {std::size_t{1}, std::size_t{8}, std::size_t{64}};
constexpr std::array kCallsInFlightOfClients = {1U, 4U};

}  // namespace

Sections run_clients(const Context& context) {
  context.progress("clients: connecting");
  auto target = Target::open(context);
  if (!target) return tl::unexpected(target.error());
  for (unsigned i = 0; i < kWarmUpCalls; ++i) {
    if (auto problem = call_add(context, target->client(), target->module())) return tl::unexpected(*problem);
  }
  std::vector<ipc::Client> clients;
  for (std::size_t i = 0; i < kClients.back(); ++i) {
    auto client = connect_to(context, target->socket());
    if (!client) return tl::unexpected(client.error());
    clients.push_back(std::move(*client));
  }
  std::vector<LoadSeries> series;
  for (const unsigned in_flight : kCallsInFlightOfClients) {
    for (const std::size_t number : kClients) {
      std::vector<ipc::Client*> some;
      for (std::size_t i = 0; i < number; ++i) some.push_back(&clients[i]);
      const auto parameters = {count("clients", static_cast<double>(number)), count("in_flight", in_flight)};
      series.push_back(
          {{.what = fmt::format("{} in flight each", in_flight), .parameters = parameters}, some, in_flight});
    }
  }
  const ipc::CallRequest request = add_request(target->module());
  const CallBytes frames = call_bytes(request, kAddExpected);
  auto floors = byte_floors(frames.request, frames.answer, {count("clients", 1), count("in_flight", 1)});
  if (!floors) return tl::unexpected(floors.error());
  auto rows = measure_loads(context, "clients", series, load_duration(context), again(request),
                            {std::move(*floors), context.options.calls, kWarmUpCalls});
  if (!rows) return tl::unexpected(rows.error());

  return std::vector{Section{.key = "clients",
                             .title = "CLIENTS",
                             .rows = std::move(*rows),
                             .notes = {fmt::format("All {} connections are open all the time, and are driven by one "
                                                   "poll loop in one thread, which is part of what is measured.",
                                                   kClients.back())},
                             .curves = {{.name = "clients",
                                         .title = "Calls per second by clients",
                                         .x = "clients",
                                         .x_label = "clients with calls in flight",
                                         .y = "calls_per_second",
                                         .y_label = "calls per second"}}}};
}

}  // namespace holdfast::cli::bench
