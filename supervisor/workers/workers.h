// The worker processes: has them made, watches that none runs too long or takes too much, stops and kills them, and
// finds out why each one ended. The supervisor decides which workers exist and what they are given,
// and hears what happens to them (worker_events.h).
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "supervisor/scheduler/ids.h"
#include "supervisor/workers/background_time.h"
#include "supervisor/workers/background_work.h"
#include "supervisor/workers/halted_time.h"
#include "supervisor/workers/idle_watch.h"
#include "supervisor/workers/memory_budget.h"
#include "supervisor/workers/memory_watch.h"
#include "supervisor/workers/module_load.h"
#include "supervisor/workers/stop_patience.h"
#include "supervisor/workers/told_run_time.h"
#include "supervisor/workers/usage_meter.h"
#include "supervisor/workers/worker_end.h"
#include "supervisor/workers/worker_ending.h"
#include "supervisor/workers/worker_events.h"
#include "supervisor/workers/worker_process.h"
#include "supervisor/workers/zygotes.h"

namespace holdfast::supervisor {

struct WorkersOptions {
  ZygotesOptions zygotes;
  std::uint64_t largest_memory_bytes = 0;  // the largest limit of any module, ever: workers are made for it
  std::chrono::seconds cpu_time{0};        // what a worker may use over its whole life; 0: any amount
  bool direct_line = false;                // each worker has one
  std::uint64_t memory_budget_bytes = 0;   // for all workers together; 0: any amount
};

class Workers final : public WorkerProcessEvents, public ForkEvents {
 public:
  using Clock = std::chrono::steady_clock;

  // `broker`, `turn`, `events` and `zygote_events` must outlive the object.
  Workers(boost::asio::io_context& io, Turn& turn, Broker& broker, const WorkersOptions& options, WorkerEvents& events,
          ZygoteEvents& zygote_events);

  // Starts the zygote.
  void start() { zygotes_.start(); }

  void fork(WorkerId worker);
  // Reads nothing more from the worker until `until`. What it sends waits, and in the end so does the worker.
  void hold(WorkerId worker, Clock::time_point until);
  // Gives the worker a module, which may run for `limits.stretch` without a break and take `limits.memory_bytes`.
  void load(WorkerId worker, const ipc::LoadRequest& request, const Limits& limits);
  // The call counts in the worker's meter from now on, until call_ended(). The worker's process must exist.
  void call(WorkerId worker, const ipc::WorkerCall& call, const Caller& caller);
  void call_ended(WorkerId worker);
  // Takes back the calls that the worker has not started; see WorkerProcess::take_back_calls(). They count in its
  // meter until call_ended(). The worker's process must exist.
  WorkerProcess::TakenBack take_back_calls(WorkerId worker) { return entry_of(worker).process->take_back_calls(); }
  // Sends the call that a direct line is. It counts in the worker's meter from now on, until call_ended().
  void open_line(WorkerId worker, const ipc::OpenWorkerLine& open);
  // The line takes no further calls.
  void close_line(WorkerId worker) { entry_of(worker).process->send_close_line(); }
  // The client's end of the worker's direct line; see WorkerProcess::take_line(). The worker's process must exist.
  UniqueFd take_line(WorkerId worker, CallId call, const Caller& caller) {
    return entry_of(worker).process->take_line(call, caller);
  }
  // The worker may send `bytes` more of the call's stream.
  void grant(WorkerId worker, CallId call, std::uint64_t bytes);
  // The worker's meter, read in this turn; see UsageMeter. The worker's process must exist.
  const UsageMeter& meter(WorkerId worker);
  // Looks at the memory of processes, first of those that were not looked at for longest. Leaves out those that were
  // looked at less than a second ago. Takes some milliseconds at most, however many there are.
  void refresh_memory(Clock::time_point now);
  // The worker's private memory; see WorkerProcess::memory_bytes(). The worker's process must exist.
  std::uint64_t memory_bytes(WorkerId worker) const { return process(worker)->memory_bytes(empty_look_); }
  // The private memory of a prepared worker that has no module; 0: not seen yet.
  std::uint64_t empty_private_bytes() const { return empty_look_.private_bytes; }
  // When the worker's module was loaded; nothing: it is not loaded.
  std::optional<Clock::time_point> loaded_at(WorkerId worker) const;
  // How long the worker reports that it was at work on calls, without the time that it reported with answers.
  Clock::duration told_run_time(WorkerId worker) const;
  const Limits& limits(WorkerId worker) const;
  void cancel(WorkerId worker, CallId call, ipc::CancelReason reason);

