// State that a process inherits: descriptors, signal dispositions, a terminal, an environment. Each call here removes
// one of them.
#pragma once

#include <span>

#include "sandbox/setup_error.h"

namespace holdfast::sandbox {

// The number to which close_all_descriptors_except() moves the first descriptor that it keeps. It is above 0 to 2, so
// that a stray message to standard output or error meets a closed descriptor and not the socket.
inline constexpr int kKeptDescriptor = 3;

// Moves `fd` to kKeptDescriptor, close-on-exec, and closes every other descriptor of the process (close_range(2);
// needs no /proc). Objects that still hold one of the closed numbers are left dangling and must not close it later.
// Errors have layer "descriptors".
[[nodiscard]] SetupResult close_all_descriptors_except(int fd);

// Keeps several descriptors: moves the first to kKeptDescriptor and the others to the numbers after it,
// close-on-exec, and closes all others. Objects that still hold a closed number must not close it later. Errors have
// layer "descriptors".
[[nodiscard]] SetupResult close_all_descriptors_except(std::span<const int> fds);

// Resets every signal's disposition to the default, and unblocks all signals. Alternate stacks stay. Install handlers
// afterwards.
[[nodiscard]] SetupResult reset_signals();

// Makes the caller the leader of a new session without a controlling terminal (setsid(2)). Fails in a process that
// already leads a process group, which a child fresh from fork(2) never does.
[[nodiscard]] SetupResult new_session();

// Empties the environment and overwrites its strings; clearenv(3) alone would leave them in memory, where a module
// might read them. Call before any other thread exists, and before putenv(3) gets strings that must not be written
// to. Pointers from getenv(3) are left dangling.
void clear_environment();

}  // namespace holdfast::sandbox
