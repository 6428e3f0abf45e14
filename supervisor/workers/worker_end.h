// Why a worker ended, and what that means for each call that was on it. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ipc/error.h"
#include "supervisor/scheduler/ids.h"
#include "supervisor/scheduler/offences.h"

namespace holdfast::supervisor {

enum class EndCause {
  cpu_exceeded,        // stopped: a stretch of JavaScript ran too long
  deadline_exceeded,   // stopped: a call was on the CPU when its time was over
  ignored_cancel,      // killed: it did not give up a call
  protocol_violation,  // killed: it broke the protocol
  out_of_memory,       // ended itself at its limit
  fatal,               // ended itself: V8 gave up
  sandbox_violation,   // died of a system call that the filter refuses
  worn_out,            // killed by the kernel: it had used all of its CPU time
  crashed,             // died of a signal, or exited
  lock_failed,         // ended itself: it could not lock itself down
  zygote_died,         // died with its zygote
  gave_way,            // killed: it had sent a part of a message, and the rest did not come
  slot_given_away,     // killed: it drained for too long while others waited for its slot
  removed,             // killed: idle, evicted, or the supervisor is leaving
};

struct WorkerEnd {
  EndCause cause = EndCause::crashed;
  CallId running{};  // the call on the CPU according to the worker's shared page; 0: none, or unknown
  CallId said{};     // the call on the CPU according to the worker's fatal report; 0: none, or unknown
  CallId guilty{};   // `said` if that is set, else `running`
  // The caller of the call that was on the CPU. If an answered call had left behind what was on the CPU, the caller of
  // that call. Nothing: not known.
  std::optional<Caller> seen_caller{};  // according to the shared page
  std::optional<Caller> said_caller{};  // according to the fatal report
  bool was_left = false;                // an answered call had left behind what was on the CPU
  bool while_loading = false;           // the module's top level was on the CPU
  bool from_outside = false;            // with `crashed`: another process killed it
  bool held_too_much = false;           // with `out_of_memory`: the supervisor killed it for the memory that it held
  std::uint64_t started = 0;  // how many of its calls it had started; they start in the order in which they were sent
  // How many calls on its direct line it had started. If the guilty call is the line itself: which call on it; 0:
  // unknown.
  std::uint64_t line_started = 0;
  std::uint64_t guilty_on_line = 0;
  bool told = false;               // the worker ended itself, and said why
  std::string stack;               // where the JavaScript was, if the worker could say
  std::string detail;              // about the cause: the broken rule, the system call or V8's own message
  std::optional<int> wait_status;  // see wait(2); nothing: the zygote did not report it
};

// The limits that messages name.
struct Limits {
  std::chrono::nanoseconds stretch{};
  std::uint64_t memory_bytes = 0;
};

// Whether the module is to blame, rather than its caller's time limit, the operator or the zygote.
bool is_fault_of_module(const WorkerEnd& end);

// Whether a call that was on the CPU at this end is to blame for it: by what it did, or because its time was over.
bool is_fault_of_call(const WorkerEnd& end);

// Whether the module cannot be loaded: its top level was on the CPU, and nothing from outside ended it.
bool failed_to_load(const WorkerEnd& end);

// The error for the call that the end is about, or for any call if none is known to be.
ipc::Error guilty_error(const WorkerEnd& end, const Limits& limits);

// For the log: what happened to the worker, as the end of a sentence.
std::string describe(const WorkerEnd& end, const Limits& limits);

// The error for a call that had been started and was not to blame. `guilty_function` is empty if no call is to blame.
ipc::Error bystander_error(const WorkerEnd& end, const Limits& limits, std::string_view guilty_function);

// The error for all calls of a module whose top level was at fault.
ipc::Error load_error(const WorkerEnd& end, const Limits& limits);

}  // namespace holdfast::supervisor
