// What becomes of forks, what the workers say, and what follows from a worker's end.
#include <fmt/format.h>

#include <utility>

#include "supervisor/workers/workers.h"

namespace holdfast::supervisor {
namespace {

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
  found->second.ending.exited(wait_status);
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
  if (found == entries_.end() || !found->second.process || found->second.ending.has_exited()) return;
  Entry& entry = found->second;
  begin_end(entry, EndCause::zygote_died, CallId{}, entry.process->stretch());
  entry.process->kill();
  entry.ending.orphaned(Clock::now());
  wake_at(worker, entry, *entry.ending.settle_at());
  turn_.ensure_end();
}

// --- what workers say ----------------------------------------------------------------------------------------------

void Workers::worker_ready(WorkerProcess& worker) {
  const Entry& entry = entry_of(worker.id());
  if (worker.is_ready() || entry.load.is_done()) return worker_broke_protocol(worker, {"a ready message out of place"});
  worker.set_ready();
  if (entry.load.phase() == ModuleLoad::Phase::none && empty_look_.private_bytes == 0) {
    empty_look_ = worker.look_at_memory(Clock::now());
  }
  events_.worker_prepared(worker.id());
}

bool Workers::may_end_load(WorkerProcess& worker, const Entry& entry) {
  if (entry.load.phase() == ModuleLoad::Phase::sent) return true;
  worker_broke_protocol(worker, {"the result of a load that is not under way"});
  return false;
}

void Workers::worker_loaded(WorkerProcess& worker) {
  Entry& entry = entry_of(worker.id());
  if (!may_end_load(worker, entry)) return;
  entry.load.succeed(Clock::now());
  events_.worker_loaded(worker.id());
}

void Workers::worker_load_failed(WorkerProcess& worker, const ipc::Error& error) {
  Entry& entry = entry_of(worker.id());
  if (!may_end_load(worker, entry)) return;
  entry.load.fail();
  begin_end(entry, EndCause::removed, CallId{}, worker.stretch());
  give_time_to_end(entry, Clock::now());
  events_.worker_load_failed(worker.id(), error);
}

template <typename Outcome>
void Workers::pass_answer_on(WorkerProcess& worker, CallId call, const Outcome& outcome, Clock::duration run) {
  if (!entry_of(worker.id()).load.is_done())
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
  if (!entry_of(worker.id()).load.is_done())
    return worker_broke_protocol(worker, {"a chunk before the module was loaded"});
  if (!events_.worker_streamed(worker.id(), call, value)) {
    worker_broke_protocol(
        worker,
        {"a chunk that its call cannot take: no such call, no stream, no room in its window, or too many bytes"});
  }
}

void Workers::worker_ran(WorkerProcess& worker, const ipc::WorkerRan& ran) {
  Entry& entry = entry_of(worker.id());
  if (!entry.told_run_time.add(ran.time, Clock::now() - worker.forked_at())) {
    return worker_broke_protocol(worker,
                                 {"a report of work for less than a millisecond, or for longer than it has lived"});
  }
  if (const auto caller = worker.caller_of(ran.call)) {
    events_.worker_ran(worker.id(), worker.call_with_number(ran.call), *caller, ran.time);
  } else {
    entry.metering.meter.share_unclaimed(ran.time);
  }
}

void Workers::worker_logged(WorkerProcess& worker, const ipc::LogLine& line) {
  if (entry_of(worker.id()).load.phase() == ModuleLoad::Phase::none)
    return worker_broke_protocol(worker, {"a log line before it was given a module"});
  if (line.text.size() > kMaxLogLineBytes) return worker_broke_protocol(worker, {"a log line that is too long"});
  events_.worker_logged(worker.id(), line);
}

void Workers::worker_stopped(WorkerProcess& worker, CallId call, const ipc::Stopped& stopped) {
  entry_of(worker.id()).ending.said(call, stopped);
  worker.kill();  // it is ending anyway
}

void Workers::worker_broke_protocol(WorkerProcess& worker, const ipc::ProtocolViolation& violation) {
  Entry& entry = entry_of(worker.id());
  const StretchView found = worker.stretch();
  begin_end(entry, EndCause::protocol_violation, CallId{found.running}, found, violation.message);
  worker.kill();
  worker.close();
  worker_hung_up(worker);
}

void Workers::worker_gave_way(WorkerProcess& worker) {
  Entry& entry = entry_of(worker.id());
  begin_end(entry, EndCause::gave_way, CallId{}, worker.stretch());
  worker.kill();
  worker.close();
  worker_hung_up(worker);
}

void Workers::give_up_stalled_frames(Clock::time_point now) {
  Connection::give_up_stalled_frames(*frames_, now, kFramePatience);
}

void Workers::worker_hung_up(WorkerProcess& worker) {
  Entry& entry = entry_of(worker.id());
  if (entry.ending.has_hung_up()) return;
  read_meter(entry);
  entry.ending.hang_up(Clock::now());
  worker.kill();  // it may still be at work
  entry.patience.end();
  entry.agenda.look_at.reset();
  wake_at(worker.id(), entry, *entry.ending.settle_at());
  turn_.ensure_end();
  if (!entry.ending.has_exited() && entry.ending.decision() != nullptr) {
    tell_of_stop(entry);
  } else if (!entry.ending.has_exited()) {
    const StretchView found = worker.stretch();
    events_.worker_stopping(worker.id(), CallId{found.running}, worker.caller_of(found.number));
  }
  finish_if_ended(worker.id(), entry);
}

// --- the end of a worker -------------------------------------------------------------------------------------------

void Workers::finish_if_ended(WorkerId worker, Entry& entry) {
  if (!entry.ending.finish(Clock::now())) return;
  events_.worker_ended(worker, explain(entry));
  remove_entry(worker);
}

WorkerEnd Workers::explain(const Entry& entry) {
  const WorkerProcess& process = *entry.process;
  const StretchView at_end = process.stretch();
  const StretchView& in_question = entry.ending.stretch_in_question(at_end);
  return entry.ending.explain({.stretch = at_end,
                               .caller = process.caller_of(in_question.number),
                               .running_on_line = process.running_on_line(in_question),
                               .said_caller = process.said_caller(),
                               .said_on_line = process.said_on_line(),
                               .calls_started = process.calls_started(),
                               .line_started = process.line_started(),
                               .line_call = process.line_call(),
                               .refused_system_call = process.refused_system_call(),
                               .load = entry.load.phase(),
                               .is_worn_out = entry.is_worn_out});
}

}  // namespace holdfast::supervisor
