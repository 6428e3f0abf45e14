// One client's connection: its hello, its open calls and the limits that it must keep. Checks the protocol;
// ClientRequests decides what calls mean.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>

#include "ipc/base/module_name.h"
#include "ipc/call_rules.h"
#include "ipc/client_messages.h"
#include "supervisor/client_requests.h"
#include "supervisor/log/module_log.h"
#include "supervisor/net/client_accounts.h"
#include "supervisor/net/connection.h"
#include "supervisor/scheduler/ids.h"

namespace holdfast::supervisor {

class ClientSession final : public Connection {
 public:
  // How many calls may be open at a time. At that limit the session stops reading until a call ends, unless the client
  // has been asked for a module's code: then its further calls are refused.
  static constexpr std::uint32_t kMaxCallsInFlight = 1024;
  // A request that costs a round trip to the broker, a list of workers or statistics counts as this many frames of
  // Turn::kFramesInTurn.
  static constexpr std::size_t kFramesOfLongWork = 32;
  // A call with a larger payload is answered payload_too_large.
  static constexpr std::uint64_t kMaxPayloadBytes = ipc::kMaxPayloadBytes;
  // For the hello, before anything is known about the client.
  static constexpr ipc::FrameLimits kGreetingLimits{.max_bytes = std::size_t{4} << 10, .max_segments = 64};
  // A frame may be larger than the largest payload, so that a call with too large a payload can be answered instead of
  // ending the connection.
  static constexpr ipc::FrameLimits kFrameLimits{.max_bytes = std::size_t{33} << 20, .max_segments = 64};

  ClientSession(ClientId id, Turn& turn, Socket&& socket, ClientRequests& requests,
                const std::shared_ptr<ClientAccounts>& accounts);

  ClientId id() const { return id_; }

  // For the log: "client 7 (holdfast 0.1.0)".
  const std::string& name() const { return name_; }

  bool greeted() const { return greeted_; }
  bool all_sent() const { return unsent_bytes() == 0; }

  // Tells the client which rule it broke, logs that, and closes; ClientRequests::client_left() is called.
  void cut_off(const std::string& violation);

  // Tells a client why it is not served, and closes. ClientRequests::client_left() is not called.
  void turn_away(const std::string& reason);

  // Tells the client why it is no longer served, logs that, and closes; ClientRequests::client_left() is called. For
  // reasons that are not a breach of the protocol.
  void let_go(const std::string& reason);

  // The client's user among the places for connections. The client has a place from take_place() on.
  const Accountant<ClientSession>::Member& places() const { return places_; }
  void take_place() { place_.use(1, {}); }
  // The client's user among those for whom memory of open calls is kept.
  const Accountant<const CallId>::Member& calls_member() const { return calls_member_; }

  // Whether the client has read nothing for so long that its unread answers need not be kept any longer
  // (ClientAccounts).
  bool has_given_up_reading(std::chrono::steady_clock::time_point now) const;
  std::size_t unread_bytes() const { return unread_.used(); }

  // To be called in ClientRequests::client_called(): the call's payload, in a form that outlives its frame.
  ipc::KeptBytes keep_payload(const ipc::CallRequest& call) { return keep(call.payload); }

  // Notes a call that will be answered later. `bytes` is the memory that the supervisor keeps for the call until then.
  void opened(std::uint64_t client_id, CallId call, std::size_t bytes);

  // Answers a call. If opened() noted the call, it ends here, and `bytes` must be what opened() was given. `usage` is
  // all 0 if the call never reached a worker.
  void answer(std::uint64_t client_id, const ipc::ResultView& result, const ipc::Usage& usage, std::size_t bytes);
  void answer(std::uint64_t client_id, const ipc::Error& error, const ipc::Usage& usage = {}, std::size_t bytes = 0);

  // For direct lines, instead of answer(): refuse_line() ends one that is not open. One that was opened stays open
  // until end_line(), which sets `ended.line` itself.
  void refuse_line(std::uint64_t client_id, const ipc::Error& error);
  void open_line(std::uint64_t client_id, const ipc::CallTimeouts& timeouts, UniqueFd socket);
  void end_line(std::uint64_t client_id, ipc::LineEnded ended);

