// A worker's direct line: a socket that leads straight to one client, which sends calls on it and reads their answers.
//
//   unopened -> open -> closing -> ended     withdrawn by the supervisor: what was taken on is answered
//                  |       |
//                  +-------+--> ending -> ended     given up: its calls are cancelled, and nobody reads their answers
//
// The client is hostile, as everybody is: who breaks a rule loses the line, and the worker nothing. What the calls do
// is the module host's business; here they are numbered, bounded, given their deadlines and answered.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "ipc/frame.h"
#include "ipc/shared_page.h"
#include "ipc/worker_messages.h"

namespace holdfast::worker {

class Line {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // `socket`, a connected stream socket, and `page` stay the caller's and outlive the line.
  Line(int socket, ipc::SharedPage& page) : socket_(socket), page_(page) {}

  // False: it was opened before.
  bool open(const ipc::OpenWorkerLine& request, std::uint64_t max_payload_bytes);
  // No further calls are taken on, and the client is told.
  void close();
  // The client is gone, broke this rule, or is not to be served any more.
  void end(std::string violation = "");

  // From open() until the line's own call is to be answered, which is so once is_done().
  bool is_served() const { return state_ == State::open || state_ == State::closing || state_ == State::ending; }
  bool is_done(TimePoint now);
  // Once it is done: the line's own call, with the error if the client broke a rule.
  void answer_own_call(ipc::OutputBuffer& out);
  std::uint64_t own_call() const { return request_.call; }

  // --- the socket
  int socket() const { return socket_; }
  bool is_connected() const { return state_ == State::open || state_ == State::closing; }
  // Whether to wait for input; not while what was received is still to be handled, or answers are not read.
  bool wants_input() const;
  bool has_output() const { return !out_.empty(); }
  std::size_t unsent_bytes() const { return out_.size_bytes(); }
  // What is there now; whether anything was, the client's end included.
  bool receive();
  // What the socket takes now. Allocates nothing.
  void send_some();

  // --- calls
  // Whether next() may have something; `open_calls` are those of the worker.
  bool has_work(std::size_t open_calls) const { return may_have_frames_ && has_room(open_calls); }
  // The next call to be begun, or to be given up, of what was received; nothing: there is none. Views are good until
  // the next call on the line.
  using Work = std::variant<ipc::WorkerCall, ipc::WorkerCancel>;
  std::optional<Work> next(std::size_t open_calls, TimePoint now);
  // A call that is to be given up because its time is over, or the line is; nothing: there is none (any more).
  std::optional<ipc::WorkerCancel> next_to_give_up(TimePoint now);
  // When there is something to do without input.
  std::optional<TimePoint> next_deadline() const;

  // Answers a call that next() gave; nothing happens where nobody waits for it any more.
  void answer(std::uint64_t number, const ipc::ResultView& result);
  void answer(std::uint64_t number, const ipc::Error& error);

 private:
  enum class State { unopened, open, closing, ending, ended };

  // A call that was begun, and that the module host has not answered.
  struct OpenCall {
    std::uint64_t number;
    std::uint64_t client_id;
    TimePoint deadline;
    bool answered = false;  // the client has its answer already
  };

  bool has_room(std::size_t open_calls) const { return state_ != State::open || open_calls < request_.max_calls; }
  std::optional<Work> take(const ipc::CallRequest& call, TimePoint received_at);
  std::optional<Work> take(const ipc::CancelRequest& cancel);
  void find_cancelled();
  void tell(std::uint64_t client_id, const ipc::Error& error);

  const int socket_;
  ipc::SharedPage& page_;
  State state_ = State::unopened;
  ipc::OpenWorkerLine request_;
  std::uint64_t max_payload_bytes_ = 0;
  std::string violation_;
  ipc::FrameReader in_;
  ipc::OutputBuffer out_;
  bool may_have_frames_ = false;
  std::optional<TimePoint> received_at_;  // what is there to be handled; nothing: now
  std::uint64_t taken_ = 0;               // calls, ever
  std::vector<OpenCall> calls_;
  std::vector<std::uint64_t> cancelled_;  // by the client's ids: cancellations that were received and not handled yet
  std::optional<TimePoint> last_wait_;    // until when what is left is to be read by the client
};

}  // namespace holdfast::worker
