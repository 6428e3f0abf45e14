// The worker: a forked, locked process that hosts one module for its whole life and serves calls to it from its socket,
// and from its direct line if it has one, until the supervisor closes the socket or kills the process.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "ipc/base/busy_poll.h"
#include "ipc/base/unique_fd.h"
#include "ipc/frame.h"
#include "ipc/shared_page.h"
#include "worker/channel/line.h"
#include "worker/channel/outbox.h"
#include "worker/v8/engine.h"
#include "worker/v8/module_host.h"

namespace holdfast::worker {

class Worker {
 public:
  // None of these is owned; all must outlive the worker. `socket` is a connected stream socket; `line` may be null.
  Worker(Engine& engine, BorrowedFd socket, Line* line, ipc::SharedPage& page);

  // Serves until the supervisor is gone. Never returns.
  [[noreturn]] void run();

  Outbox& outbox() { return outbox_; }

 private:
  void prepare();
  void wait_for_work();
  void give_memory_back();
  void receive(int flags);
  void run_turns();
  void end_step();
  bool is_congested() const;
  std::optional<std::chrono::steady_clock::time_point> gives_way_until() const;
  void put_calls_first();
  void handle_frames();
  bool handle_frame();
  void handle(const ipc::WorkerRequest& request);

  // --- the direct line
  bool serves_line() const { return line_ != nullptr && line_->is_served(); }
  bool take(std::uint64_t call);
  void open_line(const ipc::OpenWorkerLine& request);
  bool handle_line();
  std::optional<std::chrono::steady_clock::time_point> line_waits_until() const;
  void look_after_line();
  bool waits_for_line_alone() const;
  bool look_for_call(std::chrono::steady_clock::duration longest);
  void wait_for_both(std::optional<std::chrono::steady_clock::time_point> until);
  void send_some();
  void note_load(LoadState state);
  void find_cancelled();

  Engine& engine_;
  const BorrowedFd socket_;
  Outbox outbox_;
  ipc::FrameReader in_;
  Line* const line_;  // null: it has none
  ipc::BusyPoll line_poll_{std::chrono::nanoseconds(0)};
  std::chrono::steady_clock::time_point looked_at_supervisor_;
  ipc::SharedPage& page_;
  std::optional<ModuleHost> host_;  // from the start of run() on
  bool loaded_ = false;
  std::uint64_t turns_ = 0;
  bool was_slow_ = false;     // there was a slow step since memory was given back
  bool left_frames_ = false;  // the last turn was ended for its length, and may have left frames
  bool received_ = false;     // input may have come since cancellations were looked for
  std::chrono::steady_clock::time_point frames_since_;  // when the turn's first frame was begun
  // When memory is given back, if nothing is received until then; timers do not put it off.
  std::optional<std::chrono::steady_clock::time_point> give_back_at_;
  // Until when calls in a row have priority, after a slow task between them; when the last call returned to the loop;
  // and when the last relayed call did.
  std::chrono::steady_clock::time_point calls_first_until_;
  std::chrono::steady_clock::time_point last_call_at_;
  std::chrono::steady_clock::time_point last_relayed_at_;
  std::vector<std::uint64_t> cancelled_;  // calls whose cancellation is received, and not handled yet
  std::chrono::steady_clock::time_point step_began_;
  std::chrono::steady_clock::duration step_took_{};
  // How much more time the line's calls have had than relayed calls. Counts only times in which both kinds had work.
  std::chrono::steady_clock::duration line_ahead_{};
  // Within a turn: when answers were last sent, and after how long the ones that have gathered since are sent.
  std::chrono::steady_clock::time_point sent_at_;
  std::chrono::steady_clock::duration send_after_{};
};

}  // namespace holdfast::worker
