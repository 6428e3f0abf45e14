// From a process with V8 up to a worker: the last steps, after which it can compute and talk to its socket.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

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
  bool with_line = false;                         // workers have a direct line
};

// A worker's ways to the supervisor, and, with a line, to a client. The destructor unmaps the page.
class WorkerChannel {
 public:
  static tl::expected<WorkerChannel, std::string> open(bool with_line);
  WorkerChannel(WorkerChannel&& other) noexcept;
  WorkerChannel& operator=(WorkerChannel&&) = delete;
  ~WorkerChannel();

  UniqueFd theirs;      // the supervisor's end of the socket
  UniqueFd ours;        // the worker's
  UniqueFd their_line;  // the supervisor's end of the direct line, to give to a client; none without a line
  UniqueFd our_line;
  UniqueFd page_memory;  // a memfd, sealed against resizing
  ipc::SharedPage* page() const { return page_; }

  // What the supervisor is sent, in the order of ZygoteReply.forked.
  std::vector<int> descriptors_of(const UniqueFd& process) const;
  // In the process that is not the worker: when that ends, its sockets are to close.
  void drop_ours();

 private:
  WorkerChannel() = default;
  ipc::SharedPage* page_ = nullptr;
};

// Locks the calling process down and serves. One that cannot be locked says so on its socket and exits with
// kLockFailedStatus. `parent` is what getppid(2) gives as long as the parent lives.
[[noreturn]] void become_worker(Engine& engine, const Lockdown& lockdown, const WorkerChannel& channel, pid_t parent);

}  // namespace holdfast::worker
