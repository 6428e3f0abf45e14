// How one worker comes to its end, and why. Three parties know a part of that: the supervisor, which may decide the
// end; the worker, whose fatal report and page may say what it was doing; and the zygote, which says how the process
// ended. Their reports may come in any order. Pure: the caller passes in what the process shows, and the time.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "ipc/worker_messages.h"
#include "supervisor/scheduler/ids.h"
#include "supervisor/scheduler/offences.h"
#include "supervisor/workers/module_load.h"
#include "supervisor/workers/stretch_watch.h"
#include "supervisor/workers/worker_end.h"

namespace holdfast::supervisor {

class WorkerEnding {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // How long a worker that hung up waits for the zygote to tell how it ended. The worker takes no calls in that time. A
  // zygote may have to wait for a CPU on a busy host; only a zygote in trouble takes longer.
  static constexpr std::chrono::seconds kExitPatience{2};

  enum class Phase : std::uint8_t {
    none,     // the worker lives, as far as is known
    decided,  // the supervisor ends it; its socket is open
    hung_up,  // its socket is closed
    over,     // nothing more will become known: explain() is final
  };

  // Why the supervisor ends a worker. The call that ran in `found` may be over by now, with its answer on the way.
  struct Decision {
    EndCause cause;
    bool while_loading = false;  // in `found`, the module's top level was on the CPU
    CallId guilty{};             // the call that the worker ends for, if any
    StretchView found;           // what the page said
    // Who made the guilty call, or the answered call that left behind what ran; nothing: not known.
    std::optional<Caller> seen_caller;
  };

  // --- what happens

  // The supervisor ends the worker. Does nothing if the supervisor decided so before, because the first reason counts.
  // `detail` goes into WorkerEnd::detail in the place of what the worker said; nothing: what the worker said stays.
  void decide(const Decision& decision, std::optional<std::string> detail = std::nullopt);
  // The worker's fatal report, which replaces the decision's detail. `call` was on the CPU; CallId{}: none.
  void said(CallId call, const ipc::Stopped& stopped);
  // The worker's socket is closed.
  void hang_up(TimePoint now);
  // The zygote says how the process ended; see wait(2).
  void exited(int wait_status) { wait_status_ = wait_status; }
  // The zygote is gone: nobody will say how the process ended.
  void orphaned(TimePoint now) { settle_at_ = now; }
  // True, once, when the end is over: the worker has hung up, and the zygote has said how it ended or will not.
  bool finish(TimePoint now);

  // --- what is known

  Phase phase() const { return phase_; }
  bool has_hung_up() const { return phase_ >= Phase::hung_up; }
  // Null: the supervisor did not decide the end.
  const Decision* decision() const { return decision_ ? &*decision_ : nullptr; }
  bool has_exited() const { return wait_status_.has_value(); }
  // When to call finish() if the zygote has said nothing until then; nothing: the worker has not hung up.
  std::optional<TimePoint> settle_at() const { return settle_at_; }
  // The stretch that the end is about: the one that the worker is ended for; if the supervisor did not decide the end,
  // `now`, which is the stretch that the page shows.
  const StretchView& stretch_in_question(const StretchView& now) const { return decision_ ? decision_->found : now; }

  // What a process whose end is explained shows.
  struct Remains {
    StretchView stretch;  // according to its page
    // About stretch_in_question(stretch): who made the call, and which call on the direct line it is; 0: none.
    std::optional<Caller> caller{};
    std::uint64_t running_on_line = 0;
    // According to its fatal report: who made the call, and which call on the direct line it is; 0: none.
    std::optional<Caller> said_caller{};
    std::uint64_t said_on_line = 0;
    std::uint64_t calls_started = 0;
    std::uint64_t line_started = 0;
    CallId line_call{};
    std::optional<int> refused_system_call{};
    ModuleLoad::Phase load = ModuleLoad::Phase::none;
    bool is_worn_out = false;  // it may have used up its CPU time
  };
  WorkerEnd explain(const Remains& remains) const;

 private:
  bool has_moved_on(const Remains& remains) const;
  void explain_decision(const Decision& decision, const Remains& remains, WorkerEnd& end) const;
  void explain_death(const Remains& remains, WorkerEnd& end) const;
  bool exited_with(int status) const;
  bool died_of(int signal) const;

  Phase phase_ = Phase::none;
  std::optional<ipc::StopReason> said_reason_;  // nothing: there was no fatal report
  CallId said_call_{};
  std::optional<Decision> decision_;
  std::string stack_;
  std::string detail_;  // of the decision or of the fatal report, whichever was later
  std::optional<int> wait_status_;
  std::optional<TimePoint> settle_at_;
};

}  // namespace holdfast::supervisor
