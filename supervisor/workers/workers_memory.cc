// The watch on what workers hold of the host's memory, each for itself and all together.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "ipc/base/units.h"
#include "supervisor/workers/workers.h"

namespace holdfast::supervisor {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// For a fresh look at memories: a look takes some tenths of a millisecond, and nothing else is done in that time.
constexpr milliseconds kMemoryRefresh{3};
// A process that was looked at so recently is not looked at again.
constexpr seconds kMemoryKnown{1};
// Counting many mappings takes milliseconds, during which the loop serves no client. Afterwards no mappings are
// counted for this many times as long.
constexpr int kPauseAfterCounting = 9;

}  // namespace

void Workers::see_memory(Entry& entry, Clock::time_point now) {
  entry.memory.seen(now);
  entry.metering.meter.saw_memory(entry.process->anonymous_bytes());
}

void Workers::refresh_memory(Clock::time_point now) {
  std::vector<WorkerProcess*> due;
  for (auto& [id, entry] : entries_) {
    if (!entry.process) continue;
    const auto seen_at = entry.process->memory_seen_at();
    if (!seen_at || now - *seen_at >= kMemoryKnown) due.push_back(entry.process.get());
  }
  // nullopt, for processes that were never looked at, sorts first.
  std::sort(due.begin(), due.end(),
            [](const auto* one, const auto* other) { return one->memory_seen_at() < other->memory_seen_at(); });
  for (WorkerProcess* process : due) {
    process->look_at_memory(now);
    if (Clock::now() - now >= kMemoryRefresh) return;
  }
}

// The kernel does not count what it keeps for a process's mappings as the process's memory. Making many mappings
// takes CPU time.
void Workers::count_mappings(Entry& entry, Clock::time_point now) {
  const Clock::duration cpu_time = entry.metering.meter.cpu_time();
  if (!entry.memory.must_count_mappings(now, cpu_time)) return;
  const auto began = Clock::now();
  if (began < count_mappings_from_) return;  // at a later look
  entry.memory.counted(entry.process->count_mappings(), now, cpu_time);
  const auto ended = Clock::now();
  count_mappings_from_ = ended + kPauseAfterCounting * (ended - began);
}

std::uint64_t Workers::own_memory(const Entry& entry) const {
  const std::uint64_t held = entry.process->held_bytes() + entry.memory.bytes_of_mappings();
  return held - std::min(held, empty_held_bytes_);
}

bool Workers::end_for_memory(Entry& entry, const StretchView& view, Clock::time_point now) {
  const std::uint64_t bytes = own_memory(entry);
  const std::uint64_t limit = entry.limits.memory_bytes;
  switch (entry.memory.judge(bytes, limit, now)) {
    case MemoryWatch::Verdict::too_many_mappings:
      kill_for_memory(entry, view,
                      fmt::format("it had {} memory mappings; at most {} are allowed", entry.memory.mappings(),
                                  MemoryWatch::most_mappings(limit)));
      return true;
    case MemoryWatch::Verdict::too_much:
      kill_for_memory(entry, view, fmt::format("it held {} in native memory", ipc::format_size(bytes)));
      return true;
    case MemoryWatch::Verdict::over_limit:
      entry.agenda.look_at = std::min(*entry.agenda.look_at, now + MemoryWatch::kLook);
      break;
    case MemoryWatch::Verdict::fine:
      break;
  }
  budget_.saw(entry.process->id(), bytes, limit);
  keep_to_budget();
  return entry.ending.decision() != nullptr;
}

// Ends the workers first that are furthest over their limits. If all are within their limits, the supervisor makes
// room.
void Workers::keep_to_budget() {
  while (budget_.excess() > 0) {
    const auto furthest = budget_.furthest_over_limit();
    if (!furthest) break;
    Entry& entry = entry_of(*furthest);
    const std::string sum = ipc::format_size(budget_.sum());
    kill_for_memory(
        entry, entry.process->stretch(),
        fmt::format("all modules together held {}, more than the --memory-budget of {}; this worker held {} and "
                    "was furthest over its limit",
                    sum, ipc::format_size(budget_.total()), ipc::format_size(own_memory(entry))));
  }
  const bool is_short = budget_.excess() > 0 || (memory_is_short_ && budget_.is_nearly_used_up());
  const bool was_short = std::exchange(memory_is_short_, is_short);
  if (budget_.excess() > 0) {
    events_.memory_is_short(budget_.excess());
  } else if (was_short && !memory_is_short_) {
    events_.memory_is_enough();
  }
}

void Workers::kill_for_memory(Entry& entry, const StretchView& found, std::string detail) {
  const WorkerId worker = entry.process->id();
  budget_.forget(worker);
  if (entry.ending.phase() != WorkerEnding::Phase::none) return;
  begin_end(entry, EndCause::out_of_memory, CallId{found.running}, found, std::move(detail));
  const auto process = entry.process;
  tell_of_stop(entry);
  process->kill();
}

}  // namespace holdfast::supervisor
