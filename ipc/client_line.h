// A client's end of a direct line: a socket to one module's worker, and the calls on it. The worker is hostile: this
// class checks what the worker sends as the supervisor checks it on the relayed way, and drops the line of a worker
// that breaks a rule.
//
// The life of a call (it ends in one of these ways):
//
//   sent ── its answer comes on the line ───────────────────────────> answered
//     ├──── it is cancelled, or its time and kLineGrace are over ───> answered here; what comes for it is swallowed
//     ├──── the line is withdrawn, and did not take it on ──────────> relayed: it was not begun
//     ├──── the line has ended:  it was not begun ──────────────────> relayed
//     │                          the worker ended of it ────────────> answered with the reason
//     │                          it was begun, and is idempotent ───> relayed: it is run again
//     │                          it was begun ──────────────────────> answered: executed maybe
//     └──── the connection to the supervisor is lost ───────────────> answered: executed maybe
//
// Only the supervisor says that a line has ended and which calls its worker had begun. A closed socket does not say
// that: calls on it wait for the supervisor's word, each until its own deadline.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "ipc/client.h"

namespace holdfast::ipc {

// How long after a call's deadline the worker or the supervisor may still send the answer.
constexpr std::chrono::milliseconds kLineGrace{50};
// How long a worker may take to give up a call that the client has answered itself. After that, and again after each
// further period, the client tells the supervisor. protocol.capnp sets the value (LineCallOverdue.isLate).
constexpr std::chrono::seconds kLineLate{2};

class ClientLine {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  struct Answered {
    AnswerHandler handler;
    Answer answer;
  };
  // A call that goes to the supervisor instead, with the same id and deadline.
  struct Relayed {
    std::uint64_t id = 0;
    std::string function;
    std::string payload;
    CallRequest request;  // its function and payload are empty: they are kept above
    TimePoint deadline;
    AnswerHandler handler;
  };

  ClientLine(std::uint64_t id, ModuleName module, UniqueFd socket, const CallTimeouts& timeouts,
             std::uint64_t max_payload_bytes);

  std::uint64_t id() const { return id_; }
  const ModuleName& module() const { return module_; }
  // Whether start() may be called.
  bool takes_calls() const { return socket_ && !closing_; }
  std::size_t open_calls() const { return open_calls_; }

  void start(std::uint64_t id, const CallRequest& request, AnswerHandler handler);
  // False: the id is not an open call of this line.
  bool cancel(std::uint64_t id);

  // --- the socket; -1 once nothing more is read or sent
  int fd() const { return socket_.get(); }
  std::size_t unsent_bytes() const { return out_.size_bytes(); }
  void flush();
  // False if nothing had arrived.
  bool receive();

  // When look_at_times() has something to do; TimePoint::max(): never.
  TimePoint next_look() const { return next_look_; }
  // Answers the calls whose deadline and grace are over. Returns what to tell the supervisor: each call whose
  // deadline has passed since the last look, and the first call on the line, if any, that the worker is late to give
  // up.
  std::vector<LineCallOverdue> look_at_times(TimePoint now);

  // Ends the line on the supervisor's word and settles its calls. The caller has read everything that had arrived.
  void end(const LineEnded& ended);
  // Ends the line because the supervisor is lost: reads what has arrived, and answers all other calls with `error`.
  void end(const Error& error);

  // Whether to tell the supervisor that the client gives the line up: its worker broke a rule, or the line was
  // withdrawn and all its calls are answered. The call resets the wish.
  bool take_wish_to_give_up() { return std::exchange(wish_to_give_up_, false); }

  // Settled calls, until the client takes them.
  std::vector<Answered> answered;
  std::vector<Relayed> relayed;

 private:
  struct Call {
    std::uint64_t place = 0;  // on the line: 1, 2, 3, …
    TimePoint sent_at{};
    bool is_overdue = false;  // the supervisor was told that its time is over
    bool is_settled = false;  // answered here; the worker's answer is still to come
    TimePoint late_at{};      // if the worker's answer has not come by then
    Relayed kept;
  };

  void handle(ServerMessage message);
  void handle(AnswerView answer);
  void handle(const LineClosing& closing);
  void settle(Call& call, Answer answer);
  void drop(std::string violation);
  void give_up_if_done();
  static TimePoint next_look_at(const Call& call);
  template <typename Settle>
  void take_all(Settle settle);

  const std::uint64_t id_;
  const ModuleName module_;
  UniqueFd socket_;
  const CallTimeouts timeouts_;
  const std::uint64_t max_payload_bytes_;
  FrameReader in_;
  OutputBuffer out_;
  bool closing_ = false;
  std::string violation_;
  bool wish_to_give_up_ = false;
  std::uint64_t sent_ = 0;  // number of calls sent so far
  std::size_t open_calls_ = 0;
  std::unordered_map<std::uint64_t, Call> calls_;  // by id, settled calls included
  TimePoint next_look_ = TimePoint::max();
};

}  // namespace holdfast::ipc
