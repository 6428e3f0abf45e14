// Libraries that libnode, which contains V8, needs for Node.js, and that no worker calls.
#pragma once

namespace holdfast::worker {

// Keeps their code out of the processes that are forked after this call. A fork takes time for each mapping, and an
// attacker cannot use code that is not there.
void leave_unused_libraries_behind();

}  // namespace holdfast::worker
