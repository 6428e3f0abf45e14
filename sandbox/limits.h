// Resource limits of a worker, enforced by the kernel (getrlimit(2)). Soft and hard limits are always equal, so that
// none can be raised again.
#pragma once

#include <chrono>
#include <cstdint>

#include "sandbox/setup_error.h"

namespace holdfast::sandbox {

// A field that is 0 leaves its limit as it is.
struct ResourceLimits {
  // RLIMIT_DATA: private writable memory of the whole process, including what it inherited from its zygote. Beyond
  // it, mmap(2), mprotect(2) and brk(2) fail with ENOMEM. It binds code that uses its allocator. An attacker with
  // native code can fill pages and then make them read-only, and the kernel no longer counts those;
  // address_space_bytes stops that.
  std::uint64_t data_bytes = 0;
  // RLIMIT_AS: all mappings together, reservations included. Beyond it, mmap(2), mprotect(2) and brk(2) fail with
  // ENOMEM. An attacker cannot get around this limit, and it also bounds page tables, which no other limit counts. It
  // must leave room for the address space that V8 reserves and never touches.
  std::uint64_t address_space_bytes = 0;
  // RLIMIT_STACK: the largest size of the main thread's stack; beyond it, SIGSEGV.
  std::uint64_t stack_bytes = 0;
  // RLIMIT_CPU: CPU time over the whole life of the process, then SIGKILL; a backstop and not the budget of a call.
  // The kernel sends SIGXCPU at the soft limit only if the hard limit is higher. Both are equal here, so a SIGXCPU
  // that arrives is always the supervisor's soft stop.
  std::chrono::seconds cpu_time{0};
  // RLIMIT_NOFILE: new descriptors must have lower numbers than this; descriptors that are already open stay usable.
  // It must be at least the number of descriptors that the process polls at a time: poll(2) fails with EINVAL for
  // more.
  std::uint64_t descriptors = 1;
};

// Sets `limits` on the calling process. Also forbids it to write file contents, create children or threads, dump
// core, lock memory, and have POSIX message queues or queued real-time signals.
//
// Call in a worker, after close_all_descriptors_except(); never in the zygote, which must still fork. The ban on
// children does not bind uid 0 of the host or holders of CAP_SYS_ADMIN or CAP_SYS_RESOURCE.
[[nodiscard]] SetupResult apply_limits(const ResourceLimits& limits);

// How much the calling process uses now of what data_bytes and address_space_bytes limit, in bytes (VmData and VmSize
// in proc(5)). Both need /proc: call them in the zygote before seal_root(), and add what a worker may use on top.
[[nodiscard]] tl::expected<std::uint64_t, SetupError> data_bytes_in_use();
[[nodiscard]] tl::expected<std::uint64_t, SetupError> address_space_bytes_in_use();

}  // namespace holdfast::sandbox
