// One worker process as the supervisor holds it: its pidfd, its socket, its shared page. Moves messages and signals;
// decides nothing. What the worker sends is checked here for its form, and by the owner for its meaning.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <string>

#include <ctime>
#include <sys/types.h>

#include "ipc/shared_page.h"
#include "ipc/unique_fd.h"
#include "ipc/worker_messages.h"
#include "supervisor/broker.h"
#include "supervisor/call_numbers.h"
#include "supervisor/caller_numbers.h"
#include "supervisor/connection.h"
#include "supervisor/ids.h"
#include "supervisor/line_share.h"
#include "supervisor/stretch_watch.h"

namespace holdfast::supervisor {

// A worker's page.
class PageMapping {
 public:
  // Maps the memfd that the zygote sent. Nothing if it is not a page sealed against shrinking, which a read could
  // otherwise turn into a SIGBUS.
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

// How the calls on a worker's direct line were answered, as it says.
struct LineCounts {
  std::uint64_t results = 0;
  std::array<std::uint64_t, ipc::kErrorCodeCount> errors{};
  std::uint64_t answered() const { return std::accumulate(errors.begin(), errors.end(), results); }
};

class WorkerProcess final : public Connection {
 public:
  // What happens to a worker, told to its owner.
  class Owner {
   public:
    virtual ~Owner() = default;
    // In an answer and in last words, calls have the supervisor's ids; a log line has the number that the worker gave.
    virtual void worker_said(WorkerProcess& worker, ipc::WorkerMessage message) = 0;
    // It broke the protocol; it is still open.
    virtual void worker_broke_protocol(WorkerProcess& worker, const ipc::ProtocolViolation& violation) = 0;
    // It must go, for the part of a message that it has sent takes memory that is short; it is still open.
    virtual void worker_gave_way(WorkerProcess& worker) = 0;
    // Its socket is closed: it has ended, or is about to.
    virtual void worker_hung_up(WorkerProcess& worker) = 0;
  };

  // `turn`, `broker` and `owner` must outlive the object.
  // `line` is the end of its direct line that is to be given away; none: it has none.
  WorkerProcess(WorkerId id, Turn& turn, Socket socket, UniqueFd pidfd, UniqueFd line, PageMapping page, Broker& broker,
                std::shared_ptr<FrameAccounts> frames, Owner& owner);

  WorkerId id() const { return id_; }
  // As the supervisor's own pid namespace shows it; 0 if it is gone.
  pid_t pid() const;
  std::chrono::steady_clock::time_point forked_at() const { return forked_at_; }

  // `load.tag` and `call.id` are replaced by what the worker may know (call_numbers.h); whatever it says of a call
  // comes back under the supervisor's id, but for WorkerRan, which may be about one that it has answered.
  void send(ipc::LoadRequest load);
  void send(ipc::WorkerCall call, const Caller& caller);
  // Does nothing if the call is not on the worker any more.
  void send_cancel(CallId call, ipc::CancelReason reason);
  void send_grant(CallId call, std::uint64_t bytes);
  // Takes back the calls that it has not started: it does not run or answer them. Of a direct line's own call, where
  // the client has the line already, and of what was sent after it, nothing is taken.
  struct TakenBack {
    std::uint64_t started = 0;  // the calls that were sent after so many,
    std::uint64_t last = 0;     // up to this one
  };
  TakenBack take_back_calls();
  // A direct line's own call, under the same rules.
  void send(ipc::OpenWorkerLine open);
  void send_close_line();

  // The call that the worker knows by this number, which may be any; CallId{}: it has none.
  CallId call_with_number(std::uint64_t number) const { return calls_.find(number); }
  // Who made the call that it knows, or knew, by this number, which may be any; nothing: nobody whom it is known of.
  std::optional<Caller> caller_of(std::uint64_t number) const;
  // Who made a call that is on the worker; nothing: it is not. A line's own call is its client's.
  std::optional<Caller> caller_of(CallId call) const {
    return call != CallId{} && call == line_call_ ? line_caller_ : caller_of(calls_.number_of(call));
  }

  // The name under which the worker knows a call that it gave this number, which may be any.
  std::string request_id(std::uint64_t number) const { return ipc::request_id(tag_, number); }

