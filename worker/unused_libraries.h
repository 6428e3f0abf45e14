// Libraries that V8's brings along for Node.js, and that no worker ever calls.
#pragma once

namespace holdfast::worker {

// Keeps their code out of the processes that are forked from here on: a fork takes its time for each mapping, and code
// that is not there is of no use to an attacker.
void leave_unused_libraries_behind();

}  // namespace holdfast::worker
