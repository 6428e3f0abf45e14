// Runs everything that a call does, so that what V8 compiles, reads or allocates on first use exists before the first
// fork. All workers then share it, and none has to make it.
#pragma once

#include "worker/v8/engine.h"

namespace holdfast::worker {

// Leaves the context as it was: adds no global and no timer, and draws no random number. Must be called in the
// zygote, before its first fork and before Engine::settle_heap(). The latter must be called only once: at each of its
// collections V8 forgets some code that has not run lately.
void warm_up(Engine& engine);

// Loads a small module and calls it. This way a worker that waits for its module takes the page faults of a first
// call in advance (heap pages are copied when they are first written to), and the zygote learns which code a call
// runs. Takes about a millisecond. Afterwards the engine has no host.
void make_first_call(Engine& engine);

}  // namespace holdfast::worker
