// The forms of the soak test. Each runs a holdfastd of its own, notes its figures and whatever did not hold in the
// run's report, and throws only where it cannot go on.
#pragma once

#include <cstddef>

#include "tests/soak/run.h"

namespace holdfast::soak {

// Calls of all kinds from many clients, in rounds of run.duration together; meanwhile processes are killed, stopped and
// robbed, and other clients misbehave. After each round everything must be as before; at the end the supervisor is
// killed, and another takes over; and one whose log cannot be written serves.
void run_chaos(Run& run);

// `modules` clients, each asking a module of its own in a closed loop for run.duration, with room for `workers`.
void run_many_modules(Run& run, std::size_t modules, std::size_t workers);

// Two slots, ten modules that are flooded and one that is called once a second, for run.duration; then the same flood
// where nobody's slice ends. Once with calls that take a millisecond, once with calls that take nothing.
void run_fairness(Run& run, Clock::duration slice);

// So many CPU-bound calls to one module at once, which may have one process, and then several.
void run_batch(Run& run, std::size_t calls);

// As many modules as workers, all loaded at once, each called twice.
void run_many_workers(Run& run, std::size_t workers);

}  // namespace holdfast::soak
