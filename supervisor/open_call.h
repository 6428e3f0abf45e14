// What the supervisor keeps of a call, from when the scheduler has accepted it until its worker has answered it or it
// can no longer be run: what a worker must be sent, what the client must be answered, and what the call has used.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "ipc/client_messages.h"
#include "ipc/frame.h"
#include "supervisor/client_session.h"
#include "supervisor/late_watch.h"
#include "supervisor/module_logs.h"
#include "supervisor/modules/modules.h"
#include "supervisor/scheduler/scheduler.h"
#include "supervisor/shares/accountant.h"
#include "supervisor/workers/workers.h"

namespace holdfast::supervisor {

// A direct line is one long call, from the client's request for it to its end. The supervisor does not see the calls
// that are made on it (supervisor_lines.cc).
struct DirectLine {
  bool is_open = false;      // its client has been sent the socket
  bool is_closing = false;   // the worker was told to take no further calls
  bool is_given_up = false;  // its client no longer wants it, but still hears of its end
  LineCounts counted;        // calls on the line that the module's counts include already
  // The number of the latest call on this line that the client reported as not given up by the worker, and when the
  // client last reported it.
  std::uint64_t late_call = 0;
  TimePoint late_call_at{};
  TimePoint closing_since{};
  // How many calls on the line the worker had started at the last look, and since when that number has not risen.
  std::uint64_t started = 0;
  TimePoint quiet_since{};
};

struct OpenCall {
  CallId id{};
  ClientSession* client = nullptr;  // null: the client left or has its answer
  std::uint64_t client_id = 0;
  KnownModule* module = nullptr;
  std::string function;
  ipc::KeptBytes payload;
  ipc::Encoding encoding{};
  ipc::ArgumentStyle arguments{};
  ipc::ResultEncoding result_encoding{};
  std::uint32_t stream_window_bytes = 0;  // 0: the client takes no stream
  TimePoint deadline{};                   // by when the call must be answered
  // The number of workers that it was given to, what it used on those that were lost, and since when it waits again.
  std::uint32_t attempts = 0;
  ipc::Usage spent;
  TimePoint waits_since{};
  // The worker that has it, and since when; WorkerId{}: it waits for one.
  WorkerId worker{};
  TimePoint given_at{};
  // The share() and unclaimed_share() of the worker's meter when the call was given to the worker.
  Duration share_before{};
  Duration unclaimed_before{};
  bool wants_logs = false;
  std::uint64_t lines_dropped = 0;  // log lines that its client should have had and has not been told of
  LateWatch late;                   // of its worker, which does not give it up
  // The call's stream: bytes sent that the client has not granted again, as chunk_cost() counts; bytes that the client
  // has granted but the worker has not been told of; and the size of all payloads sent.
  std::uint64_t ungranted_bytes = 0;
  std::uint64_t withheld_bytes = 0;
  std::uint64_t streamed_bytes = 0;
  std::unique_ptr<DirectLine> line = nullptr;  // null: it is an ordinary call
  // The memory kept for it, counted by its client's session and in its user's share.
  std::size_t payload_bytes = 0;
  std::optional<Accountant<const CallId>::Account> share;  // nullopt: nothing is kept for it

  std::size_t held_bytes() const { return function.size() + payload_bytes; }

  // nullopt: its client does not read what the call logs, or waits for nothing of it any more.
  std::optional<CallReader> log_reader() {
    if (client == nullptr || !wants_logs) return std::nullopt;
    return CallReader{*client, client_id, lines_dropped};
  }

  // What the call has used so far on all workers that it was given to. Its worker must exist, if it has one.
  ipc::Usage usage_so_far(Workers& workers, TimePoint now) const;
  // What the call has used, to be told with its answer of `bytes_out`; all 0 if it never reached a worker. Adds it to
  // its module's counts.
  ipc::Usage take_usage(Workers& workers, TimePoint now, std::size_t bytes_out) const;
  // Its worker is lost, and it waits for another.
  void lost_worker(Workers& workers, TimePoint now);
  // Its worker gave it back unstarted, and it waits for another. `loaded_at`: when the worker had loaded the module.
  void taken_back(std::optional<TimePoint> loaded_at);
};

}  // namespace holdfast::supervisor
