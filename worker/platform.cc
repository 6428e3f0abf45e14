#include "worker/platform.h"

#include <cmath>

namespace holdfast::worker {
namespace {

// The finest step of any clock that a module can read. Attacks on caches and speculation need to tell tens of
// nanoseconds apart; 100 µs is what browsers settled on without cross-origin isolation (W3C High Resolution Time,
// "coarsen time").
constexpr double kClockResolutionMillis = 0.1;

}  // namespace

SingleThreadedPlatform::SingleThreadedPlatform() : tasks_(v8::platform::NewSingleThreadedDefaultPlatform()) {}

void SingleThreadedPlatform::run_pending_tasks(v8::Isolate* isolate) {
  while (v8::platform::PumpMessageLoop(tasks_.get(), isolate)) {
  }
}

std::shared_ptr<v8::TaskRunner> SingleThreadedPlatform::GetForegroundTaskRunner(v8::Isolate* isolate) {
  return tasks_->GetForegroundTaskRunner(isolate);
}

void SingleThreadedPlatform::CallOnWorkerThread(std::unique_ptr<v8::Task> task) {
  tasks_->CallOnWorkerThread(std::move(task));
}

void SingleThreadedPlatform::CallDelayedOnWorkerThread(std::unique_ptr<v8::Task> task, double delay_in_seconds) {
  tasks_->CallDelayedOnWorkerThread(std::move(task), delay_in_seconds);
}

std::unique_ptr<v8::JobHandle> SingleThreadedPlatform::PostJob(v8::TaskPriority priority,
                                                               std::unique_ptr<v8::JobTask> job) {
  return tasks_->PostJob(priority, std::move(job));
}

double SingleThreadedPlatform::MonotonicallyIncreasingTime() { return tasks_->MonotonicallyIncreasingTime(); }

double SingleThreadedPlatform::CurrentClockTimeMillis() {
  return std::floor(SystemClockTimeMillis() / kClockResolutionMillis) * kClockResolutionMillis;
}

v8::TracingController* SingleThreadedPlatform::GetTracingController() { return tasks_->GetTracingController(); }

}  // namespace holdfast::worker
