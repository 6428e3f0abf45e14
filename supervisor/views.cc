#include "supervisor/views.h"

#include <fcntl.h>

#include <algorithm>
#include <functional>
#include <iterator>

#include "supervisor/workers/host_memory.h"

namespace holdfast::supervisor {
namespace {

using std::chrono::steady_clock;

// How many rows of lists and statistics one turn makes at most: some tenths of a millisecond's work.
constexpr std::size_t kRowsInTurn = 512;
// The cost of looking at workers' memory, in rows.
constexpr std::size_t kRowsForMemory = 64;
// How often statistics that take several turns are made for one user.
constexpr std::chrono::milliseconds kLargeStatsPause{500};

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

Views::Views(const Sources& sources, std::size_t max_workers)
    : in_(sources), max_workers_(max_workers), own_memory_(::open("/proc/self/statm", O_RDONLY | O_CLOEXEC)) {}

// --- requests ------------------------------------------------------------------------------------------------------

void Views::show_workers(ClientSession& client, std::uint64_t id) {
  requests_.add(client.user(), {client.id(), id, ViewRequest::Kind::workers});
  make();
}

void Views::show_stats(ClientSession& client, std::uint64_t id) {
  requests_.add(client.user(), {client.id(), id, ViewRequest::Kind::stats});
  make();
}

// Makes views until the turn's rows are used up; calls are served between two turns.
void Views::make() {
  if (std::exchange(rows_turn_, in_.turn.number() + 1) != in_.turn.number() + 1) rows_left_ = kRowsInTurn;
  while (rows_left_ > 0) {
    if (!survey_) {
      const auto next = requests_.take(steady_clock::now());
      if (!next) break;
      const auto& [user, request] = *next;
      ClientSession* const client = in_.clients.find(request.client);
      if (client == nullptr) continue;
      if (request.kind == ViewRequest::Kind::workers) {
        rows_left_ -= std::min(rows_left_, make_workers(*client, request.id));
        continue;
      }
      survey_.emplace(Survey{.request = request, .client = client});
    }
    rows_left_ -= std::min(rows_left_, make_stats(rows_left_));
  }
  in_.turn.ensure_end();
}

void Views::client_left(const ClientSession& client) {
  if (survey_ && survey_->client == &client) survey_.reset();
}

// --- time ----------------------------------------------------------------------------------------------------------

void Views::end_of_turn() {
  const auto due = requests_.next_wakeup();
  if (survey_ || (due && *due <= steady_clock::now())) make();
}

void Views::tick() {
  if (!requests_.empty()) in_.turn.ensure_end();
}

std::optional<TimePoint> Views::next_wakeup() const { return survey_ ? std::nullopt : requests_.next_wakeup(); }

// --- workers -------------------------------------------------------------------------------------------------------

// Returns the cost in rows.
std::size_t Views::make_workers(ClientSession& client, std::uint64_t id) {
  ipc::WorkerList list;
  const auto now = steady_clock::now();
  const bool sees_all = in_.logs.may_be_read_by(client);
  in_.workers.refresh_memory(now);
  const auto workers = in_.scheduler.workers();
  for (const auto& [worker, view] : workers) {
    if (view.phase == WorkerPhase::leaving) continue;
    if (view.module && !sees_all && !in_.modules.of(*view.module).is_called_by(client.user())) continue;
    list.workers.push_back(info_of(worker, view, now));
  }
  client.show_workers(id, std::move(list));
  return kRowsForMemory + workers.size();
}

ipc::WorkerInfo Views::info_of(WorkerId id, const WorkerView& view, TimePoint now) const {
  ipc::WorkerInfo info;
  if (view.module) {
    const ModuleName& name = in_.modules.of(*view.module).name;
    info.module = name.module;
    info.version = name.version;
  }
  info.state = state_of(view);
  info.calls_in_flight = static_cast<std::uint32_t>(view.calls_in_flight);
  info.calls_done = view.calls_done;
  if (const WorkerProcess* process = in_.workers.process(id)) {
    info.pid = process->pid();
    info.memory_bytes = in_.workers.memory_bytes(id);
    info.calls_done += process->line_counts().answered();
    info.line = process->line_call() != CallId{};
    info.age = now - process->forked_at();
    info.cpu = process->cpu_time().value_or(Duration::zero());
    if (info.state == ipc::WorkerState::standby && !process->is_ready()) info.state = ipc::WorkerState::starting;
  }
  return info;
}

// --- statistics ----------------------------------------------------------------------------------------------------

// Looks at modules, or makes rows for them: at most `rows`. Returns the cost in rows.
std::size_t Views::make_stats(std::size_t rows) {
  Survey& survey = *survey_;
  const auto now = steady_clock::now();
  const bool sees_all = in_.logs.may_be_read_by(*survey.client);
  std::size_t looked_at = 0;
  if (!survey.is_complete) {
    const auto& all = in_.modules.all();
    auto next = survey.looked_up_to ? all.upper_bound(*survey.looked_up_to) : all.begin();
    for (; next != all.end() && looked_at < rows; ++next, ++looked_at) {
      const KnownModule& module = *next->second;
      survey.stats.totals.calls_in_flight +=
          static_cast<std::uint32_t>(in_.scheduler.view(module.id, now).calls_in_flight);
      if (sees_all || module.is_called_by(survey.client->user())) {
        survey.to_show.emplace_back(module.counts.usage.cpu, module.id);
      }
    }
    if (next != all.end()) {
      survey.looked_up_to = std::prev(next)->first;
      return looked_at;
    }
    survey.is_complete = true;
    in_.bring_counts_up_to_date();
    survey.stats.totals.modules = survey.to_show.size();
    if (survey.to_show.size() > ipc::kMaxModulesListed) {
      std::nth_element(survey.to_show.begin(), survey.to_show.begin() + ipc::kMaxModulesListed, survey.to_show.end(),
                       std::greater());
      survey.to_show.resize(ipc::kMaxModulesListed);
    }
  }
  for (; survey.shown < survey.to_show.size() && looked_at < rows; ++survey.shown, ++looked_at) {
    const KnownModule* module = in_.modules.find(survey.to_show[survey.shown].second);
    if (module == nullptr) continue;  // it has been forgotten since
    survey.stats.modules.push_back(stats_of(*module, in_.scheduler.view(module->id, now), now));
    // The reason may quote the module itself.
    if (!sees_all) survey.stats.modules.back().held_off_reason.clear();
  }
  if (survey.shown < survey.to_show.size()) return looked_at;

  ipc::Stats stats = std::move(survey.stats);
  ClientSession& client = *survey.client;
  const std::uint64_t id = survey.request.id;
  survey_.reset();
  if (stats.modules.size() > kRowsInTurn) requests_.pause(client.user(), now + kLargeStatsPause);
  const std::uint32_t in_flight = stats.totals.calls_in_flight;
  const std::uint64_t module_count = stats.totals.modules;
  stats.totals = totals();
  stats.totals.calls_in_flight = in_flight;
  stats.totals.modules = module_count;
  client.show_stats(id, std::move(stats));
  return looked_at + kRowsForMemory / 8;
}

ipc::StatsTotals Views::totals() const {
  const PoolView pool = in_.scheduler.pool(steady_clock::now());
  ipc::StatsTotals totals;
  totals.version = HOLDFAST_VERSION;
  totals.uptime = steady_clock::now() - started_at_;
  totals.clients = static_cast<std::uint32_t>(in_.clients.size());
  totals.workers = static_cast<std::uint32_t>(pool.slots_taken);
  totals.max_workers = static_cast<std::uint32_t>(max_workers_);
  totals.standbys = static_cast<std::uint32_t>(pool.standby);
  totals.standby_target = static_cast<std::uint32_t>(pool.standby_target);
  totals.queued = static_cast<std::uint32_t>(pool.queued);
  totals.waiting_modules = static_cast<std::uint32_t>(pool.waiting_modules);
  totals.forks = forks_;
  totals.memory_bytes = anonymous_memory(own_memory_);
  return totals;
}

}  // namespace holdfast::supervisor