  // What the worker's page says, if it says that JavaScript of `call` is on the CPU; else nothing.
  std::optional<StretchView> stretch_of(WorkerId worker, CallId call) const;

  // Soft stop: the worker reports where it is, and ends; if it does not do so soon, it is killed. `found` is the
  // stretch that it is stopped for. False: the worker has ended already.
  bool stop(WorkerId worker, EndCause cause, CallId guilty, const StretchView& found);
  // Ends the worker at once. `guilty` is the call that it is killed for, if any.
  void kill(WorkerId worker, EndCause cause, std::string detail = "", CallId guilty = {});

  // How long the worker has been on a CPU, without the time for its direct line; nothing: not known. The worker's
  // process must exist.
  std::optional<Clock::duration> cpu_time_without_line(WorkerId worker) {
    return entry_of(worker).process->cpu_time_without_line();
  }

  // Whether something that was written for the worker has not been sent yet.
  bool has_unsent(WorkerId worker) const;

  // The parts of messages that workers have sent share a memory bound of their own (accountant.h), apart from what
  // clients send. A part that is not completed is given up, and its worker is killed.
  bool has_part_of_a_frame() const { return frames_->used() > 0; }
  void give_up_stalled_frames(Clock::time_point now);

  // Call at or after next_wakeup().
  void tick(Clock::time_point now);
  std::optional<Clock::time_point> next_wakeup() const;

  // Null while the worker is only asked for, and for a worker that does not exist.
  const WorkerProcess* process(WorkerId worker) const;

 private:
  // The readings of a process's CPU clock, and how its calls share what it counts.
  struct Metering {
    UsageMeter meter;
    Clock::time_point read_at{};
    std::uint64_t read_in_turn = 0;
  };
  // When something is to be done for a worker.
  struct Agenda {
    std::optional<std::multimap<Clock::time_point, WorkerId>::iterator> wakeup;  // in wakeups_
    std::optional<Clock::time_point> look_at;    // when to look at it; none before it has a module
    std::optional<Clock::time_point> resume_at;  // when hold() is over
  };
  struct Entry {
    std::shared_ptr<WorkerProcess> process;  // null until forked
    Limits limits;                           // once it has a module
    ModuleLoad load;
    Agenda agenda;
    Metering metering;
    ToldRunTime told_run_time;
    StretchWatch stretches{{}};
    MemoryWatch memory;
    IdleWatch idle;
    BackgroundWork background;
    HaltedTime halts;
    StopPatience patience;  // with a worker that was asked to stop
    WorkerEnding ending;
    bool is_worn_out = false;  // it has used half of its CPU time
  };

  void worker_ready(WorkerProcess& worker) override;
  void worker_loaded(WorkerProcess& worker) override;
  void worker_load_failed(WorkerProcess& worker, const ipc::Error& error) override;
  void worker_answered(WorkerProcess& worker, CallId call, const ipc::ResultView& result, Clock::duration run) override;
  void worker_answered(WorkerProcess& worker, CallId call, const ipc::Error& error, Clock::duration run) override;
  void worker_streamed(WorkerProcess& worker, CallId call, const ipc::ResultView& value) override;
  void worker_ran(WorkerProcess& worker, const ipc::WorkerRan& ran) override;
  void worker_logged(WorkerProcess& worker, const ipc::LogLine& line) override;
  void worker_stopped(WorkerProcess& worker, CallId call, const ipc::Stopped& stopped) override;
  void worker_broke_protocol(WorkerProcess& worker, const ipc::ProtocolViolation& violation) override;
  void worker_gave_way(WorkerProcess& worker) override;
  void worker_hung_up(WorkerProcess& worker) override;
  void worker_forked(WorkerId worker, std::vector<UniqueFd> fds) override;
  void worker_fork_failed(WorkerId worker, const std::string& reason) override;
  void worker_exited(WorkerId worker, int wait_status, Clock::duration cpu_time) override;
  void worker_orphaned(WorkerId worker) override;

