#include "supervisor/workers/worker_ending.h"

#include <signal.h>
#include <sys/wait.h>

#include <utility>

#include "ipc/shared_page.h"
#include "ipc/worker_status.h"
#include "sandbox/seccomp_policy.h"

namespace holdfast::supervisor {

void WorkerEnding::decide(const Decision& decision, std::optional<std::string> detail) {
  if (decision_) return;
  decision_ = decision;
  if (detail) detail_ = std::move(*detail);
  if (phase_ == Phase::none) phase_ = Phase::decided;
}

void WorkerEnding::said(CallId call, const ipc::Stopped& stopped) {
  said_reason_ = stopped.reason;
  said_call_ = call;
  stack_ = stopped.stack;
  detail_ = stopped.detail;
}

void WorkerEnding::hang_up(TimePoint now) {
  phase_ = Phase::hung_up;
  if (!settle_at_) settle_at_ = now + kExitPatience;
}

bool WorkerEnding::finish(TimePoint now) {
  const bool is_settled = wait_status_ || (settle_at_ && *settle_at_ <= now);
  if (phase_ != Phase::hung_up || !is_settled) return false;
  phase_ = Phase::over;
  return true;
}

// Whether the worker has begun another stretch since it was asked to stop. If so, its fatal report is not about the
// stretch that it was stopped for.
bool WorkerEnding::has_moved_on(const Remains& remains) const {
  return decision_ && remains.stretch.count != decision_->found.count;
}

bool WorkerEnding::exited_with(int status) const {
  return wait_status_ && WIFEXITED(*wait_status_) && WEXITSTATUS(*wait_status_) == status;
}

bool WorkerEnding::died_of(int signal) const {
  return wait_status_ && WIFSIGNALED(*wait_status_) && WTERMSIG(*wait_status_) == signal;
}

WorkerEnd WorkerEnding::explain(const Remains& remains) const {
  WorkerEnd end;
  end.started = remains.calls_started;
  end.line_started = remains.line_started;
  end.told = said_reason_.has_value();
  end.detail = detail_;
  end.wait_status = wait_status_;
  if (decision_) {
    explain_decision(*decision_, remains, end);
  } else {
    explain_death(remains, end);
  }
  const bool has_moved_on = this->has_moved_on(remains);
  if (!end.from_outside) {
    end.seen_caller = decision_ ? decision_->seen_caller : remains.caller;
    if (!has_moved_on) {
      end.said = said_call_;
      end.said_caller = remains.said_caller;
    }
  }
  if (end.guilty != CallId{} && end.guilty == remains.line_call) {
    const bool said_it = remains.said_on_line != 0 && !has_moved_on;
    end.guilty_on_line = said_it ? remains.said_on_line : remains.running_on_line;
  }
  return end;
}

void WorkerEnding::explain_decision(const Decision& decision, const Remains& remains, WorkerEnd& end) const {
  end.cause = decision.cause;
  end.held_too_much = decision.cause == EndCause::out_of_memory;
  end.running = end.guilty = decision.guilty;
  end.while_loading = decision.while_loading;
  if (has_moved_on(remains)) {
    if (said_reason_) end.detail = ipc::kBetweenStretches;
    return;
  }
  end.stack = stack_;
  if (said_call_ != CallId{}) end.guilty = said_call_;
}

void WorkerEnding::explain_death(const Remains& remains, WorkerEnd& end) const {
  end.stack = stack_;
  end.running = CallId{remains.stretch.running};
  end.guilty = said_call_ == CallId{} ? end.running : said_call_;
  end.while_loading = remains.load == ModuleLoad::Phase::sent && remains.stretch.running == ipc::SharedPage::kLoading;
  if (exited_with(ipc::kLockFailedStatus) && remains.load == ModuleLoad::Phase::none) {
    end.cause = EndCause::lock_failed;
  } else if (said_reason_ == ipc::StopReason::out_of_memory) {
    end.cause = EndCause::out_of_memory;
  } else if (said_reason_ == ipc::StopReason::fatal) {
    end.cause = EndCause::fatal;
  } else if (remains.refused_system_call && exited_with(ipc::kRefusedSystemCallStatus)) {
    end.cause = EndCause::sandbox_violation;
    end.detail = sandbox::syscall_name(*remains.refused_system_call);
  } else if (died_of(SIGSYS)) {
    end.cause = EndCause::sandbox_violation;
    end.detail = "of another architecture";
  } else if (died_of(SIGKILL) && remains.is_worn_out) {
    end.cause = EndCause::worn_out;  // by the kernel: RLIMIT_CPU
  } else {
    end.cause = EndCause::crashed;
    // A worker cannot send signals, so SIGKILL came from outside, and no call is to blame.
    if (died_of(SIGKILL)) {
      end.from_outside = true;
      end.guilty = end.running = CallId{};
      end.while_loading = false;
    }
  }
}

}  // namespace holdfast::supervisor
