// The fatal report: how a worker that ends early says why. Causes are the supervisor's soft stop, exhausted memory, a
// fatal error in V8, and a system call that the filter refused. Each handler tells the supervisor the reason, and
// where the JavaScript was if that can be known, and ends the process.
#pragma once

#include <string_view>

#include "ipc/shared_page.h"
#include "worker/channel/line.h"
#include "worker/channel/outbox.h"
#include "worker/v8/engine.h"

namespace holdfast::worker {

// Registers V8's failure callbacks, and sets aside the memory that a report takes. Must be called in the zygote
// before its first fork, so that all workers share these pages until they write to them. `engine` must live as long
// as the process.
void prepare_fatal_report(Engine& engine);

// Installs this process's signal handlers. Call once, after prepare_fatal_report() and before the seccomp filter is
// loaded (the filter refuses rt_sigaction(2)). Takes no ownership; all arguments must live as long as the process.
// `line` may be null.
void install_fatal_report(Outbox& outbox, Line* line, ipc::SharedPage& page);

// Must be called between two stretches of JavaScript. If memory was found used up and no JavaScript has reached V8's
// next check since, collects garbage and looks again: the call may have freed the memory by ending. If memory is
// still used up, ends the process, so that the next call is not blamed for it.
void settle_memory();

// Reports that the supervisor sent something which the protocol does not allow, and ends the process with
// ipc::kProtocolBrokenStatus. `expected` completes the sentence "expected that …".
[[noreturn]] void end_by_broken_protocol(std::string_view expected);

// Whether the supervisor has asked this process to end. Running JavaScript is ended at V8's next interrupt check that
// has a function of the module on the stack. Between stretches, the worker's loop must ask here and then call
// end_between_stretches().
bool soft_stop_requested();

// Reports that the soft stop came while no JavaScript ran, and ends the process.
[[noreturn]] void end_between_stretches();

}  // namespace holdfast::worker
