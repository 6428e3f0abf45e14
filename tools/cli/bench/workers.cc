// Hot calls of one module while many others are loaded and idle.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <utility>

#include "ipc/base/units.h"
#include "tools/cli/bench/calls.h"
#include "tools/cli/bench/machine.h"
#include "tools/cli/bench/process_memory.h"
#include "tools/cli/bench/series.h"
#include "tools/cli/bench/supervisor.h"

namespace holdfast::cli::bench {
namespace {

constexpr std::array kWorkers = {std::size_t{1}, std::size_t{10}, std::size_t{100}, std::size_t{1000}};

// How many workers this machine can have, and what limits them.
struct Cap {
  std::size_t workers;
  std::string why;
};

Cap cap_of(const BenchOptions& options) {
  Cap cap{options.workers, fmt::format("--workers is {}", options.workers)};
  // An idle worker takes a fraction of a megabyte of its own, plus page tables and sockets in the kernel. Half of the
  // available memory is left to other processes.
  constexpr std::uint64_t kBytesEach = 2 << 20;
  if (const auto available = available_memory_bytes(); available && *available / 2 / kBytesEach < cap.workers) {
    cap = {static_cast<std::size_t>(*available / 2 / kBytesEach),
           fmt::format("{} of memory are available", ipc::format_size(*available))};
  }
  // Descriptors that the supervisor needs for each worker, and some for the rest (--max-clients in
  // supervisor/main.cc).
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

// Memory of the workers that have a module, without the standby.
tl::expected<std::vector<Row>, Stop> memory_of_workers(ipc::Client& client, const std::vector<Value>& parameters) {
  const auto list = list_workers(client);
  if (!list) return tl::unexpected(list.error());
  std::vector<pid_t> processes;
  for (const ipc::WorkerInfo& worker : list->workers) {
    if (worker.pid != 0 && !worker.module.empty()) processes.push_back(worker.pid);
  }
  const auto total = total_memory_of(processes);
  const auto row = [&](std::string what, std::size_t share) {
    const auto part = [&](std::uint64_t ProcessMemory::*kind) -> std::optional<double> {
      if (!total) return std::nullopt;
      return static_cast<double>((*total).*kind) / static_cast<double>(share);
    };
    return Row{.what = std::move(what),
               .parameters = parameters,
               .figures = {bytes("private", part(&ProcessMemory::private_bytes)),
                           bytes("proportional", part(&ProcessMemory::proportional_bytes))}};
  };
  return std::vector{row("all workers together", 1),
                     row("one worker, on average", std::max<std::size_t>(processes.size(), 1))};
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
  Section memory{.key = "workers_memory",
                 .title = "MEMORY BY WORKERS ALIVE",
                 .notes = {"The columns are those of MEMORY, after the calls above. Only PROPORTIONAL includes memory "
                           "shared with the zygote."},
                 .curves = {{.name = "workers-memory",
                             .title = "Memory by workers alive",
                             .x = "workers",
                             .x_label = "workers alive",
                             .y = "proportional_bytes",
                             .y_label = "memory (Pss)"}}};
  std::size_t loaded = 0;
  for (const std::size_t wanted : kWorkers) {
    const std::size_t workers = std::min(wanted, most);
    if (workers < wanted) {
      section.notes.push_back(fmt::format("{} workers were not measured: at most {} are possible here, because {}.",
                                          wanted, most, cap.why));
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
    auto memory_rows = memory_of_workers(client, parameters);
    if (!memory_rows) return tl::unexpected(memory_rows.error());
    std::ranges::move(*memory_rows, std::back_inserter(memory.rows));
    if (workers < wanted) break;
  }
  return std::vector{std::move(section), std::move(memory)};
}

}  // namespace holdfast::cli::bench
