// Ids that the supervisor gives. An id is never used twice in the life of a supervisor, and none is 0. A UserId is the
// kernel's instead: a uid as the supervisor's user namespace sees it (unix(7), SO_PEERCRED).
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace holdfast::supervisor {

enum class CallId : std::uint64_t {};
enum class ClientId : std::uint64_t {};
enum class WorkerId : std::uint64_t {};
enum class ModuleId : std::uint64_t {};
enum class UserId : uid_t {};
// A hash of a function's name; 0 for calls on a direct line.
enum class FunctionId : std::uint64_t {};
constexpr FunctionId kAnyFunction{UINT64_MAX};  // the function is not known

// Stands for all clients of a user that CallerNumbers does not distinguish. No client has such an id.
constexpr ClientId rest_of(UserId user) { return ClientId{std::uint64_t{1} << 63 | static_cast<uid_t>(user)}; }
constexpr bool is_rest(ClientId client) { return static_cast<std::uint64_t>(client) >> 63 != 0; }

// The user of a peer whose user the kernel does not tell: (uid_t)-1 is no valid uid.
inline constexpr UserId kUnknownUser{static_cast<uid_t>(-1)};

}  // namespace holdfast::supervisor
