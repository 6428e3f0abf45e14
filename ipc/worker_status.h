// What supervisor and worker agree on beyond messages: signals and exit statuses.
#pragma once

#include <signal.h>

#include <string_view>

namespace holdfast::ipc {

// Asks a worker for a soft stop: to say where its JavaScript is, and to end. By default the signal ends a process, so
// that a worker which did not come to install its handler is stopped too.
constexpr int kSoftStopSignal = SIGXCPU;

// The details of a worker's last words where a soft stop found none of its module's functions on the stack.
// Promises settle one another without end, and no function that the module wrote has a part in it.
constexpr std::string_view kBetweenMicrotasks = "between two microtasks";
// The functions had returned, and what they returned was being encoded.
constexpr std::string_view kWhileEncoding = "while a result was encoded";
// The functions had returned, and the worker was about to wait for further work.
constexpr std::string_view kBetweenStretches = "after the functions had returned";

// The exit status of a worker that could not lock itself down (EX_OSERR of sysexits(3)).
constexpr int kLockFailedStatus = 71;

// The exit status of a worker that attempted a system call which its filter refuses, as shells would show the SIGSYS
// that told it so. The call's number is on the shared page.
constexpr int kRefusedSystemCallStatus = 128 + SIGSYS;

}  // namespace holdfast::ipc
