// One worker process as the supervisor sees it: its pidfd, its socket, its shared page. Moves messages and signals;
// decides nothing. Checks the form of what the worker sends; Workers checks its meaning.
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
#include <ctime>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <string>

#include "ipc/base/unique_fd.h"
#include "ipc/shared_page.h"
#include "ipc/worker_messages.h"
#include "supervisor/broker/broker.h"
#include "supervisor/net/connection.h"
#include "supervisor/scheduler/ids.h"
#include "supervisor/workers/call_numbers.h"
#include "supervisor/workers/caller_numbers.h"
#include "supervisor/workers/line_share.h"
#include "supervisor/workers/stretch_watch.h"

namespace holdfast::supervisor {

// A mapping of a worker's shared page.
class PageMapping {
 public:
  // Maps the memfd that the zygote sent. Nothing if that is not a page sealed against shrinking: reading a page that
  // has shrunk would raise SIGBUS.
  static std::optional<PageMapping> map(const UniqueFd& memory);

  PageMapping(PageMapping&& other) noexcept : page_(std::exchange(other.page_, nullptr)) {}
  PageMapping& operator=(PageMapping&&) = delete;
  ~PageMapping();
  const ipc::SharedPage* operator->() const { return page_; }
  ipc::SharedPage* operator->() { return page_; }

 private:
  explicit PageMapping(ipc::SharedPage* page) : page_(page) {}
  ipc::SharedPage* page_;
};

// How the calls on a worker's direct line were answered, as the worker reports it.
struct LineCounts {
  std::uint64_t results = 0;
  std::array<std::uint64_t, ipc::kErrorCodeCount> errors{};
  std::uint64_t answered() const { return std::accumulate(errors.begin(), errors.end(), results); }
};

class WorkerProcess;

// What a worker says, one function for each message of ipc/worker_messages.h, and what happens to it. A `call` has
// the supervisor's id. A log line and WorkerRan have the number that the worker gave instead, which may be any value.
// Views die when the function returns, except the payload of a result while ResultView::owner is kept.
class WorkerProcessEvents {
 public:
  virtual ~WorkerProcessEvents() = default;
  virtual void worker_ready(WorkerProcess& worker) = 0;
  virtual void worker_loaded(WorkerProcess& worker) = 0;
  virtual void worker_load_failed(WorkerProcess& worker, const ipc::Error& error) = 0;
  // The call is answered, and no longer on the worker. The worker claims that it worked on the call for `run` since its
  // last report (WorkerRan).
  virtual void worker_answered(WorkerProcess& worker, CallId call, const ipc::ResultView& result,
                               std::chrono::nanoseconds run) = 0;
  virtual void worker_answered(WorkerProcess& worker, CallId call, const ipc::Error& error,
                               std::chrono::nanoseconds run) = 0;
  // A value of the call's stream; CallId{}: no such call is on the worker.
  virtual void worker_streamed(WorkerProcess& worker, CallId call, const ipc::ResultView& value) = 0;
  virtual void worker_ran(WorkerProcess& worker, const ipc::WorkerRan& ran) = 0;
  virtual void worker_logged(WorkerProcess& worker, const ipc::LogLine& line) = 0;
  // The worker's fatal report. `call` was on the CPU; CallId{}: none, or none that is on the worker.
  virtual void worker_stopped(WorkerProcess& worker, CallId call, const ipc::Stopped& stopped) = 0;
  // The worker broke the protocol; the connection is still open.
  virtual void worker_broke_protocol(WorkerProcess& worker, const ipc::ProtocolViolation& violation) = 0;
  // The worker must go, because memory is short for the part of a message that it has sent, or because the rest did
  // not come in time. The connection is still open.
  virtual void worker_gave_way(WorkerProcess& worker) = 0;
  // The worker's socket is closed: the worker has ended, or is about to.
  virtual void worker_hung_up(WorkerProcess& worker) = 0;
};

class WorkerProcess final : public Connection {
 public:
  // `turn`, `broker` and `events` must outlive the object. `line` is the end of its direct line for take_line(); none:
  // the worker has no direct line.
  WorkerProcess(WorkerId id, Turn& turn, Socket socket, UniqueFd pidfd, UniqueFd line, PageMapping page, Broker& broker,
                std::shared_ptr<FrameAccounts> frames, WorkerProcessEvents& events);

