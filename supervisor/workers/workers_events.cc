// What becomes of forks, what the workers say, and what follows from a worker's end.
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>

#include <utility>

#include "ipc/worker_status.h"
#include "sandbox/seccomp_policy.h"
#include "supervisor/workers/workers.h"

namespace holdfast::supervisor {
namespace {

// How long a worker that hung up waits for the zygote to tell how it ended. The worker takes no calls in that time. A
// zygote may have to wait for a CPU on a busy host; only a zygote in trouble takes longer.
constexpr std::chrono::seconds kExitPatience{2};

// By how much times that a worker tells may differ from those measured here.
constexpr std::chrono::seconds kClockSlack{1};

// Workers cut their lines at 8 kB.
constexpr std::size_t kMaxLogLineBytes = 16 << 10;

}  // namespace

// --- what becomes of forks -----------------------------------------------------------------------------------------

void Workers::worker_fork_failed(WorkerId worker, const std::string& reason) {
  if (!entries_.contains(worker)) return;
  remove_entry(worker);
  events_.worker_fork_failed(worker, reason);
}

void Workers::worker_exited(WorkerId worker, int wait_status, Clock::duration cpu_time) {
  const auto found = entries_.find(worker);
  if (found == entries_.end()) return;
  found->second.wait_status = wait_status;
  if (found->second.process) note_cpu_time(found->second, cpu_time);
  finish_if_ended(worker, found->second);
}

void Workers::worker_forked(WorkerId worker, std::vector<UniqueFd> fds) {
  const auto found = entries_.find(worker);
  if (found == entries_.end() || found->second.process) return;
  const auto fail = [&](const std::string& reason) {
    remove_entry(worker);
    events_.worker_fork_failed(worker, reason);
  };
  if (fds.size() != (options_.direct_line ? 4 : 3))
    return fail("the zygote's descriptors did not arrive; the limit of open files may be reached");
  auto page = PageMapping::map(fds[2]);
  WorkerProcess::Socket socket(io_);
  boost::system::error_code error;
  socket.assign(boost::asio::local::stream_protocol(), fds[1].get(), error);
  if (!error) (void)fds[1].release();
  if (!page || error) return fail("the zygote sent an unusable page or socket");
  UniqueFd line = options_.direct_line ? std::move(fds[3]) : UniqueFd();
  found->second.process = std::make_shared<WorkerProcess>(worker, turn_, std::move(socket), std::move(fds[0]),
                                                          std::move(line), std::move(*page), broker_, frames_, *this);
  found->second.process->start();
  if (empty_bytes() == 0) {
    empty_seen_after_ = zygotes_.replacements();
    empty_bytes_ = found->second.process->anonymous_bytes();
    empty_held_bytes_ = found->second.process->held_bytes();
  }
  events_.worker_forked(worker);
}

// What the worker said before is still in its socket, and is read until the socket closes.
void Workers::worker_orphaned(WorkerId worker) {
  const auto found = entries_.find(worker);
  if (found == entries_.end() || !found->second.process || found->second.wait_status) return;
  Entry& entry = found->second;
  if (!entry.cause) begin_end(entry, EndCause::zygote_died, CallId{}, entry.process->stretch());
  entry.process->kill();
  entry.settle_at = Clock::now();
  wake_at(worker, entry, *entry.settle_at);
  turn_.ensure_end();
}

// --- what workers say ----------------------------------------------------------------------------------------------

void Workers::worker_ready(WorkerProcess& worker) {
  const Entry& entry = entry_of(worker.id());
  if (worker.is_ready() || entry.load == Entry::Load::done)
    return worker_broke_protocol(worker, {"a ready message out of place"});
  worker.set_ready();
  if (entry.load == Entry::Load::none && empty_look_.private_bytes == 0) {
    empty_look_ = worker.look_at_memory(Clock::now());
  }
  events_.worker_prepared(worker.id());
}

bool Workers::end_load(WorkerProcess& worker, Entry& entry) {
  if (entry.load != Entry::Load::sent) {
    worker_broke_protocol(worker, {"the result of a load that is not under way"});
    return false;
  }
  entry.load = Entry::Load::done;
  return true;
}

void Workers::worker_loaded(WorkerProcess& worker) {
  Entry& entry = entry_of(worker.id());
  if (!end_load(worker, entry)) return;
  entry.loaded_at = Clock::now();
  events_.worker_loaded(worker.id());
}

void Workers::worker_load_failed(WorkerProcess& worker, const ipc::Error& error) {
  Entry& entry = entry_of(worker.id());
  if (!end_load(worker, entry)) return;
  if (!entry.cause) begin_end(entry, EndCause::removed, CallId{}, worker.stretch());
  give_time_to_end(entry, Clock::now());
  events_.worker_load_failed(worker.id(), error);
}

template <typename Outcome>
void Workers::pass_answer_on(WorkerProcess& worker, CallId call, const Outcome& outcome, Clock::duration run) {
  if (entry_of(worker.id()).load != Entry::Load::done)
    return worker_broke_protocol(worker, {"an answer before the module was loaded"});
  if (!events_.worker_answered(worker.id(), call, outcome, run)) {
    worker_broke_protocol(
        worker, {fmt::format("an answer to call {}, which it does not have", static_cast<std::uint64_t>(call))});
  }
}

void Workers::worker_answered(WorkerProcess& worker, CallId call, const ipc::ResultView& result, Clock::duration run) {
  pass_answer_on(worker, call, result, run);
}

void Workers::worker_answered(WorkerProcess& worker, CallId call, const ipc::Error& error, Clock::duration run) {
  pass_answer_on(worker, call, error, run);
}

void Workers::worker_streamed(WorkerProcess& worker, CallId call, const ipc::ResultView& value) {
  if (entry_of(worker.id()).load != Entry::Load::done)
    return worker_broke_protocol(worker, {"a chunk before the module was loaded"});
  if (!events_.worker_streamed(worker.id(), call, value)) {
    worker_broke_protocol(worker, {"a chunk for a call that does not take it, or not so much"});
  }
}

void Workers::worker_ran(WorkerProcess& worker, const ipc::WorkerRan& ran) {
  Entry& entry = entry_of(worker.id());
  // In all no longer than the worker has lived, and at least a millisecond at a time: that bounds how often it can
  // say so.
  entry.ran += ran.time;
  if (ran.time < ipc::kLongRun || entry.ran > Clock::now() - worker.forked_at() + kClockSlack) {
    return worker_broke_protocol(worker,
                                 {"a report of work for less than a millisecond, or for longer than it has lived"});
  }
  if (const auto caller = worker.caller_of(ran.call)) {
    events_.worker_ran(worker.id(), worker.call_with_number(ran.call), *caller, ran.time);
  } else {
    entry.meter.share_unclaimed(ran.time);
  }
}

void Workers::worker_logged(WorkerProcess& worker, const ipc::LogLine& line) {
  if (entry_of(worker.id()).load == Entry::Load::none)
    return worker_broke_protocol(worker, {"a log line before it was given a module"});
  if (line.text.size() > kMaxLogLineBytes) return worker_broke_protocol(worker, {"a log line that is too long"});
  events_.worker_logged(worker.id(), line);
}

void Workers::worker_stopped(WorkerProcess& worker, CallId call, const ipc::Stopped& stopped) {
  Entry& entry = entry_of(worker.id());
  entry.said_reason = stopped.reason;
  entry.said_call = call;
  entry.stack = stopped.stack;
  entry.detail = stopped.detail;
  worker.kill();  // it is ending anyway
}

void Workers::worker_broke_protocol(WorkerProcess& worker, const ipc::ProtocolViolation& violation) {
  Entry& entry = entry_of(worker.id());
  if (!entry.cause) {
    const StretchView found = worker.stretch();
    begin_end(entry, EndCause::protocol_violation, CallId{found.running}, found);
    entry.detail = violation.message;
  }
  worker.kill();
  worker.close();
  worker_hung_up(worker);
}

void Workers::worker_gave_way(WorkerProcess& worker) {
  Entry& entry = entry_of(worker.id());
  if (!entry.cause) begin_end(entry, EndCause::gave_way, CallId{}, worker.stretch());
  worker.kill();
  worker.close();
  worker_hung_up(worker);
}

void Workers::give_up_stalled_frames(Clock::time_point now) {
  Connection::give_up_stalled_frames(*frames_, now, kFramePatience);
}

void Workers::worker_hung_up(WorkerProcess& worker) {
  Entry& entry = entry_of(worker.id());
  if (entry.hung_up) return;
  read_meter(entry);
  entry.hung_up = true;
  worker.kill();  // it may still be at work
  entry.kill_at.reset();
  entry.look_at.reset();
  if (!entry.settle_at) entry.settle_at = Clock::now() + kExitPatience;
  wake_at(worker.id(), entry, *entry.settle_at);
  turn_.ensure_end();
  if (!entry.wait_status) {
    const StretchView found = entry.cause ? entry.found : worker.stretch();
    const CallId suspect = entry.cause ? entry.guilty : CallId{found.running};
    events_.worker_stopping(worker.id(), suspect, entry.cause ? entry.seen_caller : worker.caller_of(found.number));
  }
  finish_if_ended(worker.id(), entry);
}

// --- the end of a worker -------------------------------------------------------------------------------------------

void Workers::finish_if_ended(WorkerId worker, Entry& entry) {
  const bool settled = entry.wait_status || (entry.settle_at && *entry.settle_at <= Clock::now());
  if (!entry.hung_up || !settled || std::exchange(entry.ended, true)) return;
  events_.worker_ended(worker, explain(entry));
  remove_entry(worker);
}

// Whether the worker has begun another stretch since it was asked to stop. If so, its fatal report is not about the
// stretch that it was stopped for.
bool Workers::has_moved_on(const Entry& entry) {
  return entry.cause && entry.process->stretch().count != entry.found.count;
}

WorkerEnd Workers::explain(const Entry& entry) const {
  WorkerEnd end = explain_without_line(entry);
  const WorkerProcess& process = *entry.process;
  const StretchView found = entry.cause ? entry.found : process.stretch();
  if (!end.from_outside) {
    end.seen_caller = entry.cause ? entry.seen_caller : process.caller_of(found.number);
    if (!has_moved_on(entry)) {
      end.said = entry.said_call;
      end.said_caller = process.said_caller();
    }
  }
  end.line_started = process.line_started();
  if (end.guilty == CallId{} || end.guilty != process.line_call()) return end;
  const bool said_it = process.said_on_line() != 0 && !has_moved_on(entry);
  end.guilty_on_line = said_it ? process.said_on_line() : process.running_on_line(found);
  return end;
}

WorkerEnd Workers::explain_without_line(const Entry& entry) const {
  WorkerEnd end;
  end.started = entry.process->calls_started();
  end.told = entry.said_reason.has_value();
  end.detail = entry.detail;
  end.wait_status = entry.wait_status;
  const StretchView at_end = entry.process->stretch();
  if (entry.cause) {
    end.cause = *entry.cause;
    end.held_too_much = end.cause == EndCause::out_of_memory;
    end.running = end.guilty = entry.guilty;
    end.while_loading = entry.found_loading;
    if (has_moved_on(entry)) {
      if (entry.said_reason) end.detail = ipc::kBetweenStretches;
      return end;
    }
    end.stack = entry.stack;
    if (entry.said_call != CallId{}) end.guilty = entry.said_call;
    return end;
  }
  end.stack = entry.stack;
  end.running = CallId{at_end.running};
  end.guilty = entry.said_call == CallId{} ? end.running : entry.said_call;
  end.while_loading = entry.load == Entry::Load::sent && at_end.running == ipc::SharedPage::kLoading;
  const auto refused = entry.process->refused_system_call();
  const auto exited_with = [&](int status) {
    return end.wait_status && WIFEXITED(*end.wait_status) && WEXITSTATUS(*end.wait_status) == status;
  };
  const auto died_of = [&](int signal) {
    return end.wait_status && WIFSIGNALED(*end.wait_status) && WTERMSIG(*end.wait_status) == signal;
  };
  if (exited_with(ipc::kLockFailedStatus) && entry.load == Entry::Load::none) {
    end.cause = EndCause::lock_failed;
  } else if (entry.said_reason == ipc::StopReason::out_of_memory) {
    end.cause = EndCause::out_of_memory;
  } else if (entry.said_reason == ipc::StopReason::fatal) {
    end.cause = EndCause::fatal;
  } else if (refused && exited_with(ipc::kRefusedSystemCallStatus)) {
    end.cause = EndCause::sandbox_violation;
    end.detail = sandbox::syscall_name(*refused);
  } else if (died_of(SIGSYS)) {
    end.cause = EndCause::sandbox_violation;
    end.detail = "of another architecture";
  } else {
    end.cause = EndCause::crashed;
    if (died_of(SIGKILL) && entry.worn_out) {
      end.cause = EndCause::worn_out;  // by the kernel: RLIMIT_CPU
      return end;
    }
    // A worker cannot send signals, so this one came from outside, and no call is to blame.
    if (died_of(SIGKILL)) {
      end.from_outside = true;
      end.guilty = end.running = CallId{};
      end.while_loading = false;
    }
  }
  return end;
}

}  // namespace holdfast::supervisor
