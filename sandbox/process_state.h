// What a process inherits without asking: descriptors, signal dispositions, a terminal, an environment. Each call here
// takes one of them away.
#pragma once

#include <span>

#include "sandbox/setup_error.h"

namespace holdfast::sandbox {

// Where close_all_descriptors_except() puts the first that it keeps. Past 0 to 2, so that a stray message to standard
// output or error finds a closed descriptor, and not the socket.
inline constexpr int kKeptDescriptor = 3;

// Moves `fd` to kKeptDescriptor, close-on-exec, and closes every other descriptor of the process, without a /proc
// (close_range(2)). Objects that still hold a number are left dangling: they must not close it later. Layer
// "descriptors".
[[nodiscard]] SetupResult close_all_descriptors_except(int fd);

// The same for several: the first becomes kKeptDescriptor, the others the numbers behind it.
[[nodiscard]] SetupResult close_all_descriptors_except(std::span<const int> fds);

// Every signal's disposition is the default, and none is blocked. Alternate stacks stay. Install handlers afterwards.
[[nodiscard]] SetupResult reset_signals();

// Makes the caller lead a session of its own, without a controlling terminal (setsid(2)). Fails in a process that leads
// a process group already; a child fresh from fork(2) never does.
[[nodiscard]] SetupResult new_session();

// Empties the environment, and overwrites its strings: clearenv(3) would leave them in memory, for the module to read.
// Call before any other thread exists, and before putenv(3) is given strings that must not be written to. Pointers
// from getenv(3) are left dangling.
void clear_environment();

}  // namespace holdfast::sandbox
