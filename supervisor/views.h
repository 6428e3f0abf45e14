// What clients can see of the supervisor: its workers and its statistics.
//
// Making a view takes longer than serving a call. So views are made one after the other, users in turn, and a turn of
// the event loop makes a bounded number of rows: statistics are made in steps, between which calls are served.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "ipc/base/module_name.h"
#include "ipc/base/unique_fd.h"
#include "ipc/client_messages.h"
#include "supervisor/client_session.h"
#include "supervisor/clients.h"
#include "supervisor/module_logs.h"
#include "supervisor/modules/modules.h"
#include "supervisor/net/turn.h"
#include "supervisor/scheduler/ids.h"
#include "supervisor/scheduler/scheduler.h"
#include "supervisor/shares/view_requests.h"
#include "supervisor/workers/workers.h"

namespace holdfast::supervisor {

// Users who may read modules' logs see everything; any other user sees the modules that it has called. Not thread-safe.
class Views {
 public:
  // What is looked at. All must outlive the object.
  struct Sources {
    Turn& turn;
    const Scheduler& scheduler;
    Workers& workers;
    Modules& modules;
    const Clients& clients;
    const ModuleLogs& logs;  // says who may see everything
    // Brings the modules' counts up to date, where that is not done at once.
    std::function<void()> bring_counts_up_to_date;
  };

  // Opens /proc/self/statm, which must be possible then. `max_workers` is only shown.
  Views(const Sources& sources, std::size_t max_workers);

  // Answer ClientRequests::workers_wanted() and stats_wanted(), now or at the end of a later turn.
  void show_workers(ClientSession& client, std::uint64_t id);
  void show_stats(ClientSession& client, std::uint64_t id);
  void client_left(const ClientSession& client);

  // For the statistics.
  void worker_was_forked() { ++forks_; }

  // Makes some of what clients want to see: as much as the turn may take.
  void end_of_turn();
  // Call at or after next_wakeup(), within a turn of the event loop.
  void tick();
  std::optional<std::chrono::steady_clock::time_point> next_wakeup() const;

 private:
  // Statistics in the making.
  struct Survey {
    ViewRequest request;
    ClientSession* client = nullptr;
    std::optional<ipc::ModuleName> looked_up_to;         // by name
    std::vector<std::pair<Duration, ModuleId>> to_show;  // by CPU time
    std::size_t shown = 0;
    bool is_complete = false;  // every module was looked at
    ipc::Stats stats;
  };

  void make();
  std::size_t make_workers(ClientSession& client, std::uint64_t id);
  std::size_t make_stats(std::size_t rows);
  ipc::StatsTotals totals() const;
  ipc::WorkerInfo info_of(WorkerId id, const WorkerView& view, TimePoint now) const;

  const Sources in_;
  const std::size_t max_workers_;
  const TimePoint started_at_ = std::chrono::steady_clock::now();
  const UniqueFd own_memory_;  // /proc/self/statm, opened before the sandbox
  std::uint64_t forks_ = 0;
  ViewRequests requests_;
  std::optional<Survey> survey_;
  std::uint64_t rows_turn_ = 0;  // the turn that rows_left_ is for, plus 1
  std::size_t rows_left_ = 0;
};

}  // namespace holdfast::supervisor
