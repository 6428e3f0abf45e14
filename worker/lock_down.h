// From a process with V8 up to a worker: the last steps, after which it can compute and talk to its socket.
#pragma once

#include <optional>
#include <set>
#include <string>

#include <sys/types.h>
#include <tl/expected.hpp>

#include "ipc/shared_page.h"
#include "ipc/unique_fd.h"
#include "sandbox/limits.h"
#include "sandbox/seccomp_policy.h"
#include "worker/engine.h"

namespace holdfast::worker {

struct Lockdown {
  sandbox::ResourceLimits limits;
  std::optional<sandbox::SeccompProgram> filter;  // none: ZygoteOptions::leave_unfiltered
  std::set<std::string> allow_missing;            // layers without which to go on
};

// A worker's two ways to the supervisor. The destructor unmaps the page.
class WorkerChannel {
 public:
  static tl::expected<WorkerChannel, std::string> open();
  WorkerChannel(WorkerChannel&& other) noexcept;
  WorkerChannel& operator=(WorkerChannel&&) = delete;
  ~WorkerChannel();

  UniqueFd theirs;       // the supervisor's end of the socket
  UniqueFd ours;         // the worker's
  UniqueFd page_memory;  // a memfd, sealed against resizing
  ipc::SharedPage* page() const { return page_; }

 private:
  WorkerChannel() = default;
  ipc::SharedPage* page_ = nullptr;
};

// Locks the calling process down and serves. One that cannot be locked says so on its socket and exits with
// kLockFailedStatus. `parent` is what getppid(2) gives as long as the parent lives.
[[noreturn]] void become_worker(Engine& engine, const Lockdown& lockdown, const WorkerChannel& channel, pid_t parent);

}  // namespace holdfast::worker