  // Sends a value of an open call's stream.
  void stream(std::uint64_t client_id, const ipc::ResultView& value);

  // Answer ClientRequests::workers_wanted() and ClientRequests::stats_wanted(). The session sets the id. show_stats()
  // also cuts what would not fit into a frame.
  void show_workers(std::uint64_t id, ipc::WorkerList list);
  void show_stats(std::uint64_t id, ipc::Stats stats);

  // Says whether the client may load modules.
  void answer_registration(std::uint64_t id, const std::optional<ipc::Error>& error);

  // Asks a client that may load modules for one. `id` must be unique in this session. The caller bounds how long it
  // waits and how many modules it asks for at a time.
  void want_source(std::uint64_t id, const ipc::ModuleName& name);
  // Stops waiting for a module: the answer, if it comes, is ignored.
  void give_up_source(std::uint64_t id) { wanted_.erase(id); }

  // Says whether the client may read what modules log.
  void answer_subscription(std::uint64_t id, const std::optional<ipc::Error>& error);
  // From now on show_line(record) sends this subscription the lines that the filter covers.
  void follow_logs(std::uint64_t id, LogFilter filter);
  // Sends a line for one subscription, however much is unsent already.
  void show_line(std::uint64_t id, const ipc::LogRecord& record);
  // Sends a line for each followed subscription that covers it. If the client reads too slowly, the line is not sent
  // but counted as dropped; the client is told the count once it reads again.
  void show_line(const ipc::LogRecord& record);
  // Sends a log line of an open call. Returns false, and sends nothing, if the client reads too slowly.
  bool show_line_of_call(std::uint64_t client_id, const ipc::LogRecord& record);

  // The uid of the client as the supervisor's user namespace sees it; nullopt if the kernel did not say. A user without
  // a number there is the overflow user, 65534 (user_namespaces(7)).
  std::optional<uid_t> peer_uid() const { return peer_uid_; }

  // The user to whom the client's use of resources is charged: that of peer_uid(), else kUnknownUser.
  UserId user() const { return user_of(peer_uid_); }

  // To be called when the client's request takes the supervisor long: nothing more is read from this client until
  // others have been served.
  void let_others_go_first() {
    others_go_first_ = true;
    count_as_frames(kFramesOfLongWork);
  }

  // The open calls, by the client's own ids.
  const std::unordered_map<std::uint64_t, CallId>& open_calls() const { return open_; }

 private:
  ClientSession(ClientId id, Turn& turn, Socket&& socket, std::optional<uid_t> peer_uid, ClientRequests& requests,
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
    std::uint64_t dropped = 0;  // lines dropped since the client was last told
  };

  void handle_subscription(const ipc::SubscribeLogsRequest& request);
  bool reads_too_slowly_for_logs() const;
  void tell_of_dropped_lines();

  const ClientId id_;
  ClientRequests& requests_;
  std::string name_;
  bool greeted_ = false;
  bool others_go_first_ = false;
  bool awaits_view_ = false;                                   // a list or statistics
  std::unordered_map<std::uint64_t, CallId> open_;             // by the client's own id
  std::size_t held_bytes_ = 0;                                 // memory kept for open calls
  std::unordered_map<std::uint64_t, ipc::ModuleName> wanted_;  // modules asked for and not yet given
  std::map<std::uint64_t, Following> followed_;                // subscriptions, by the client's own id
  bool lines_were_dropped_ = false;
  bool loads_modules_ = false;
  const std::optional<uid_t> peer_uid_;
  const std::shared_ptr<ClientAccounts> accounts_;
  Accountant<ClientSession>::Member places_, unread_member_;
  Accountant<const CallId>::Member calls_member_;
  Accountant<ClientSession>::Account place_, unread_;
  std::uint64_t sent_bytes_before_ = 0;  // sent_bytes() when account_for_unread() last looked
  std::chrono::steady_clock::time_point took_last_{};
};

}  // namespace holdfast::supervisor
