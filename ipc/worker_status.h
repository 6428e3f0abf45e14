// Signals, exit statuses and texts on which supervisor and worker agree beyond messages.
#pragma once

#include <signal.h>

#include <string_view>

namespace holdfast::ipc {

// Asks a worker for a soft stop: to report where its JavaScript is, and to end. The signal's default action ends a
// process, so it also stops a worker that has not installed its handler yet.
constexpr int kSoftStopSignal = SIGXCPU;

// The details of a worker's fatal report if a soft stop found none of the module's functions on the stack.
// Promises settle one another endlessly, without a function of the module.
constexpr std::string_view kBetweenMicrotasks = "between two microtasks";
// The functions had returned, and the worker was encoding a result.
constexpr std::string_view kWhileEncoding = "while a result was encoded";
// The functions had returned, and the worker was about to wait for more work.
constexpr std::string_view kBetweenStretches = "after the functions had returned";

// Exit status of a worker that could not lock itself down (EX_OSERR of sysexits(3)).
constexpr int kLockFailedStatus = 71;

// Exit status of a worker that attempted a system call which its filter refuses: the status with which a shell shows
// a death by SIGSYS. The call's number is on the shared page (SharedPage::refused_system_call).
constexpr int kRefusedSystemCallStatus = 128 + SIGSYS;

// Exit status of a worker or zygote that was sent something which the protocol does not allow (EX_PROTOCOL of
// sysexits(3)). Its last message says what. A process whose supervisor is gone ends silently instead, with status 0.
constexpr int kProtocolBrokenStatus = 76;

}  // namespace holdfast::ipc
