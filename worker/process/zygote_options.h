// The options that holdfastd passes to holdfast-worker. Both programs come from the same build: the options are not
// for users, and may change from one build to the next.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>

#include "sandbox/seccomp_policy.h"

namespace holdfast::worker {

struct ZygoteOptions {
  int control_fd = -1;             // a SOCK_SEQPACKET socket to the supervisor
  std::uint64_t memory_bytes = 0;  // the largest limit that any module may have
  sandbox::Profile profile = sandbox::Profile::jit;
  // Become this worker, without a zygote: isolation by exec.
  std::optional<std::uint64_t> single_worker;
  bool restrict_speculation = true;
  bool direct_line = false;             // workers have a direct line
  std::chrono::seconds cpu_time{0};     // of a worker, over its whole life; 0: no limit
  std::set<std::string> allow_missing;  // layers that may be missing
  // The launcher has executed the program again, inside the namespaces.
  bool inside = false;
};

// The option that the launcher adds when it starts the program again.
inline constexpr const char* kInsideOption = "--inside";

// Reads the arguments, without the program's name. Returns nothing if an option is unknown or its value invalid.
std::optional<ZygoteOptions> parse_zygote_options(std::span<char* const> arguments);

}  // namespace holdfast::worker
