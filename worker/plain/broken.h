// How a process of the worker's program ends when something does not hold that must hold: it tells what was expected,
// in the way that it has for that. To go on would mean to guess.
#pragma once

#include <string_view>

namespace holdfast::worker {

// Tells the supervisor what was expected, and ends the process. `expected` completes the sentence "expected that …".
using TellBroken = void (*)(std::string_view expected);

// Sets the process's way to tell: the zygote's is its control socket, a worker's its fatal report. Null, as at the
// beginning: standard error.
void tell_broken_by(TellBroken tell);

// Ends the process. Never returns, whatever the way to tell does.
[[noreturn]] void broken(std::string_view expected);

// Ends the process unless `holds`.
inline void expect(bool holds, const char* expected) {
  if (!holds) broken(expected);
}

}  // namespace holdfast::worker
