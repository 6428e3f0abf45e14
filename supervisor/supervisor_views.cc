// What the supervisor shows of itself: its workers and its statistics.
#include <algorithm>

#include "supervisor/host_memory.h"
#include "supervisor/supervisor.h"

namespace holdfast::supervisor {
namespace {

using std::chrono::steady_clock;

ipc::WorkerState state_of(const WorkerView& view) {
  switch (view.phase) {
    case WorkerPhase::standby:
      return ipc::WorkerState::standby;
    case WorkerPhase::loading:
      return ipc::WorkerState::loading;
    case WorkerPhase::ready:
      if (!view.takes_calls) return ipc::WorkerState::draining;
      return view.calls_in_flight > 0 ? ipc::WorkerState::busy : ipc::WorkerState::idle;
    case WorkerPhase::starting:
    case WorkerPhase::leaving:
      break;
  }
  return ipc::WorkerState::starting;
}

ipc::ModuleStats stats_of(const KnownModule& module, const ModuleView& view, TimePoint now) {
  const ModuleCounts& counts = module.counts;
  ipc::ModuleStats stats;
  stats.module = module.name.module;
  stats.version = module.name.version;
  stats.calls = counts.calls;
  stats.results = counts.results;
  for (std::size_t code = 0; code < counts.errors.size(); ++code) {
    if (counts.errors[code] > 0) stats.errors.push_back({static_cast<ipc::ErrorCode>(code), counts.errors[code]});
  }
  stats.refused = counts.refused;
  stats.retries = counts.retries;
  stats.cold_starts = counts.cold_starts;
  stats.evictions = counts.evictions;
  stats.drains = counts.drains;
  stats.queued = static_cast<std::uint32_t>(view.queued);
  stats.calls_in_flight = static_cast<std::uint32_t>(view.calls_in_flight);
  stats.instances = static_cast<std::uint32_t>(view.instances);
  stats.queue = counts.usage.queue;
  stats.load = counts.usage.load;
  stats.run = counts.usage.run;
  stats.cpu = counts.usage.cpu;
  stats.bytes_in = counts.usage.bytes_in;
  stats.bytes_out = counts.usage.bytes_out;
  stats.peak_memory_bytes = counts.usage.peak_memory_bytes;
  if (view.held_off_until) {
    stats.held_off = *view.held_off_until - now;
    if (module.last_failure) stats.held_off_reason = module.last_failure->message;
  }
  return stats;
}

}  // namespace

ipc::WorkerList Supervisor::list_workers() {
  ipc::WorkerList list;
  const auto now = steady_clock::now();
  workers_.refresh_memory(now);
  for (const auto& [id, view] : scheduler_.workers()) {
    if (view.phase != WorkerPhase::leaving) list.workers.push_back(info_of(id, view, now));
  }
  return list;
}

ipc::WorkerInfo Supervisor::info_of(WorkerId id, const WorkerView& view, TimePoint now) const {
  ipc::WorkerInfo info;
  if (view.module) {
    const ModuleName& name = modules_.of(*view.module).name;
    info.module = name.module;
    info.version = name.version;
  }
  info.state = state_of(view);
  info.calls_in_flight = static_cast<std::uint32_t>(view.calls_in_flight);
  info.calls_done = view.calls_done;
  if (const WorkerProcess* process = workers_.process(id)) {
    info.pid = process->pid();
    info.memory_bytes = workers_.memory_bytes(id);
    info.calls_done += process->line_counts().answered();
    info.line = process->line_call() != CallId{};
    info.age = now - process->forked_at();
    info.cpu = process->cpu_time().value_or(Duration::zero());
    if (info.state == ipc::WorkerState::standby && !process->is_ready()) info.state = ipc::WorkerState::starting;
  }
  return info;
}

ipc::Stats Supervisor::stats() {
  const auto now = steady_clock::now();
  for (CallId line : lines_) count_line(calls_.at(line));
  ipc::Stats stats;
  ipc::StatsTotals& totals = stats.totals;
  std::vector<const KnownModule*> modules;
  for (const auto& [name, module] : modules_.all()) modules.push_back(module.get());
  if (modules.size() > ipc::kMaxModulesListed) {
    std::nth_element(
        modules.begin(), modules.begin() + ipc::kMaxModulesListed, modules.end(),
        [](const auto* one, const auto* other) { return one->counts.usage.cpu > other->counts.usage.cpu; });
  }
  for (const KnownModule* module : modules) {
    const ModuleView view = scheduler_.view(module->id, now);
    totals.calls_in_flight += static_cast<std::uint32_t>(view.calls_in_flight);
    if (stats.modules.size() < ipc::kMaxModulesListed) stats.modules.push_back(stats_of(*module, view, now));
  }
  const PoolView pool = scheduler_.pool(now);
  totals.version = HOLDFAST_VERSION;
  totals.uptime = now - started_at_;
  totals.clients = static_cast<std::uint32_t>(clients_.size());
  totals.workers = static_cast<std::uint32_t>(pool.slots_taken);
  totals.max_workers = static_cast<std::uint32_t>(options_.scheduler.max_workers);
  totals.standbys = static_cast<std::uint32_t>(pool.standby);
  totals.standby_target = static_cast<std::uint32_t>(pool.standby_target);
  totals.queued = static_cast<std::uint32_t>(pool.queued);
  totals.waiting_modules = static_cast<std::uint32_t>(pool.waiting_modules);
  totals.modules = modules_.size();
  totals.forks = forks_;
  totals.memory_bytes = anonymous_memory(own_memory_);
  return stats;
}

}  // namespace holdfast::supervisor
