// One client's connection: its hello, its open calls, and the limits that it must keep. Checks the protocol; what a
// call means is the owner's business.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>

#include "ipc/client_messages.h"
#include "ipc/module_name.h"
#include "supervisor/client_accounts.h"
#include "supervisor/connection.h"
#include "supervisor/ids.h"
#include "supervisor/module_log.h"

namespace holdfast::supervisor {

class ClientSession final : public Connection {
 public:
  // Calls that may be open at a time; the session is not read from beyond that.
  static constexpr std::uint32_t kMaxCallsInFlight = 1024;
  // So many frames of a turn (Turn::kFramesInTurn) stand for one that takes a round trip to the broker, or a list.
  static constexpr std::size_t kFramesOfLongWork = 32;
  // Larger payloads are answered payload_too_large.
  static constexpr std::uint64_t kMaxPayloadBytes = std::uint64_t{16} << 20;
  // Of the hello, before anything is known of the client.
  static constexpr ipc::FrameLimits kGreetingLimits{.max_bytes = std::size_t{4} << 10, .max_segments = 64};
  // A frame may be larger than a payload, so that one which is too large can be answered and not only cut off.
  static constexpr ipc::FrameLimits kFrameLimits{.max_bytes = std::size_t{33} << 20, .max_segments = 64};

  class Owner {
   public:
    virtual ~Owner() = default;
    // A new call. The session has not noted it: the owner answers it at once, or calls opened().
    virtual void client_called(ClientSession& client, const ipc::CallRequest& call) = 0;
    virtual void client_cancelled(ClientSession& client, CallId call) = 0;
    // It has taken so much of an open call's stream.
    virtual void client_granted(CallId call, std::uint64_t bytes) = 0;
    // It wants a direct line. As client_called(); the owner answers by refuse_line() or open_line().
    virtual void line_wanted(ClientSession& client, const ipc::OpenLineRequest& request) = 0;
    // No answer came in time to this call of an open line, or, if it is late, its worker does not give it up; any
    // number is possible.
    virtual void line_call_overdue(CallId line, std::uint64_t call, bool is_late) = 0;
    // The owner answers by show_workers(), now or later; until then the session is not read from.
    virtual void workers_wanted(ClientSession& client, std::uint64_t id) = 0;
    // The same by show_stats().
    virtual void stats_wanted(ClientSession& client, std::uint64_t id) = 0;
    // The client offers to load modules, waiting for each at most `timeout`, 0: as long as the owner sees fit. The
    // owner answers by answer_registration().
    virtual void loader_registered(ClientSession& client, std::uint64_t id, std::chrono::nanoseconds timeout) = 0;
    // Once for each want_source() that was not given up. Code is of a size that a module may have and has a file's
    // name; texts are clean. Views die with this call.
    virtual void source_given(ClientSession& client, std::uint64_t id, const ipc::SourceOutcome& outcome) = 0;
    // The client wants to read what modules log. The owner shows it the lines that there are, follows them for it, and
    // answers by answer_subscription().
    virtual void logs_wanted(ClientSession& client, const ipc::SubscribeLogsRequest& request) = 0;
    // It left, or was cut off. Its open calls are still noted.
    virtual void client_left(ClientSession& client) = 0;
  };

  ClientSession(ClientId id, Turn& turn, Socket&& socket, Owner& owner,
                const std::shared_ptr<ClientAccounts>& accounts);

  ClientId id() const { return id_; }

  // For the log: "client 7 (holdfast 0.1.0)".
  const std::string& name() const { return name_; }

  bool greeted() const { return greeted_; }
  bool all_sent() const { return unsent_bytes() == 0; }

  // Tells the client that it broke a rule, and closes; the owner hears that it left.
  void cut_off(const std::string& violation);

  // Tells a client that is not to be served why, and closes. Nobody hears of it.
  void turn_away(const std::string& reason);

  // Tells the client why it is not served any longer, which is no mistake of its own, and closes; the owner hears that
  // it left.
  void let_go(const std::string& reason);

  // The client's share of the places, which it has from take_place() on.
  const Accountant<ClientSession>::Member& places() const { return places_; }
  void take_place() { place_.use(1, {}); }
  // Its share of the memory that is kept for open calls.
  const Accountant<const CallId>::Member& calls_member() const { return calls_member_; }

  // Whether it has left so much unread for so long that it is not coming back for it.
  bool has_given_up_reading(std::chrono::steady_clock::time_point now) const;
  std::size_t unread_bytes() const { return unread_.used(); }

  // For the owner's client_called(): the call's payload, to be kept.
  ipc::KeptBytes keep_payload(const ipc::CallRequest& call) { return keep(call.payload); }

  // Notes a call that will be answered later. `bytes` is what the supervisor keeps for it meanwhile.
  void opened(std::uint64_t client_id, CallId call, std::size_t bytes);

  // Answers a call; one that opened() noted is open no more, and `bytes` is what was said there. `usage` is all 0 where
  // it never got to a worker.
  void answer(std::uint64_t client_id, const ipc::ResultView& result, const ipc::Usage& usage, std::size_t bytes);
  void answer(std::uint64_t client_id, const ipc::Error& error, const ipc::Usage& usage = {}, std::size_t bytes = 0);

