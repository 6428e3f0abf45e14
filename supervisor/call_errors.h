// The errors that the supervisor itself answers calls with, in the words that callers read.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "ipc/error.h"
#include "supervisor/modules.h"
#include "supervisor/scheduler.h"

namespace holdfast::supervisor {

// What a caller that met a limit is told to wait where nothing better is known: a few hundred calls are served
// meanwhile.
constexpr std::chrono::milliseconds kRetryAfter{100};

ipc::Error overloaded(std::string message, Duration retry_after = kRetryAfter);

// For a call that was not started, and gives way to others: memory for the open calls of its user is short.
ipc::Error gave_way_for_memory();

// Whether a module could not be had for want of something that has nothing to do with the module.
inline bool is_shortage(const ipc::Error& error) {
  return error.code == ipc::ErrorCode::overloaded || error.code == ipc::ErrorCode::unavailable;
}

// For a call that the scheduler refused. `options` are the scheduler's.
ipc::Error refusal(const RefuseCall& refused, const KnownModule& module, const SchedulerOptions& options);

ipc::Error shutting_down(ipc::Executed executed);
// `attempts`: to how many workers the call was given, all of which ended before they began it.
ipc::Error overdue_in_queue(std::uint32_t attempts, const std::optional<ipc::Error>& last_failure);
// A worker that has loaded its module begins no call whose time is over.
ipc::Error overdue_in_load();
ipc::Error overdue_while_waiting();
ipc::Error cancelled_by_client(ipc::Executed executed);

}  // namespace holdfast::supervisor
