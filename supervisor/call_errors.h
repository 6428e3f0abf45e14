// The errors with which the supervisor itself answers calls, in the words that callers read. The functions are pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "ipc/call_rules.h"
#include "ipc/error.h"
#include "supervisor/modules/modules.h"
#include "supervisor/scheduler/scheduler.h"

namespace holdfast::supervisor {

// How long a caller that met a limit is told to wait where nothing better is known: time to serve a few hundred calls.
constexpr std::chrono::milliseconds kRetryAfter{100};

ipc::Error overloaded(std::string message, Duration retry_after = kRetryAfter);

// For a call that was not started and gives way to others because memory for the open calls of its user is short.
ipc::Error gave_way_for_memory();

// Whether a module could not be loaded only because something else was short: memory, descriptors, a process. Such an
// error says nothing about the module.
inline bool is_shortage(const ipc::Error& error) {
  return error.code == ipc::ErrorCode::overloaded || error.code == ipc::ErrorCode::unavailable;
}

// For a call that the scheduler refused. `options` must be the scheduler's.
ipc::Error refusal(const RefuseCall& refused, const KnownModule& module, const SchedulerOptions& options);

ipc::Error shutting_down(ipc::Executed executed);
// For a call whose deadline passed before a worker began it. `attempts` is how many workers it was given to, all of
// which ended before they began it; `last_failure` is the module's, if any.
ipc::Error overdue_in_queue(std::uint32_t attempts, const std::optional<ipc::Error>& last_failure);
// For a call that was given to a worker and whose deadline passed before the worker had loaded the module.
ipc::Error overdue_in_load();
// As for calls on a direct line.
using ipc::cancelled_by_client;
using ipc::overdue_while_waiting;

}  // namespace holdfast::supervisor
