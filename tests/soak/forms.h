// The forms of the soak test. Each form starts a holdfastd of its own and writes its figures and failures to the run's
// report. It throws only if it cannot go on.
#pragma once

#include <cstddef>

#include "tests/soak/run.h"

namespace holdfast::soak {

// Many clients make calls of all kinds, in rounds that last run.duration together. In each round holdfastd's processes
// are killed, stopped and robbed of resources, and other clients misbehave; after each round everything must be as
// before. At the end the supervisor is killed and another one takes over; last, a supervisor whose log cannot be
// written has to serve.
void run_chaos(Run& run);

// `modules` clients call one module each, in a closed loop, for run.duration. There is room for `workers` workers.
void run_many_modules(Run& run, std::size_t modules, std::size_t workers);

// Two slots, ten modules that are flooded, and one that is called once a second, for run.duration. Compares that with
// the same flood under slices so long that none ends. Runs once with calls of a millisecond and once with calls that
// take next to no time.
void run_fairness(Run& run, Clock::duration slice);

// `calls` CPU-bound calls to one module at once: first with one worker process for the module, then with several.
void run_batch(Run& run, std::size_t calls);

// `workers` modules, each with a worker of its own: all are loaded at once, and each is called twice.
void run_many_workers(Run& run, std::size_t workers);

}  // namespace holdfast::soak
