// Takes the engine once through everything that a call does, so that what V8 compiles, reads or allocates on first use
// is there before the first fork, and is shared by all workers instead of made by each.
#pragma once

#include "worker/engine.h"

namespace holdfast::worker {

// Leaves the context as it was: no global, no timer, no random number drawn. In the zygote, before its first fork.
void warm_up(Engine& engine);

}  // namespace holdfast::worker
