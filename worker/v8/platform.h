// V8's platform for a process that must be able to fork: no threads at all, memory that survives the fork, and clocks
// that are too coarse to time a cache with.
#pragma once

#include <libplatform/libplatform.h>
#include <v8-platform.h>

#include <memory>

#include "worker/plain/clock.h"
#include "worker/v8/page_allocator.h"

namespace holdfast::worker {

class SingleThreadedPlatform final : public v8::Platform {
 public:
  SingleThreadedPlatform();

  // Runs the tasks that V8 posted to itself; called when the worker has nothing better to do.
  void run_pending_tasks(v8::Isolate* isolate);

  CoarseClock& clock() { return clock_; }
  MemoryAccount& memory() { return pages_.account(); }

  v8::PageAllocator* GetPageAllocator() override { return &pages_; }
  int NumberOfWorkerThreads() override { return 0; }
  std::shared_ptr<v8::TaskRunner> GetForegroundTaskRunner(v8::Isolate* isolate) override;
  void CallOnWorkerThread(std::unique_ptr<v8::Task> task) override;
  void CallDelayedOnWorkerThread(std::unique_ptr<v8::Task> task, double delay_in_seconds) override;
  std::unique_ptr<v8::JobHandle> PostJob(v8::TaskPriority priority, std::unique_ptr<v8::JobTask> job) override;
  double MonotonicallyIncreasingTime() override;
  double CurrentClockTimeMillis() override;
  v8::TracingController* GetTracingController() override;

 private:
  ForkablePageAllocator pages_;
  CoarseClock clock_;
  std::unique_ptr<v8::Platform> tasks_;  // V8's own single-threaded platform keeps the task queues
};

}  // namespace holdfast::worker
