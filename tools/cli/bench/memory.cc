// Memory of workers, of the processes behind them, of clients and of modules.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "tools/cli/bench/calls.h"
#include "tools/cli/bench/process_memory.h"
#include "tools/cli/bench/supervisor.h"

namespace holdfast::cli::bench {
namespace {

constexpr std::size_t kIdle = 8;
constexpr std::size_t kBusy = 2;
constexpr unsigned kCallsEach = 100;
constexpr std::size_t kClients = 64;
constexpr std::size_t kRoom = 4;  // far less than the number of known modules

struct Measured {
  std::optional<double> private_bytes;
  std::optional<double> proportional_bytes;
};

// Average memory of the processes; empty if one of them cannot be read.
Measured average(const std::vector<pid_t>& processes) {
  const auto total = total_memory_of(processes);
  if (processes.empty() || !total) return {};
  const auto number = static_cast<double>(processes.size());
  return {static_cast<double>(total->private_bytes) / number, static_cast<double>(total->proportional_bytes) / number};
}

Measured difference(const Measured& after, const Measured& before, std::size_t number) {
  const auto each = [number](std::optional<double> a, std::optional<double> b) -> std::optional<double> {
    if (!a || !b) return std::nullopt;
    return (*a - *b) / static_cast<double>(number);
  };
  return {each(after.private_bytes, before.private_bytes), each(after.proportional_bytes, before.proportional_bytes)};
}

Row row_of(std::string what, std::size_t number, const Measured& measured) {
  return {.what = std::move(what),
          .parameters = {count("processes", static_cast<double>(number))},
          .figures = {bytes("private", measured.private_bytes), bytes("proportional", measured.proportional_bytes)}};
}

// A row for the workers that `is_meant` selects, with the figures of the supervisor's list.
Row row_of_workers(const char* what, const ipc::WorkerList& list,
                   const std::function<bool(const ipc::WorkerInfo&)>& is_meant) {
  std::vector<pid_t> processes;
  double listed = 0;
  for (const ipc::WorkerInfo& worker : list.workers) {
    if (worker.pid == 0 || !is_meant(worker)) continue;
    processes.push_back(worker.pid);
    listed += static_cast<double>(worker.memory_bytes);
  }
  Row row = row_of(what, processes.size(), average(processes));
  const auto number = static_cast<double>(processes.size());
  row.figures.push_back(bytes("listed", processes.empty() ? std::nullopt : std::optional(listed / number)));
  return row;
}

// Measures idle workers, the standby, and the processes that forked them.
std::optional<Stop> measure_idle(const Context& context, BenchSupervisor& supervisor,
                                 const std::vector<ipc::ModuleName>& modules, std::vector<Row>& rows) {
  context.progress("memory: idle workers");
  for (const ipc::ModuleName& module : modules) {
    for (unsigned i = 0; i < kCallsEach; ++i) {
      if (auto problem = call_add(context, supervisor.client(), module)) return problem;
    }
  }
  if (auto problem = wait_for_standby(context, supervisor.client())) return problem;
  const auto list = list_workers(supervisor.client());
  if (!list) return list.error();
  rows.push_back(
      row_of_workers("idle worker", *list, [](const auto& worker) { return worker.state == ipc::WorkerState::idle; }));
  rows.push_back(row_of_workers("standby worker", *list,
                                [](const auto& worker) { return worker.state == ipc::WorkerState::standby; }));
  if (context.options.isolation != "fork") return std::nullopt;  // there is no zygote
  const auto zygote = parent_of(list->workers.front().pid);
  rows.push_back(row_of("zygote", 1, zygote ? average({*zygote}) : Measured{}));
  return std::nullopt;
}

// Measures workers while they compute.
std::optional<Stop> measure_busy(const Context& context, ipc::Client& client,
                                 const std::vector<ipc::ModuleName>& modules, std::vector<Row>& rows) {
  context.progress("memory: busy workers");
  std::vector<std::uint64_t> calls;
  for (std::size_t i = 0; i < kBusy; ++i) {
    ipc::CallRequest request = add_request(modules[i]);
    request.function = "work";
    request.payload = {};
    calls.push_back(client.start(request, [](const ipc::Answer&) {}));
  }
  constexpr std::chrono::milliseconds kWorkedFor{100};  // CPU time after which the heap has grown to its working size
  const auto is_at_work = [&](const ipc::WorkerInfo& worker) {
    return worker.state == ipc::WorkerState::busy && worker.cpu >= kWorkedFor;
  };
  if (auto problem = wait_for_workers(context, client, "busy worker", [&](const ipc::WorkerList& list) {
        return static_cast<std::size_t>(std::ranges::count_if(list.workers, is_at_work)) == kBusy;
      })) {
    return problem;
  }
  const auto list = list_workers(client);
  if (!list) return list.error();
  rows.push_back(row_of_workers("busy worker", *list, is_at_work));
  for (const std::uint64_t call : calls) client.cancel(call);
  while (client.open_calls() > 0) client.run_once();
  return std::nullopt;
}

std::optional<Stop> measure_clients(const Context& context, BenchSupervisor& supervisor, const ipc::ModuleName& module,
                                    std::vector<Row>& rows) {
  context.progress("memory: clients");
  const Measured before = average({supervisor.pid()});
  rows.push_back(row_of("supervisor", 1, before));
  std::vector<ipc::Client> clients;
  for (std::size_t i = 0; i < kClients; ++i) {
    auto client = connect_to(context, supervisor.socket());
    if (!client) return client.error();
    clients.push_back(std::move(*client));
    if (auto problem = call_add(context, clients.back(), module)) return problem;
  }
  rows.push_back(
      row_of("supervisor, for each client", kClients, difference(average({supervisor.pid()}), before, kClients)));
  rows.back().parameters = {count("clients", kClients)};
  return std::nullopt;
}

// Measures modules that were called and no longer have a worker.
std::optional<Stop> measure_known_modules(const Context& context, std::vector<Row>& rows) {
  constexpr std::size_t kMostModules = 300;
  const std::size_t known = std::min<std::size_t>(kMostModules, std::size_t{10} * context.options.cold_calls);
  context.progress("memory: known modules");
  const auto modules = context.files.write_many("known", known + kRoom);
  if (!modules) return stop(modules.error()).value();
  auto supervisor = BenchSupervisor::start(context, "known", pool_flags(kRoom, 1));
  if (!supervisor) return supervisor.error();
  for (std::size_t i = 0; i < kRoom; ++i) {
    if (auto problem = call_add(context, supervisor->client(), (*modules)[i])) return problem;
  }
  const Measured before = average({supervisor->pid()});
  for (std::size_t i = kRoom; i < modules->size(); ++i) {
    if (auto problem = call_add(context, supervisor->client(), (*modules)[i])) return problem;
  }
  rows.push_back(
      row_of("supervisor, for each module it knows", known, difference(average({supervisor->pid()}), before, known)));
  rows.back().parameters = {count("modules", static_cast<double>(known))};
  return std::nullopt;
}

}  // namespace

Sections run_memory(const Context& context) {
  context.progress("memory: starting");
  const auto modules = context.files.write_many("memory", kIdle);
  if (!modules) return stop(modules.error());
  Section section{.key = "memory",
                  .title = "MEMORY",
                  .notes = {fmt::format(
                      "PRIVATE is Private_Clean and Private_Dirty, PROPORTIONAL is Pss of "
                      "/proc/PID/smaps_rollup, LISTED is what holdfast ps shows. Each figure is the "
                      "average over the row's processes, clients or modules. Idle workers have answered {} calls.",
                      kCallsEach)}};
  {
    auto supervisor = BenchSupervisor::start(context, "memory", pool_flags(kIdle, 1));
    if (!supervisor) return tl::unexpected(supervisor.error());
    if (auto problem = measure_idle(context, *supervisor, *modules, section.rows)) return tl::unexpected(*problem);
    if (auto problem = measure_busy(context, supervisor->client(), *modules, section.rows)) {
      return tl::unexpected(*problem);
    }
    if (auto problem = measure_clients(context, *supervisor, modules->front(), section.rows)) {
      return tl::unexpected(*problem);
    }
  }
  if (auto problem = measure_known_modules(context, section.rows)) return tl::unexpected(*problem);
  if (std::ranges::any_of(section.rows, [](const Row& row) { return !number(row, "private_bytes"); })) {
    section.notes.emplace_back(
        "Some figures were left out: these processes are not dumpable, and only root may read their smaps_rollup.");
  }
  return std::vector{std::move(section)};
}

}  // namespace holdfast::cli::bench
