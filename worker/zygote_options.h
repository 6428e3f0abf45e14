// What holdfastd tells holdfast-worker on its command line. Both come from the same build: there is nothing here for
// users, and nothing that stays the same from one build to the next.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>

#include "sandbox/seccomp_policy.h"
#include "worker/engine.h"

namespace holdfast::worker {

struct ZygoteOptions {
  int control_fd = -1;             // a SOCK_SEQPACKET socket to the supervisor
  std::uint64_t memory_bytes = 0;  // the largest limit that any module may have
  sandbox::Profile profile = sandbox::Profile::jit;
  // Become this worker, without a zygote: isolation by exec.
  std::optional<std::uint64_t> single_worker;
  bool restrict_speculation = true;
  bool direct_line = false;             // workers have one
  std::chrono::seconds cpu_time{0};     // of a worker, over its whole life; 0: no limit
  std::set<std::string> allow_missing;  // layers without which to go on
  // Started again by the launcher, inside the namespaces.
  bool inside = false;

  // Nothing but the tests' attacker sets these.
  ExtendContext extend_context = {};
  std::optional<std::vector<sandbox::PolicyRow>> policy = {};  // in the place of the profile's
  // Nothing but a benchmark of what the filter costs sets this.
  bool leave_unfiltered = false;
};

// The option that the launcher adds when it starts the program again.
inline constexpr const char* kInsideOption = "--inside";

// Reads the arguments, the program's name not among them; nothing if they make no sense.
std::optional<ZygoteOptions> parse_zygote_options(std::span<char* const> arguments);

}  // namespace holdfast::worker
