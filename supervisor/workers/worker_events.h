// What happens to workers: the interface through which Workers reports it. The class that decides which workers exist
// and what they are given implements the interface.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "ipc/worker_messages.h"
#include "supervisor/scheduler/ids.h"
#include "supervisor/workers/worker_end.h"

namespace holdfast::supervisor {

// Is told what happens to workers. For each worker that was asked for: worker_forked() and later worker_ended(), or
// worker_fork_failed().
class WorkerEvents {
 public:
  virtual ~WorkerEvents() = default;
  virtual void worker_forked(WorkerId worker) = 0;
  // The worker has done in advance what it can, and waits for a module.
  virtual void worker_prepared(WorkerId worker) = 0;
  virtual void worker_fork_failed(WorkerId worker, const std::string& reason) = 0;
  virtual void worker_loaded(WorkerId worker) = 0;
  virtual void worker_load_failed(WorkerId worker, const ipc::Error& error) = 0;
  // The worker answered the call. It claims that it worked on it for `run` since its last worker_ran(). False: no such
  // call is on this worker, or it cannot have this answer, which violates the protocol.
  virtual bool worker_answered(WorkerId worker, CallId call, const ipc::ResultView& result,
                               std::chrono::steady_clock::duration run) = 0;
  virtual bool worker_answered(WorkerId worker, CallId call, const ipc::Error& error,
                               std::chrono::steady_clock::duration run) = 0;
  // A value of the stream that a call's function returned. False: the call does not take it, which violates the
  // protocol.
  virtual bool worker_streamed(WorkerId worker, CallId call, const ipc::ResultView& value) = 0;
  // The worker reports that it was at work for `time` on a call of this caller. `call` is CallId{} if that call is
  // answered. The caller may be a merged one (CallerNumbers).
  virtual void worker_ran(WorkerId worker, CallId call, const Caller& caller,
                          std::chrono::steady_clock::duration time) = 0;
  virtual void worker_logged(WorkerId worker, const ipc::LogLine& line) = 0;
  // The kernel has counted this much more CPU time for the worker since the last report.
  virtual void worker_used(WorkerId worker, std::chrono::steady_clock::duration cpu_time) = 0;
  // The worker has used half of the CPU time that it may use, and should be replaced before it has used all of it.
  // Called once for a worker.
  virtual void worker_is_worn_out(WorkerId worker) = 0;
  // All workers together hold `bytes` more than they may, and each is within its limit. Called again while this is
  // so; memory_is_enough() is called when it is not so any more.
  virtual void memory_is_short(std::uint64_t bytes) = 0;
  virtual void memory_is_enough() = 0;
  // The worker is being stopped, or has hung up, and takes no more calls. The cause is the call `suspect`, or what an
  // answered call of `left_by` left behind.
  virtual void worker_stopping(WorkerId worker, CallId suspect, const std::optional<Caller>& left_by) = 0;
  // What is known of the worker is forgotten when this returns.
  virtual void worker_ended(WorkerId worker, const WorkerEnd& end) = 0;
};

}  // namespace holdfast::supervisor
