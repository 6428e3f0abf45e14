// Payloads of all sizes, sent to a function that answers with its payload.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>

#include "ipc/base/units.h"
#include "tools/cli/bench/calls.h"
#include "tools/cli/bench/payload_text.h"
#include "tools/cli/bench/series.h"
#include "tools/cli/bench/supervisor.h"

namespace holdfast::cli::bench {
namespace {

// By how many bytes the largest payload is smaller than the limit.
constexpr std::size_t kMargin = 4096;

// Number of samples for a size: as many as for hot calls, but for large sizes only as many as move about this many
// bytes.
unsigned samples_of(const Context& context, std::size_t size) {
  constexpr std::size_t kMostBytes = std::size_t{128} << 20;
  constexpr unsigned kMostSamples = 4000;
  constexpr unsigned kLeast = 4;
  const auto most = static_cast<unsigned>(std::clamp<std::size_t>(kMostBytes / size, kLeast, kMostSamples));
  return std::min(context.options.calls, most);
}

Series echoes(const Context& context, ipc::Client& client, const ipc::ModuleName& module, std::string payload,
              ipc::Encoding encoding, Row row) {
  auto text = std::make_shared<const std::string>(std::move(payload));
  ipc::CallRequest request = add_request(module);
  request.function = "echo";
  request.payload = ipc::as_bytes(*text);
  request.encoding = encoding;
  return {std::move(row), [&context, &client, request, text] { return timed_call(context, client, request, *text); }};
}

// The rows of one size.
tl::expected<std::vector<Row>, Stop> measure_size(const Context& context, ipc::Client& client,
                                                  const ipc::ModuleName& module, std::size_t size) {
  const std::vector<Value> parameters = {bytes("payload", static_cast<double>(size))};
  ipc::CallRequest request = add_request(module);
  request.function = "echo";
  const std::string json = json_of_size(size);
  request.payload = ipc::as_bytes(json);
  const CallBytes frames = call_bytes(request, json);
  auto series = byte_floors(frames.request, frames.answer, parameters);
  if (!series) return tl::unexpected(series.error());
  series->push_back(
      echoes(context, client, module, json, ipc::Encoding::json, {.what = "json", .parameters = parameters}));
  series->push_back(echoes(context, client, module, bytes_of_size(size), ipc::Encoding::bytes,
                           {.what = "bytes", .parameters = parameters}));

  constexpr unsigned kMostRounds = 4;
  const unsigned samples = samples_of(context, size);
  auto taken = take_turns(context, fmt::format("payloads of {}", ipc::format_size(size)), *series,
                          {.samples = samples, .rounds = kMostRounds, .warm_up = std::max(1U, samples / 4)});
  if (!taken) return tl::unexpected(taken.error());
  std::vector<Row> rows;
  for (std::size_t i = 0; i < series->size(); ++i) {
    Samples& all = (*taken)[i].samples;
    const nanoseconds sum = std::accumulate(all.begin(), all.end(), nanoseconds(0));
    rows.push_back((*series)[i].row);
    rows.back().figures = {megabytes_per_second(2.0 * static_cast<double>(size * all.size()), sum)};
    rows.back().latency = summarize(std::move(all));
  }
  return rows;
}

}  // namespace

Sections run_payloads(const Context& context) {
  context.progress("payloads: starting");
  const ipc::ModuleName module{"payloads", "bench"};
  if (auto written = context.files.write(module); !written) return stop(written.error());
  // Handling 16 MB of JSON takes more than the default limits allow.
  std::vector<std::string> flags = pool_flags(1, 1);
  flags.insert(flags.end(), {"--memory", "1GB", "--stretch", "30s"});
  auto supervisor = BenchSupervisor::start(context, "payloads", flags);
  if (!supervisor) return tl::unexpected(supervisor.error());
  ipc::Client& client = supervisor->client();
  for (unsigned i = 0; i < kWarmUpCalls; ++i) {
    if (auto problem = call_add(context, client, module)) return tl::unexpected(*problem);
  }

  const auto limit = static_cast<std::size_t>(client.server().max_payload_bytes);
  Section section{
      .key = "payloads",
      .title = "PAYLOADS, ECHOED",
      .rows = {},
      .notes = {fmt::format("MB/S counts what goes in and what comes out. The largest payload is {} bytes "
                            "below the limit of {}. Each size is first warmed up with a quarter as many calls.",
                            kMargin, ipc::format_size(limit))},
      .curves = {{.name = "payloads-latency",
                  .title = "Latency by payload, echoed",
                  .x = "payload_bytes",
                  .x_label = "payload"},
                 {.name = "payloads-throughput",
                  .title = "Throughput by payload, echoed",
                  .x = "payload_bytes",
                  .x_label = "payload",
                  .y = "megabytes_per_second",
                  .y_label = "MB/s, in and out"}}};
  for (const std::size_t size : {std::size_t{16}, std::size_t{256}, std::size_t{4} << 10, std::size_t{64} << 10,
                                 std::size_t{1} << 20, limit - kMargin}) {
    auto rows = measure_size(context, client, module, size);
    if (!rows) return tl::unexpected(rows.error());
    std::ranges::move(*rows, std::back_inserter(section.rows));
  }
  return std::vector{std::move(section)};
}

}  // namespace holdfast::cli::bench