  WorkerId id() const { return id_; }
  // In the supervisor's own pid namespace; 0 if the process is gone.
  pid_t pid() const;
  std::chrono::steady_clock::time_point forked_at() const { return forked_at_; }

  // Replaces `load.tag` and `call.id` by what the worker may know (call_numbers.h). What the worker says about a call
  // comes back under the supervisor's id, except in a log line and in WorkerRan, which may be about an answered call.
  void send(ipc::LoadRequest load);
  void send(ipc::WorkerCall call, const Caller& caller);
  // Does nothing if the call is not on the worker any more.
  void send_cancel(CallId call, ipc::CancelReason reason);
  void send_grant(CallId call, std::uint64_t bytes);
  // Takes back the calls that the worker has not started: it will neither run nor answer them. If it has not started
  // a direct line's own call whose client has the line already, that call and those sent after it are not taken back.
  struct TakenBack {
    std::uint64_t started = 0;  // the calls after this place,
    std::uint64_t last = 0;     // up to and including this one
  };
  TakenBack take_back_calls();
  // Sends a direct line's own call. Replaces `open.call` by what the worker may know; what the worker says about it
  // comes back under the supervisor's id.
  void send(ipc::OpenWorkerLine open);
  void send_close_line();

  // The call on the worker with this number, which may be any value; CallId{}: there is none.
  CallId call_with_number(std::uint64_t number) const { return calls_.find(number); }
  // Who made a call that the worker has, or had, under this number, which may be any value; nothing: not known.
  std::optional<Caller> caller_of(std::uint64_t number) const;
  // Who made a call that is on the worker; nothing: it is not. A direct line's own call is its client's.
  std::optional<Caller> caller_of(CallId call) const {
    return call != CallId{} && call == line_call_ ? line_caller_ : caller_of(calls_.number_of(call));
  }

  // The id by which the log names a call to which the worker gave this number, which may be any value.
  std::string request_id(std::uint64_t number) const { return ipc::request_id(tag_, number); }

  // The client's end of the worker's direct line; none if it was taken before, or if there is none. It is given away
  // only once, because a client that had it may have kept a copy.
  UniqueFd take_line(CallId line_call, const Caller& caller);
  // The call that the line was taken for; CallId{}: the line was not taken, or that call is answered.
  CallId line_call() const { return line_call_; }
  // Hints from the shared page about the calls on the line: how many were started, how they were answered, and which
  // one was on the CPU in this view; 0: none.
  std::uint64_t line_started() const;
  LineCounts line_counts() const;
  std::uint64_t running_on_line(const StretchView& view) const;
  // The call on the line that the worker's fatal report named; 0: none.
  std::uint64_t said_on_line() const { return said_on_line_; }

  // Who made the call, open or answered, whose function was on the CPU according to the worker's fatal report; nothing:
  // the report did not say, or there was none.
  std::optional<Caller> said_caller() const { return said_caller_; }

  // Whether the worker said that it is prepared for its module.
  bool is_ready() const { return ready_; }
  void set_ready() { ready_ = true; }

  // Sends SIGXCPU: the worker reports where it is, and ends.
  void ask_to_stop();
  void kill();
  // The process does nothing at all until go_on(). It can be killed while it is halted.
  void halt();
  void go_on();

  // Hints from the shared page. What stretch() returns is from one moment, unless the worker lies.
  StretchView stretch() const;
  std::chrono::nanoseconds unclaimed_time() const;
  // How many of the calls on it the worker has started, including those that were taken back.
  std::uint64_t calls_started() const;
  std::optional<int> refused_system_call() const;

