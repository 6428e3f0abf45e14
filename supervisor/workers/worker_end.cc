#include "supervisor/workers/worker_end.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>

#include "ipc/base/units.h"
#include "ipc/worker_status.h"

namespace holdfast::supervisor {
namespace {

using ipc::Error;
using ipc::ErrorCode;

// Why there is no stack of a worker that was asked for a soft stop. The worker may lie, so only texts that are known
// here are passed on.
std::string why_no_stack(const WorkerEnd& end) {
  if (!end.told) {
    return " (V8 gave no stack: the code was in a place where it cannot be interrupted, and the process was killed)";
  }
  for (const std::string_view known : {ipc::kBetweenMicrotasks, ipc::kWhileEncoding, ipc::kBetweenStretches}) {
    if (end.detail == known) return fmt::format(" (there is no stack: it was stopped {})", known);
  }
  return " (there is no stack: none of the module's functions was running when it was stopped)";
}

std::string signal_name(int signal) {
  const char* name = ::sigabbrev_np(signal);
  return name == nullptr ? fmt::format("signal {}", signal) : fmt::format("SIG{}", name);
}

std::string death(std::optional<int> wait_status) {
  if (!wait_status) return "unknown";
  if (WIFSIGNALED(*wait_status)) return signal_name(WTERMSIG(*wait_status));
  return fmt::format("exit status {}", WEXITSTATUS(*wait_status));
}

bool exited_with(const WorkerEnd& end, int status) {
  return end.wait_status && WIFEXITED(*end.wait_status) && WEXITSTATUS(*end.wait_status) == status;
}

// What happened to the process, as the end of a sentence that begins with "its worker".
std::string what_happened(const WorkerEnd& end, const Limits& limits) {
  switch (end.cause) {
    case EndCause::cpu_exceeded:
      return fmt::format("was stopped because JavaScript ran for more than {} without a break",
                         ipc::format_duration(limits.stretch));
    case EndCause::deadline_exceeded:
      return "was stopped because a call was still on the CPU at its deadline";
    case EndCause::ignored_cancel:
      return "was killed because it did not give up a call whose time was over";
    case EndCause::protocol_violation:
      return fmt::format("was killed because it broke the protocol: {}", end.detail);
    case EndCause::out_of_memory:
      return fmt::format("used up its memory limit of {}{}", ipc::format_size(limits.memory_bytes),
                         end.detail.empty() ? "" : fmt::format(" ({})", end.detail));
    case EndCause::fatal:
      if (exited_with(end, ipc::kProtocolBrokenStatus)) {
        return fmt::format("ended because it was sent what the protocol does not allow: {}", end.detail);
      }
      return fmt::format("ended because V8 gave up: {}", end.detail);
    case EndCause::sandbox_violation:
      return fmt::format("attempted the system call {}, which the sandbox forbids", end.detail);
    case EndCause::worn_out:
      return "had used all the CPU time that a worker may use over its life (--cpu-limit)";
    case EndCause::crashed:
      return end.wait_status ? fmt::format("died of {}", death(end.wait_status))
                             : "died, and its zygote did not say how";
    case EndCause::lock_failed:
      return fmt::format("could not lock itself down: {}", end.detail);
    case EndCause::zygote_died:
      return "died with its zygote";
    case EndCause::gave_way:
      return "was killed because it sent only a part of a message";
    case EndCause::slot_given_away:
      return fmt::format("was ended and its slot given to another module: {}", end.detail);
    case EndCause::removed:
      return "was removed";
  }
  return "ended";
}

ErrorCode code_of(EndCause cause) {
  switch (cause) {
    case EndCause::cpu_exceeded:
    case EndCause::worn_out:
      return ErrorCode::cpu_exceeded;
    case EndCause::deadline_exceeded:
    case EndCause::ignored_cancel:
      return ErrorCode::deadline_exceeded;
    case EndCause::out_of_memory:
      return ErrorCode::out_of_memory;
    case EndCause::sandbox_violation:
      return ErrorCode::sandbox_violation;
    case EndCause::lock_failed:
    case EndCause::gave_way:
    case EndCause::removed:
      return ErrorCode::unavailable;
    case EndCause::protocol_violation:
    case EndCause::fatal:
    case EndCause::crashed:
    case EndCause::zygote_died:
    case EndCause::slot_given_away:
      return ErrorCode::worker_crashed;
  }
  return ErrorCode::worker_crashed;
}

// For programs: the name of the signal or of the system call, or of the cause.
std::string detail_of(const WorkerEnd& end) {
  switch (end.cause) {
    case EndCause::crashed:
      return death(end.wait_status);
    case EndCause::zygote_died:
      return "zygote_died";
    case EndCause::ignored_cancel:
      return "ignored_cancel";
    case EndCause::gave_way:
      return "gave_way";
    case EndCause::slot_given_away:
      return "slot_given_away";
    default:
      return end.detail;
  }
}

// Ends that came from outside the module, after which the same call may well succeed.
bool is_retryable(EndCause cause) {
  return cause == EndCause::crashed || cause == EndCause::zygote_died || cause == EndCause::lock_failed ||
         cause == EndCause::gave_way || cause == EndCause::slot_given_away || cause == EndCause::removed;
}

}  // namespace

bool is_fault_of_module(const WorkerEnd& end) {
  switch (end.cause) {
    case EndCause::cpu_exceeded:
    case EndCause::protocol_violation:
    case EndCause::out_of_memory:
    case EndCause::fatal:
    case EndCause::sandbox_violation:
      return true;
    case EndCause::crashed:
      return !end.from_outside;
    case EndCause::deadline_exceeded:
    case EndCause::ignored_cancel:
    case EndCause::worn_out:
    case EndCause::lock_failed:
    case EndCause::zygote_died:
    case EndCause::gave_way:
    case EndCause::slot_given_away:
    case EndCause::removed:
      return false;
  }
  return false;
}

bool is_fault_of_call(const WorkerEnd& end) {
  return is_fault_of_module(end) || end.cause == EndCause::deadline_exceeded || end.cause == EndCause::ignored_cancel;
}

bool failed_to_load(const WorkerEnd& end) {
  return end.while_loading && end.cause != EndCause::zygote_died && end.cause != EndCause::removed &&
         end.cause != EndCause::gave_way && end.cause != EndCause::slot_given_away &&
         end.cause != EndCause::lock_failed;
}

std::string describe(const WorkerEnd& end, const Limits& limits) { return "it " + what_happened(end, limits); }

Error guilty_error(const WorkerEnd& end, const Limits& limits) {
  Error error;
  error.code = code_of(end.cause);
  error.executed = ipc::Executed::maybe;
  error.retryable = is_retryable(end.cause);
  error.detail = detail_of(end);
  error.stack = end.stack;
  switch (end.cause) {
    case EndCause::cpu_exceeded:
      error.message = fmt::format(
          "the function ran for more than {} without a break; split the work with await, or "
          "have the limit raised (--stretch)",
          ipc::format_duration(limits.stretch));
      if (end.stack.empty()) error.message += why_no_stack(end);
      break;
    case EndCause::deadline_exceeded:
      error.message = "the call's time was over while its function was on the CPU";
      if (end.stack.empty()) error.message += why_no_stack(end);
      break;
    case EndCause::out_of_memory:
      error.message = fmt::format(
          "the module used up its memory limit of {}{}; keep less at a time, or have the "
          "limit raised (--memory)",
          ipc::format_size(limits.memory_bytes), end.detail.empty() ? "" : fmt::format(" ({})", end.detail));
      break;
    default:
      error.message = "the call's worker " + what_happened(end, limits);
  }
  return error;
}

Error bystander_error(const WorkerEnd& end, const Limits& limits, std::string_view guilty_function) {
  Error error;
  const ErrorCode code = code_of(end.cause);
  error.code = code == ErrorCode::unavailable ? code : ErrorCode::worker_crashed;
  // It cannot be known which of the calls holds the memory.
  const bool is_anybodys = end.held_too_much && guilty_function.empty() && !end.was_left;
  if (is_anybodys) error.code = ErrorCode::out_of_memory;
  error.executed = ipc::Executed::maybe;
  error.retryable = true;
  error.detail = detail_of(end);
  error.message = fmt::format("the call's worker {}", what_happened(end, limits));
  if (!guilty_function.empty()) {
    error.message += fmt::format(", in another call to the same module (function \"{}\")", guilty_function);
    error.detail = fmt::format("stopped for another call: {}", ipc::to_string(code_of(end.cause)));
  }
  if (end.was_left) error.message += ", in work that an answered call had left behind";
  error.message += is_anybodys ? "; this call had been started, and no call was on the CPU"
                               : "; this call had been started and is not to blame";
  return error;
}

Error load_error(const WorkerEnd& end, const Limits& limits) {
  Error error;
  error.code = ErrorCode::load_failed;
  error.executed = ipc::Executed::no;
  error.stack = end.stack;
  error.detail = std::string(ipc::to_string(code_of(end.cause)));
  error.message = "the module's top level did not finish: its worker " + what_happened(end, limits);
  return error;
}

}  // namespace holdfast::supervisor
