// Argument rules for the rows of the system call tables.
#pragma once

#include <sys/mman.h>

#include <cstdint>

#include "sandbox/seccomp_policy.h"

namespace holdfast::sandbox {

// Selects the low half of an argument that the kernel takes as an int. The kernel ignores the high half of the
// register, which may hold anything.

inline constexpr std::uint64_t kIntMask = 0xffff'ffff;

// Any arguments. Also the cheapest rule: the kernel caches such calls and skips the filter.
inline constexpr ArgumentRule kAnyArguments{};

constexpr ArgumentRule int_equals(unsigned argument, unsigned value) {
  return {.conditions = {{{argument, kIntMask, value}}}, .condition_count = 1};
}

constexpr ArgumentRule is_null(unsigned argument) {
  return {.conditions = {{{argument, ~std::uint64_t{0}, 0}}}, .condition_count = 1};
}

constexpr ArgumentRule int_flags_within(unsigned argument, unsigned allowed) {
  return {.conditions = {{{argument, kIntMask & ~allowed, 0}}}, .condition_count = 1};
}

inline constexpr std::uint64_t kReadWrite = PROT_READ | PROT_WRITE;

// Flags of mmap(2) that change neither the kind of the memory nor how it is accounted.
inline constexpr std::uint64_t kHarmlessMapFlags = MAP_NORESERVE | MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_STACK;
inline constexpr ArgumentCondition kPrivateAnonymous{3, ~kHarmlessMapFlags, MAP_PRIVATE | MAP_ANONYMOUS};

// The protection is the third argument of both mmap(2) and mprotect(2).
inline constexpr ArgumentCondition kNotExecutable{2, ~kReadWrite, 0};
// Writable or executable, never both.
inline constexpr ArgumentCondition kExecutable{2, ~std::uint64_t{PROT_READ}, PROT_EXEC};

inline constexpr ArgumentRule kPrivateMemory{.conditions = {{kPrivateAnonymous, kNotExecutable}}, .condition_count = 2};
inline constexpr ArgumentRule kPlainProtection{.conditions = {{kNotExecutable}}, .condition_count = 1};

inline constexpr ArgumentRule kExecutableProtection{.conditions = {{kExecutable}}, .condition_count = 1};

}  // namespace holdfast::sandbox
