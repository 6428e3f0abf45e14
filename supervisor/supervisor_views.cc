// What the supervisor shows of itself: its workers and its statistics.
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
      return view.calls_in_flight > 0 ? ipc::WorkerState::busy : ipc::WorkerState::idle;
    case WorkerPhase::starting:
    case WorkerPhase::leaving:
      break;
  }
  return ipc::WorkerState::starting;
}

}  // namespace

ipc::WorkerList Supervisor::list_workers() {
  ipc::WorkerList list;
  const auto now = steady_clock::now();
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
    info.memory_bytes = process->memory_bytes(now);
    info.age = now - process->forked_at();
    if (info.state == ipc::WorkerState::standby && !process->is_ready()) info.state = ipc::WorkerState::starting;
  }
  return info;
}

}  // namespace holdfast::supervisor