  // What a worker of the current zygote has before it gets a module; 0: not known.
  std::uint64_t empty_bytes() const { return empty_seen_after_ == zygotes_.replacements() ? empty_bytes_ : 0; }
  template <typename Outcome>
  void pass_answer_on(WorkerProcess& worker, CallId call, const Outcome& outcome, Clock::duration run);
  // Whether the worker, which says what became of its load, is loading a module. If not, it broke the protocol.
  bool may_end_load(WorkerProcess& worker, const Entry& entry);
  void wake(WorkerId worker, Entry& entry, Clock::time_point now);
  void look(Entry& entry, Clock::time_point now);
  static bool looks_idle(const Entry& entry, const StretchView& view);
  // Since the last reading.
  CpuUse read_meter(Entry& entry);
  CpuUse note_cpu_time(Entry& entry, Clock::duration cpu_time);
  void see_memory(Entry& entry, Clock::time_point now);
  // What the worker holds and does not share with its zygote.
  std::uint64_t own_memory(const Entry& entry) const;
  void count_mappings(Entry& entry, Clock::time_point now);
  // Kills the worker if it holds too much. True: the worker is being ended.
  bool end_for_memory(Entry& entry, const StretchView& view, Clock::time_point now);
  void keep_to_budget();
  void kill_for_memory(Entry& entry, const StretchView& found, std::string detail);
  void note_background(Entry& entry, const StretchView& view, Clock::time_point now);
  void go_on(Entry& entry, Clock::time_point now);
  void give_turns(Clock::time_point now);
  void give_time_to_end(Entry& entry, Clock::time_point now);
  void kill_if_out_of_patience(Entry& entry, Clock::time_point now);
  // Decides the worker's end, if it is not decided. The worker gets no further look. Without `detail`, what the worker
  // said stays the end's detail.
  static void begin_end(Entry& entry, EndCause cause, CallId guilty, const StretchView& found,
                        std::optional<std::string> detail = std::nullopt);
  void tell_of_stop(const Entry& entry);
  void finish_if_ended(WorkerId worker, Entry& entry);
  static WorkerEnd explain(const Entry& entry);
  void wake_at(WorkerId worker, Entry& entry, Clock::time_point when);
  void remove_entry(WorkerId worker);
  Entry& entry_of(WorkerId worker);
  const Entry& entry_of(WorkerId worker) const;

  static constexpr std::uint64_t kFrameMemory = std::uint64_t{512} << 20;
  // On a busy host, a worker may be without a CPU for long in the middle of a message.
  static constexpr std::chrono::seconds kFramePatience{60};

  boost::asio::io_context& io_;
  Turn& turn_;
  Broker& broker_;
  const WorkersOptions options_;
  WorkerEvents& events_;
  Zygotes zygotes_;
  // What a worker without a module has; the same for all workers of a zygote. 0: not known.
  std::uint64_t empty_bytes_ = 0;
  std::uint64_t empty_seen_after_ = 0;    // that many Zygotes::replacements()
  std::uint64_t empty_held_bytes_ = 0;    // by WorkerProcess::held_bytes()
  WorkerProcess::MemoryLook empty_look_;  // at the first worker that was prepared
  const std::shared_ptr<Connection::FrameAccounts> frames_ =
      std::make_shared<Connection::FrameAccounts>(ResourceBounds{.total = kFrameMemory, .per_user = kFrameMemory});
  std::unordered_map<WorkerId, Entry> entries_;
  MemoryBudget budget_;
  Clock::time_point count_mappings_from_{};  // they are not counted before this
  bool memory_is_short_ = false;
  BackgroundTime background_;
  Clock::time_point next_turn_at_{};  // when a halted worker may go on
  // At most one for each worker, not later than the next thing to do for it.
  std::multimap<Clock::time_point, WorkerId> wakeups_;
};

}  // namespace holdfast::supervisor