  // The end of its direct line that its client is to have; none where it was taken before, or there is none. A client
  // that had it may have kept a copy, so that nobody else is ever given it.
  UniqueFd take_line(CallId line_call, const Caller& caller);
  // The call that its line was taken for; CallId{}: none, or that is answered.
  CallId line_call() const { return line_call_; }
  // Hints from the shared page of the calls on it: how many were begun, how they were answered, and which was on the
  // CPU when the page was looked at, 0: none.
  std::uint64_t line_started() const;
  LineCounts line_counts() const;
  std::uint64_t running_on_line(const StretchView& view) const;
  // The call on the line that the worker named in its last words; 0: it named none.
  std::uint64_t said_on_line() const { return said_on_line_; }

  // Who made the call, open or answered, whose function was on the CPU, by its last words; nothing: they did not say.
  std::optional<Caller> said_caller() const { return said_caller_; }

  // Whether it said that it is prepared for its module.
  bool is_ready() const { return ready_; }
  void set_ready() { ready_ = true; }

  // SIGXCPU: the worker says where it is and ends.
  void ask_to_stop();
  void kill();
  // The process does nothing at all until it goes on. It can be killed meanwhile.
  void halt();
  void go_on();

  // Hints from the shared page. What stretch() returns was there at one time, unless the
  // worker lies.
  StretchView stretch() const;
  std::chrono::nanoseconds unclaimed_time() const;
  // How many of the calls that it was sent it has started, those included that were taken back.
  std::uint64_t calls_started() const;
  std::optional<int> refused_system_call() const;

  // What a process was found to have at one time.
  struct MemoryLook {
    std::uint64_t private_bytes = 0;    // or what the kernel shows of it (host_memory.h)
    std::uint64_t anonymous_bytes = 0;  // with what it shares with its zygote
  };
  // Looks now, which costs the kernel a walk: some tenths of a millisecond.
  const MemoryLook& look_at_memory(std::chrono::steady_clock::time_point now);
  // When it was last looked at; nothing: never.
  std::optional<std::chrono::steady_clock::time_point> memory_seen_at() const { return memory_seen_at_; }
  // Its private memory: what it had at the last look and what anonymous memory has come or gone since. `empty` stands
  // for the last look of a worker that was never looked at. Cheap.
  std::uint64_t memory_bytes(const MemoryLook& empty) const;

  // Its memory that no file stands behind, what it shares with its zygote included. Cheap.
  std::uint64_t anonymous_bytes() const;
  // All that it makes the host hold, what it shares with its zygote included, but for the kernel's own notes of its
  // mappings. Some tens of microseconds.
  std::uint64_t held_bytes() const;
  // See Broker.
  std::optional<std::uint32_t> count_mappings() const { return broker_.count_mappings(pidfd_); }

  // Whether pid() and cpu_time() are known without the broker. What is known of its memory takes the broker.
  bool has_pid() const;
  bool is_known_to_broker() const { return sight_.pid != 0; }

  using Connection::flush;
  using Connection::pause;
  using Connection::resume;
  using Connection::unsent_bytes;

  // How long the process has been on a CPU, by the kernel's count (clock_getcpuclockid(3)); and the same without the
  // time for its direct line (line_share.h).
  std::optional<std::chrono::steady_clock::duration> cpu_time() const;
  std::optional<std::chrono::steady_clock::duration> cpu_time_without_line();

 private:
  std::uint64_t running(std::uint64_t number) const;
  std::chrono::nanoseconds line_time() const;
  void on_frame(const ipc::Frame& frame) override;
  void on_violation(const ipc::ProtocolViolation& violation) override;
  void on_frame_given_up(const std::string& reason) override;
  void on_end(std::string_view reason) override;

  // What the broker found out about the process. Asked for when first needed: most workers come and go without.
  const Broker::Sight& sight() const;

  const WorkerId id_;
  const UniqueFd pidfd_;
  PageMapping page_;
  const std::uint64_t tag_;
  CallNumbers calls_;
  CallerNumbers callers_;
  UniqueFd line_;
  CallId line_call_{};
  std::optional<Caller> line_caller_;  // whose its line is, or was
  std::uint64_t said_on_line_ = 0;
  std::optional<Caller> said_caller_;
  Broker& broker_;
  mutable pid_t pid_ = 0;  // not known yet
  mutable Broker::Sight sight_;
  mutable std::optional<clockid_t> cpu_clock_;
  LineShare line_share_;
  const std::chrono::steady_clock::time_point forked_at_;
  Owner& owner_;
  bool ready_ = false;
  std::optional<std::chrono::steady_clock::time_point> memory_seen_at_;
  MemoryLook last_memory_look_;
};

}  // namespace holdfast::supervisor
