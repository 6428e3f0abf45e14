// A client's end of a direct line: a socket to one module's worker, and the calls that are on it. The worker is
// hostile: what it sends is checked here as the supervisor checks it on the other way, and a worker that breaks a rule
// loses the line.
//
// What becomes of a call, once each:
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
// Only the supervisor says that a line has ended and how far its worker came. A socket that is closed says nothing of
// that: until then its calls wait, each for as long as its time is.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "ipc/client.h"

namespace holdfast::ipc {

// What a worker or the supervisor has for a better answer, once a call's time is over.
constexpr std::chrono::milliseconds kLineGrace{50};
// What a worker has to give up a call that was answered here; after that, and after each further time, the supervisor
// is told. As protocol.capnp has it.
constexpr std::chrono::seconds kLineLate{2};

class ClientLine {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  struct Answered {
    AnswerHandler handler;
    Answer answer;
  };
  // A call that goes to the supervisor instead, by the same id, until its deadline.
  struct Relayed {
    std::uint64_t id = 0;
    std::string function;
    std::string payload;
    CallRequest request;  // without these, which its views do not point to
    TimePoint deadline;
    AnswerHandler handler;
  };

  ClientLine(std::uint64_t id, ModuleName module, UniqueFd socket, const LineTimeouts& timeouts,
             std::uint64_t max_payload_bytes);

  std::uint64_t id() const { return id_; }
  const ModuleName& module() const { return module_; }
  // Whether start() may be called.
  bool takes_calls() const { return socket_ && !closing_; }
  std::size_t open_calls() const { return open_calls_; }

  void start(std::uint64_t id, const CallRequest& request, AnswerHandler handler);
  // False: it is none of this line's open calls.
  bool cancel(std::uint64_t id);

  // --- the socket; -1 once nothing more is read or sent
  int fd() const { return socket_.get(); }
  std::size_t unsent_bytes() const { return out_.size_bytes(); }
  void flush();
  // False if nothing had arrived.
  bool receive();

  // When look_at_times() has something to do; the clock's end: never.
  TimePoint next_look() const { return next_look_; }
  // Answers calls whose time and grace are over. Returns what the supervisor is to be told: those whose time is over
  // since the last look, and the first that the worker is late to give up.
  std::vector<LineCallOverdue> look_at_times(TimePoint now);

  // Ends the line; nothing more is to be read.
  void end(const LineEnded& ended);
  // The same where the supervisor is lost.
  void end(const Error& error);

  // Whether the line is of no more use, of which the supervisor is to be told: its worker broke a rule, or it was
  // withdrawn and all is answered. Once.
  bool take_wish_to_give_up() { return std::exchange(wish_to_give_up_, false); }

  // What became of calls, until the client takes it.
  std::vector<Answered> answered;
  std::vector<Relayed> relayed;

 private:
  struct Call {
    std::uint64_t place = 0;  // on the line: 1, 2, 3, …
    TimePoint sent_at{};
    bool is_overdue = false;  // the supervisor was told
    bool is_settled = false;  // answered here; the worker's answer is still to come
    TimePoint late_at{};      // if it has not come by then
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
  const LineTimeouts timeouts_;
  const std::uint64_t max_payload_bytes_;
  FrameReader in_;
  OutputBuffer out_;
  bool closing_ = false;
  std::string violation_;
  bool wish_to_give_up_ = false;
  std::uint64_t sent_ = 0;  // calls, ever
  std::size_t open_calls_ = 0;
  std::unordered_map<std::uint64_t, Call> calls_;  // by id, those that are settled among them
  TimePoint next_look_ = TimePoint::max();
};

}  // namespace holdfast::ipc
