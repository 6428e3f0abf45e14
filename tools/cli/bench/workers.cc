// Hot calls of one module while many others are loaded and idle.
#include "tools/cli/bench/calls.h"
#include "tools/cli/bench/machine.h"
#include "tools/cli/bench/series.h"
#include "tools/cli/bench/supervisor.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <sys/resource.h>

#include "ipc/units.h"

namespace holdfast::cli::bench {
namespace {

constexpr std::array kWorkers = {std::size_t{1}, std::size_t{10}, std::size_t{100}, std::size_t{1000}};

// How many this machine can have, and why not more.
struct Cap {
  std::size_t workers;
  std::string why;
};

Cap cap_of(const BenchOptions& options) {
  Cap cap{options.workers, fmt::format("--workers is {}", options.workers)};
  // An idle worker takes a fraction of a megabyte of its own, and the kernel's page tables and sockets for it; half of
  // the available memory stays for others.
  constexpr std::uint64_t kBytesEach = 2 << 20;
  if (const auto available = available_memory_bytes(); available && *available / 2 / kBytesEach < cap.workers) {
    cap = {static_cast<std::size_t>(*available / 2 / kBytesEach),
           fmt::format("{} of memory are available", ipc::format_size(*available))};
  }
  // Descriptors of the supervisor, and some for the rest; see --max-clients in supervisor/main.cc.
  constexpr rlim_t kDescriptorsEach = 4;
  constexpr rlim_t kOtherDescriptors = 256;
  rlimit files = {};
  ::getrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_max != RLIM_INFINITY && files.rlim_max < cap.workers * kDescriptorsEach + kOtherDescriptors) {
    const rlim_t left = files.rlim_max > kOtherDescriptors ? files.rlim_max - kOtherDescriptors : 0;
    cap = {static_cast<std::size_t>(left / kDescriptorsEach),
           fmt::format("the limit of open files is {}", files.rlim_max)};
  }
  cap.workers = std::max<std::size_t>(cap.workers, 1);
  return cap;
}

}  // namespace

Sections run_workers(const Context& context) {
  context.progress("workers: starting");
  const Cap cap = cap_of(context.options);
  const std::size_t most = std::min(cap.workers, kWorkers.back());
  const auto modules = context.files.write_many("idle", most);
  if (!modules) return stop(modules.error());
  auto supervisor = BenchSupervisor::start(context, "workers", pool_flags(most, 1));
  if (!supervisor) return tl::unexpected(supervisor.error());
  ipc::Client& client = supervisor->client();
  const ipc::ModuleName& hot = modules->front();
  const ipc::CallRequest request = add_request(hot);
  const CallBytes frames = call_bytes(request, kAddExpected);

  Section section{.key = "workers",
                  .title = "WORKERS ALIVE",
                  .notes = {"Hot calls of one module, one at a time; the other workers are loaded and idle."},
                  .curves = {{.name = "workers",
                              .title = "Latency of hot calls by workers alive",
                              .x = "workers",
                              .x_label = "workers alive"}}};
  std::size_t loaded = 0;
  for (const std::size_t wanted : kWorkers) {
    const std::size_t workers = std::min(wanted, most);
    if (workers < wanted) {
      section.notes.push_back(
          fmt::format("{} workers were not measured: {} are the most here, as {}.", wanted, most, cap.why));
    }
    if (loaded == workers) break;
    for (; loaded < workers; ++loaded) {
      context.progress(fmt::format("workers: loading {} of {}", loaded + 1, workers));
      if (auto problem = call_add(context, client, (*modules)[loaded])) return tl::unexpected(*problem);
    }
    const std::vector<Value> parameters = {count("workers", static_cast<double>(workers))};
    auto series = byte_floors(frames.request, frames.answer, parameters);
    if (!series) return tl::unexpected(series.error());
    series->push_back({{.what = "hot: add, one call at a time", .parameters = parameters},
                       [&] { return timed_call(context, client, request); }});
    auto rows = measure(context, fmt::format("{} workers", workers), *series,
                        {.samples = context.options.calls, .rounds = context.options.rounds, .warm_up = kWarmUpCalls});
    if (!rows) return tl::unexpected(rows.error());
    std::ranges::move(*rows, std::back_inserter(section.rows));
    if (workers < wanted) break;
  }
  return std::vector{std::move(section)};
}

}  // namespace holdfast::cli::bench
