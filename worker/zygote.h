// The zygote: a process with V8 up and the world shut out, which forks workers on request and does nothing else.
#pragma once

#include <cstdint>
#include <string>
#include <sys/types.h>
#include <tl/expected.hpp>
#include <unordered_map>

#include "ipc/packet.h"
#include "ipc/unique_fd.h"
#include "ipc/worker_messages.h"
#include "sandbox/limits.h"
#include "sandbox/seccomp_policy.h"
#include "worker/engine.h"

namespace holdfast::worker {

struct ZygoteOptions {
  int control_fd = -1;             // a SOCK_SEQPACKET socket to the supervisor
  std::uint64_t memory_bytes = 0;  // the largest limit that any module may have
  ExtendContext extend_context;    // nothing but the tests' attacker has one
};

// Enters the namespaces, brings V8 up, seals itself off and serves fork requests until the supervisor closes the
// control socket. The calling process stays behind as the launcher: it waits for the zygote, which is pid 1 of the
// new pid namespace, and ends as it ended. Returns the launcher's exit status.
int run_zygote(const ZygoteOptions& options);

}  // namespace holdfast::worker