  // What a process held at one moment.
  struct MemoryLook {
    std::uint64_t private_bytes = 0;    // not shared with another; as anonymous_bytes if that cannot be read
    std::uint64_t anonymous_bytes = 0;  // includes what it shares with its zygote
  };
  // Looks now. That costs the kernel a walk over the mappings: some tenths of a millisecond.
  const MemoryLook& look_at_memory(std::chrono::steady_clock::time_point now);
  // When look_at_memory() was last called; nothing: never.
  std::optional<std::chrono::steady_clock::time_point> memory_seen_at() const { return memory_seen_at_; }
  // The worker's private memory: what it had at the last look, plus or minus the anonymous memory that has come or
  // gone since. `empty` takes the place of the last look at a worker that was never looked at. Cheap.
  std::uint64_t memory_bytes(const MemoryLook& empty) const;

  // The worker's memory that no file backs, including what it shares with its zygote. Cheap.
  std::uint64_t anonymous_bytes() const;
  // All that the worker makes the host hold, including what it shares with its zygote, but without the kernel's own
  // notes of its mappings. Takes some tens of microseconds.
  std::uint64_t held_bytes() const;
  // How many memory mappings the worker has, counted up to Broker::kMostMappingsCounted; nothing if they cannot be
  // counted. Takes a tenth of a millisecond for most workers, and some tens of milliseconds at most.
  std::optional<std::uint32_t> count_mappings() const { return broker_.count_mappings(pidfd_); }

  // Whether pid() and cpu_time() work without the broker. The worker's memory can be seen only by the process info
  // that the broker gives.
  bool has_pid() const;
  bool is_known_to_broker() const { return process_info_.pid != 0; }

  using Connection::flush;
  using Connection::pause;
  using Connection::resume;
  using Connection::unsent_bytes;

  // How long the process has been on a CPU, by the kernel's count (clock_getcpuclockid(3)); nothing: not known.
  // cpu_time_without_line() leaves out the time for the worker's direct line (line_share.h).
  std::optional<std::chrono::steady_clock::duration> cpu_time() const;
  std::optional<std::chrono::steady_clock::duration> cpu_time_without_line();

 private:
  std::uint64_t running(std::uint64_t number) const;
  std::chrono::nanoseconds line_time() const;
  void on_frame(const ipc::Frame& frame) override;
  void said(const ipc::WorkerReady&) { events_.worker_ready(*this); }
  void said(const ipc::Loaded&) { events_.worker_loaded(*this); }
  void said(const ipc::LoadFailed& failed) { events_.worker_load_failed(*this, failed.error); }
  void said(ipc::AnswerView& answer);
  void said(const ipc::LogLine& line) { events_.worker_logged(*this, line); }
  void said(const ipc::Stopped& stopped);
  void said(const ipc::ChunkView& chunk) { events_.worker_streamed(*this, calls_.find(chunk.call), chunk.value); }
  void said(const ipc::WorkerRan& ran) { events_.worker_ran(*this, ran); }
  void on_violation(const ipc::ProtocolViolation& violation) override;
  void on_frame_given_up(const std::string& reason) override;
  void on_end(std::string_view reason) override;

  // Process info from the broker. It is asked for when first needed: most workers come and go without it.
  const Broker::ProcessInfo& process_info() const;

  const WorkerId id_;
  const UniqueFd pidfd_;
  PageMapping page_;
  const std::uint64_t tag_;
  CallNumbers calls_;
  CallerNumbers callers_;
  UniqueFd line_;
  CallId line_call_{};
  std::optional<Caller> line_caller_;  // the client that has, or had, the line
  std::uint64_t said_on_line_ = 0;
  std::optional<Caller> said_caller_;
  Broker& broker_;
  mutable pid_t pid_ = 0;  // 0: not known yet
  mutable Broker::ProcessInfo process_info_;
  mutable std::optional<clockid_t> cpu_clock_;
  LineShare line_share_;
  const std::chrono::steady_clock::time_point forked_at_;
  WorkerProcessEvents& events_;
  bool ready_ = false;
  std::optional<std::chrono::steady_clock::time_point> memory_seen_at_;
  MemoryLook last_memory_look_;
};

}  // namespace holdfast::supervisor
