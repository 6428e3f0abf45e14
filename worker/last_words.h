// How a worker ends before its time, and what it says then: the supervisor's soft stop, memory that is used up, V8
// giving up, a system call that the filter refused. Each says why, and where the JavaScript was if that can be known,
// and ends the process.
#pragma once

#include "ipc/shared_page.h"
#include "worker/engine.h"
#include "worker/line.h"
#include "worker/outbox.h"

namespace holdfast::worker {

// Has V8 tell of its failures, and sets memory aside to tell of them. In the zygote, before its first fork: what no
// worker writes to is no worker's own. `engine` must live as long as the process.
void prepare_last_words(Engine& engine);

// Installs the handlers of this process; once, after prepare_last_words(), and before the seccomp filter is loaded
// (rt_sigaction(2) is not allowed after). None of these is owned; all must live as long as the process. `line` may be
// null.
void install_last_words(Outbox& outbox, Line* line, ipc::SharedPage& page);

// To be called between two stretches of JavaScript. Where memory was found used up and no JavaScript came to V8's next
// check since, looks again: nothing comes of what a call gave back with its end. If it is still used up, ends the
// process, before the next call is blamed for it.
void settle_memory();

// Whether the supervisor has asked this process to end. Where JavaScript is running, that ends it at V8's next check
// with a function of the module on the stack; the worker's loop asks here, and then calls end_between_stretches().
bool soft_stop_requested();

// Says that the soft stop came when no JavaScript ran, and ends the process.
[[noreturn]] void end_between_stretches();

}  // namespace holdfast::worker
