// What the supervisor numbers. Numbers are never used twice in the life of a supervisor; 0 is none of them.
#pragma once

#include <cstdint>

namespace holdfast::supervisor {

enum class CallId : std::uint64_t {};
enum class ClientId : std::uint64_t {};
enum class WorkerId : std::uint64_t {};
enum class ModuleId : std::uint64_t {};

}  // namespace holdfast::supervisor
