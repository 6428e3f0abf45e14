// The last steps from a process that runs V8 to a worker. After them the process can only compute and use its
// sockets.
#pragma once

#include <sys/types.h>

#include <optional>
#include <set>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "ipc/base/unique_fd.h"
#include "ipc/shared_page.h"
#include "sandbox/limits.h"
#include "sandbox/seccomp_policy.h"
#include "worker/v8/engine.h"

namespace holdfast::worker {

// The sockets that a worker has.
enum class WorkerSockets { supervisor_only, with_direct_line };

struct Lockdown {
  sandbox::ResourceLimits limits;
  sandbox::SeccompProgram filter;
  std::set<std::string> allow_missing;  // layers that may be missing
  WorkerSockets sockets = WorkerSockets::supervisor_only;
};

// A worker's sockets and shared page: its connection to the supervisor and, with a line, to a client. Owns the
// descriptors and the mapping of the page.
class WorkerChannel {
 public:
  // Makes the sockets and the page. The error says which system call failed, and why.
  static tl::expected<WorkerChannel, std::string> open(WorkerSockets sockets);
  WorkerChannel(WorkerChannel&& other) noexcept;
  WorkerChannel& operator=(WorkerChannel&&) = delete;
  ~WorkerChannel();

  UniqueFd theirs;      // the supervisor's end of the socket
  UniqueFd ours;        // the worker's end
  UniqueFd their_line;  // the supervisor's end of the direct line, to give to a client; none without a line
  UniqueFd our_line;
  UniqueFd page_memory;  // a memfd, sealed against resizing
  ipc::SharedPage* page() const { return page_; }

  // The descriptors to send to the supervisor, `process` (a pidfd) first, in the order of ZygoteReply.forked. This
  // object keeps them.
  std::vector<BorrowedFd> descriptors_of(const UniqueFd& process) const;
  // Closes the worker's ends. To be called in the process that forked the worker: the sockets must close when the
  // worker ends.
  void drop_ours();

 private:
  WorkerChannel() = default;
  ipc::SharedPage* page_ = nullptr;
};

// Locks the calling process down and serves calls. If a layer cannot be set up and may not be missing, reports that
// on the socket and exits with kLockFailedStatus. `parent` is what getppid(2) returns while the parent lives; if it
// returns something else, the parent is dead, and the process exits.
[[noreturn]] void become_worker(Engine& engine, const Lockdown& lockdown, const WorkerChannel& channel, pid_t parent);

}  // namespace holdfast::worker
