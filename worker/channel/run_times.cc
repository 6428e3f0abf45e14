#include "worker/channel/run_times.h"

#include <utility>

#include "ipc/worker_messages.h"

namespace holdfast::worker {

void RunTimes::begin(std::uint64_t call, TimePoint now) {
  was_lines_ = ipc::SharedPage::is_line_call(call);
  // The line's calls are charged to no caller, nor is the load to the calls that wait for it.
  if (!was_lines_ && call != ipc::SharedPage::kLoading) uncharged_ = {call, now};
}

void RunTimes::charge(std::uint64_t call, Duration time, Duration* open_run) {
  if (open_run == nullptr && (call == ipc::SharedPage::kNothing || call == ipc::SharedPage::kBackground)) {
    unclaimed_time_ += time;
    page_.unclaimed_time.store(static_cast<std::uint64_t>(unclaimed_time_.count()), std::memory_order_relaxed);
    return;
  }
  Duration& run = open_run != nullptr ? *open_run : left_run_[ipc::SharedPage::caller_of(call)];
  run += time;
  // Report long runs before the answer: calls in a row cost their caller nothing until they are answered, while other
  // callers wait.
  if (run >= ipc::kLongRun) encode(out_, ipc::WorkerRan{call, std::exchange(run, {})});
}

RunTimes::Duration RunTimes::at_answer(std::uint64_t call, Duration run) {
  if (!uncharged_ || uncharged_->call != call) return run;
  const auto now = std::chrono::steady_clock::now();
  return run + (now - std::exchange(uncharged_->since, now));
}

bool RunTimes::take_was_lines() { return std::exchange(was_lines_, false); }

}  // namespace holdfast::worker
