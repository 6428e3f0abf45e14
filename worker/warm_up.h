// Takes the engine once through everything that a call does, so that what V8 compiles, reads or allocates on first use
// is there before the first fork, and is shared by all workers instead of made by each.
#pragma once

#include "worker/engine.h"

namespace holdfast::worker {

// Leaves the context as it was: no global, no timer, no random number drawn. In the zygote, before its first fork and
// before Engine::settle_heap(), which is to come once: at each of its collections V8 forgets some code that has not run
// lately.
void warm_up(Engine& engine);

// Loads a small module and calls it. A worker that waits for its module takes the page faults of a first call so in
// advance (pages of the heap are copied when they are first written to), and the zygote learns what code that runs.
// Takes a millisecond or so. Afterwards the engine has no host.
void rehearse(Engine& engine);

}  // namespace holdfast::worker
