// What a worker may use up, as the kernel enforces it (getrlimit(2)). Soft and hard limit are always the same, so that
// none can be raised again.
#pragma once

#include <chrono>
#include <cstdint>

#include "sandbox/setup_error.h"

namespace holdfast::sandbox {

// A field that is 0 leaves its limit as it is.
struct ResourceLimits {
  // RLIMIT_DATA: private writable memory of the whole process, what it inherited from its zygote included; past it,
  // mmap(2), mprotect(2) and brk(2) fail with ENOMEM. Holds for code that goes by its allocator. An attacker with code
  // of its own can fill pages and then have them read-only, which the kernel no longer counts: address_space_bytes
  // stops that one.
  std::uint64_t data_bytes = 0;
  // RLIMIT_AS: all mappings together, reservations included; past it, the same calls fail the same way. The bound that
  // an attacker cannot get around, on page tables too, which no other limit counts. Must leave room for what V8
  // reserves and never touches.
  std::uint64_t address_space_bytes = 0;
  // RLIMIT_STACK: how far the main thread's stack grows; past it, SIGSEGV.
  std::uint64_t stack_bytes = 0;
  // RLIMIT_CPU: over the whole life of the process, so a backstop and not a call's budget; then SIGKILL. The kernel
  // sends SIGXCPU at the soft limit only where the hard limit is higher; as both are the same here, a SIGXCPU that
  // arrives is always the supervisor's soft stop.
  std::chrono::seconds cpu_time{0};
  // RLIMIT_NOFILE: bounds the numbers of new descriptors; those open stay usable. The least that serves is as many as
  // are waited for at a time: poll(2) fails with EINVAL for more entries than this.
  std::uint64_t descriptors = 1;
};

// Sets `limits` on the calling process, and besides: no file contents written, no child or thread created, no core
// dump, no locked memory, no POSIX message queue, no queued real-time signal.
//
// Call in a worker, never in the zygote, which must still fork; after close_all_descriptors_except(). The bar on
// children does not hold for uid 0 of the host and for holders of CAP_SYS_ADMIN or CAP_SYS_RESOURCE.
[[nodiscard]] SetupResult apply_limits(const ResourceLimits& limits);

// What the calling process has mapped now of what data_bytes and address_space_bytes limit (VmData and VmSize in
// proc(5)). Needs /proc: call it in the zygote before seal_root(), and add what a worker may have on top.
[[nodiscard]] tl::expected<std::uint64_t, SetupError> data_bytes_in_use();
[[nodiscard]] tl::expected<std::uint64_t, SetupError> address_space_bytes_in_use();

}  // namespace holdfast::sandbox