  // For direct lines, in the place of answer(). One that was opened is open until it was ended; `ended.line` is
  // ignored.
  void refuse_line(std::uint64_t client_id, const ipc::Error& error);
  void open_line(std::uint64_t client_id, const ipc::LineTimeouts& timeouts, UniqueFd socket);
  void end_line(std::uint64_t client_id, ipc::LineEnded ended);

  // A value of an open call's stream.
  void stream(std::uint64_t client_id, const ipc::ResultView& value);

  // Answers to workers_wanted() and stats_wanted(). The session sets the id, and cuts what would not fit into a frame.
  void show_workers(std::uint64_t id, ipc::WorkerList list);
  void show_stats(std::uint64_t id, ipc::Stats stats);

  // Says whether the client may load modules.
  void answer_registration(std::uint64_t id, const std::optional<ipc::Error>& error);

  // Asks a client that may load modules for one. `id` differs from every other of this session. The owner bounds how
  // long it waits, and how many it asks for at a time.
  void want_source(std::uint64_t id, const ipc::ModuleName& name);
  // Its time ran out: the answer, if it comes, is ignored.
  void give_up_source(std::uint64_t id) { wanted_.erase(id); }

  // Says whether the client may read what modules log.
  void answer_subscription(std::uint64_t id, const std::optional<ipc::Error>& error);
  // From now on show_line() is for this subscription, too, as far as the filter covers the line.
  void follow_logs(std::uint64_t id, LogFilter filter);
  // Sends a line for one subscription, whatever there is to send already.
  void show_line(std::uint64_t id, const ipc::LogRecord& record);
  // Sends a line for each subscription that is followed and covers it. To a client that reads too slowly it is not
  // sent, but noted as dropped, of which the client hears once it reads again.
  void show_line(const ipc::LogRecord& record);
  // Sends a line of an open call. False if the client reads too slowly: then nothing is done.
  bool show_line_of_call(std::uint64_t client_id, const ipc::LogRecord& record);

  // Who connected, as the supervisor's user namespace sees it: a user that has no number there is the overflow user,
  // 65534 (user_namespaces(7)). Nothing if the kernel did not say.
  std::optional<uid_t> peer_uid() const { return peer_uid_; }

  // The same as the owner of what the client uses.
  UserId user() const { return user_of(peer_uid_); }

  // What the client has just asked for takes the supervisor long: it is not read from before others had their turn.
  void let_others_go_first() {
    others_go_first_ = true;
    count_as_frames(kFramesOfLongWork);
  }

  // By the client's own ids.
  const std::unordered_map<std::uint64_t, CallId>& open_calls() const { return open_; }

 private:
  ClientSession(ClientId id, Turn& turn, Socket&& socket, std::optional<uid_t> peer_uid, Owner& owner,
                const std::shared_ptr<ClientAccounts>& accounts);

  void on_frame(const ipc::Frame& frame) override;
  void on_violation(const ipc::ProtocolViolation& violation) override;
  void on_frame_given_up(const std::string& reason) override { let_go(reason); }
  static UserId user_of(std::optional<uid_t> uid) { return uid ? UserId{*uid} : kUnknownUser; }
  void on_end(std::string_view reason) override;
  void on_sent() override;

  void handle(const ipc::Frame& frame);
  void greet(const ipc::ClientHello& hello);
  bool over_call_limits() const;
  bool must_wait() const;
  void handle_source(const ipc::SourceReply& source);
  void closed(std::uint64_t client_id, std::size_t bytes);
  void account_for_unread();
  void leave();
  void account_for_place() { place_.set_at_work(!open_.empty() || !followed_.empty() || loads_modules_); }

  struct Following {
    LogFilter filter;
    std::uint64_t dropped = 0;  // lines since it was last told
  };

  void handle_subscription(const ipc::SubscribeLogsRequest& request);
  bool reads_too_slowly_for_logs() const;
  void tell_of_dropped_lines();

  const ClientId id_;
  Owner& owner_;
  std::string name_;
  bool greeted_ = false;
  bool others_go_first_ = false;
  bool awaits_view_ = false;                                   // a list or statistics
  std::unordered_map<std::uint64_t, CallId> open_;             // by the client's own id
  std::size_t held_bytes_ = 0;                                 // what is kept for open calls
  std::unordered_map<std::uint64_t, ipc::ModuleName> wanted_;  // sources that were asked for and not given
  std::map<std::uint64_t, Following> followed_;                // subscriptions, by the client's own id
  bool lines_were_dropped_ = false;
  bool loads_modules_ = false;
  const std::optional<uid_t> peer_uid_;
  const std::shared_ptr<ClientAccounts> accounts_;
  Accountant<ClientSession>::Member places_, unread_member_;
  Accountant<const CallId>::Member calls_member_;
  Accountant<ClientSession>::Account place_, unread_;
  std::uint64_t sent_bytes_before_ = 0;  // when it was last looked at what is unread
  std::chrono::steady_clock::time_point took_last_{};
};

}  // namespace holdfast::supervisor
