// A worker's direct line: a socket that leads straight to one client, which sends calls on it and reads their answers.
//
//   unopened -> open -> closing -> ended     withdrawn by the supervisor: accepted calls are still answered
//                  |       |
//                  +-------+--> ending -> ended     given up: its calls are cancelled, and their answers dropped
//
// Clients are hostile. A client that breaks a rule loses the line; the worker is not affected. This class numbers the
// calls, bounds them, gives them their deadlines and answers them. The module host runs them.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "ipc/base/unique_fd.h"
#include "ipc/frame.h"
#include "ipc/shared_page.h"
#include "ipc/worker_messages.h"

namespace holdfast::worker {

class Line {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // `socket`, a connected stream socket, and `page` stay the caller's and outlive the line.
  Line(BorrowedFd socket, ipc::SharedPage& page) : socket_(socket), page_(page) {}

  // Starts serving the line. Returns false, and changes nothing, if it was opened before.
  bool open(const ipc::OpenWorkerLine& request, std::uint64_t max_payload_bytes);
  // Accepts no further calls, and tells the client how many were accepted. Does nothing unless the line is open.
  void close();
  // Gives the line up: the client is gone, is no longer to be served, or broke the rule that `violation` names. Drops
  // unsent answers; next_to_give_up() returns the open calls.
  void end(std::string violation = "");

  // From open() until answer_own_call().
  bool is_served() const { return state_ == State::open || state_ == State::closing || state_ == State::ending; }
  // Whether the line was closed or given up, no call is open, and the client has read its answers or has had a second
  // to do so.
  bool is_done(TimePoint now);
  // Writes the answer to the line's own call (OpenWorkerLine) to `out`: an error if the client broke a rule. Only
  // after is_done() has returned true.
  void answer_own_call(ipc::OutputBuffer& out);
  std::uint64_t own_call() const { return request_.call; }

  // --- the socket
  BorrowedFd socket() const { return socket_; }
  bool is_connected() const { return state_ == State::open || state_ == State::closing; }
  // Whether to wait for input. Not while received frames are still to be handled, nor while the client leaves too
  // many answers unread.
  bool wants_input() const;
  bool has_output() const { return !out_.empty(); }
  std::size_t unsent_bytes() const { return out_.size_bytes(); }
  // Receives what is there now. Returns whether there was anything; the end of the connection counts.
  bool receive();
  // Sends as much as the socket takes now. Allocates nothing.
  void send_some();

  // --- calls
  // Whether next() may return something. `open_calls` is the number of all open calls of the worker.
  bool has_work(std::size_t open_calls) const { return may_have_frames_ && has_room(open_calls); }
  // The next received call to begin, or the next received cancellation to carry out; nothing if there is none. Views
  // in it are valid until the next use of the line.
  using Work = std::variant<ipc::WorkerCall, ipc::WorkerCancel>;
  std::optional<Work> next(std::size_t open_calls, TimePoint now);
  // A call to cancel because its deadline has passed or the line is given up. Call it until it returns nothing.
  std::optional<ipc::WorkerCancel> next_to_give_up(TimePoint now);
  // When there is something to do even without input; nothing if never.
  std::optional<TimePoint> next_deadline() const;

  // Answers a call that next() returned. Sends nothing if the client has an answer to it already, or is gone.
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

  const BorrowedFd socket_;
  ipc::SharedPage& page_;
  State state_ = State::unopened;
  ipc::OpenWorkerLine request_;
  std::uint64_t max_payload_bytes_ = 0;
  std::string violation_;
  ipc::FrameReader in_;
  ipc::OutputBuffer out_;
  bool may_have_frames_ = false;
  std::optional<TimePoint> received_at_;  // when the frames that wait were received; set by next()
  std::uint64_t taken_ = 0;               // number of calls accepted, ever
  std::vector<OpenCall> calls_;
  std::vector<std::uint64_t> cancelled_;  // client's ids of calls whose cancellation is received and not handled yet
  std::optional<TimePoint> last_wait_;    // until when the client may read its last answers
};

}  // namespace holdfast::worker
