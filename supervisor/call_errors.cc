#include "supervisor/call_errors.h"

#include <fmt/format.h>

#include "ipc/base/units.h"

namespace holdfast::supervisor {

using ipc::Error;
using ipc::ErrorCode;
using ipc::Executed;
using std::chrono::milliseconds;

Error overloaded(std::string message, Duration retry_after) {
  Error error = make_error(ErrorCode::overloaded, std::move(message));
  error.retryable = true;
  error.retry_after = std::chrono::ceil<milliseconds>(retry_after);
  return error;
}

namespace {

// For a module that is held off: why it last failed, and when it is tried again.
Error held_off(const RefuseCall& refused, const KnownModule& module) {
  Error error = module.last_failure.value_or(make_error(ErrorCode::unavailable, "the module keeps failing"));
  error.retry_after = std::chrono::ceil<milliseconds>(refused.retry_after);
  const std::string again = fmt::format("it is tried again in {}", ipc::format_duration(error.retry_after));
  if (error.code == ErrorCode::load_failed) {
    error.message = fmt::format("{} (the module failed to load several times in a row; {})", error.message, again);
  } else if (error.code != ErrorCode::not_found) {
    error.code = ErrorCode::unavailable;
    error.message = fmt::format("the module's workers keep ending; the last one: {}; {}", error.message, again);
    error.detail = "held_off";
  }
  error.executed = Executed::no;
  error.retryable = true;
  return error;
}

// For a client whose calls killed workers of the module: other clients are served.
Error owner_paused(const RefuseCall& refused, const KnownModule& module) {
  Error error = overloaded(
      fmt::format("calls of this client to {} killed {} {} lately; its next call to that module can run in {}",
                  to_string(module.name), refused.kills, refused.kills == 1 ? "worker" : "workers",
                  ipc::format_duration(std::chrono::ceil<milliseconds>(refused.retry_after))),
      refused.retry_after);
  error.detail = "client_paused";
  return error;
}

}  // namespace

Error gave_way_for_memory() {
  return overloaded("the call waited, and memory for the open calls of its user is short; try again later");
}

Error refusal(const RefuseCall& refused, const KnownModule& module, const SchedulerOptions& options) {
  switch (refused.reason) {
    case RefuseCall::Reason::module_queue_full:
      return overloaded(
          fmt::format("the module's queue is full (limit: {}); try again later", module.settings.queue_limit),
          refused.retry_after);
    case RefuseCall::Reason::client_queue_full:
      return overloaded(
          fmt::format("this client's queue is full (limit: {}); try again later", options.client_queue_limit),
          refused.retry_after);
    case RefuseCall::Reason::all_queues_full:
      return overloaded(
          fmt::format("the supervisor's queue is full (limit: {}); try again later", options.total_queue_limit),
          refused.retry_after);
    case RefuseCall::Reason::held_off:
      return held_off(refused, module);
    case RefuseCall::Reason::owner_paused:
      return owner_paused(refused, module);
  }
  return make_error(ErrorCode::unavailable, "the call was refused");
}

Error shutting_down(Executed executed) {
  Error error = make_error(ErrorCode::unavailable, "the supervisor is shutting down", executed);
  error.retryable = true;
  error.detail = "shutting_down";
  return error;
}

Error overdue_in_queue(std::uint32_t attempts, const std::optional<Error>& last_failure) {
  if (attempts > 0 && last_failure) {
    return ipc::overdue(
        fmt::format(" before a worker began it; it was given to {} {}, which ended before that; the last one: {}",
                    attempts, attempts == 1 ? "worker" : "workers", last_failure->message));
  }
  return ipc::overdue(
      " before a worker was free for it; give the call more time, or start holdfastd with more workers "
      "(--max-workers)");
}

Error overdue_in_load() { return ipc::overdue(" before its module was loaded; give the call more time"); }

}  // namespace holdfast::supervisor
