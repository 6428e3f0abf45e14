#include "worker/v8/platform.h"

namespace holdfast::worker {

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

// V8 schedules its own work by this clock, and no module sees it.
double SingleThreadedPlatform::MonotonicallyIncreasingTime() { return tasks_->MonotonicallyIncreasingTime(); }

double SingleThreadedPlatform::CurrentClockTimeMillis() {
  // Convert whole milliseconds first: a double cannot represent today's date in nanoseconds exactly.
  const auto now = clock_.now();
  const auto whole = std::chrono::floor<std::chrono::milliseconds>(now);
  return static_cast<double>(whole.count()) + std::chrono::duration<double, std::milli>(now - whole).count();
}

v8::TracingController* SingleThreadedPlatform::GetTracingController() { return tasks_->GetTracingController(); }

}  // namespace holdfast::worker
