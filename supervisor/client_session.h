// One client's connection: its hello, its open calls, and the limits that it must keep. Checks the protocol; what a
// call means is the owner's business.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "ipc/client_messages.h"
#include "supervisor/connection.h"
#include "supervisor/ids.h"

namespace holdfast::supervisor {

class ClientSession final : public Connection {
 public:
  // Calls that may be open at a time; the session is not read from beyond that.
  static constexpr std::uint32_t kMaxCallsInFlight = 1024;
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
    virtual ipc::WorkerList list_workers() = 0;
    // The session sets the id, and cuts what would not fit into a frame.
    virtual ipc::Stats stats() = 0;
    // It left, or was cut off. Its open calls are still noted.
    virtual void client_left(ClientSession& client) = 0;
  };

  ClientSession(ClientId id, Turn& turn, Socket socket, Owner& owner);

  ClientId id() const { return id_; }

  // For the log: "client 7 (holdfast 0.1.0)".
  const std::string& name() const { return name_; }

  bool greeted() const { return greeted_; }
  bool all_sent() const { return unsent_bytes() == 0; }

  // Tells the client that it broke a rule, and closes; the owner hears that it left.
  void cut_off(const std::string& violation);

  // Tells a client that is not to be served why, and closes. Nobody hears of it.
  void turn_away(const std::string& reason);

  // Notes a call that will be answered later. `bytes` is what the supervisor keeps for it meanwhile.
  void opened(std::uint64_t client_id, CallId call, std::size_t bytes);

  // Answers a call; one that opened() noted is open no more, and `bytes` is what was said there. `usage` is all 0 where
  // it never got to a worker.
  void answer(std::uint64_t client_id, const ipc::ResultView& result, const ipc::Usage& usage, std::size_t bytes);
  void answer(std::uint64_t client_id, const ipc::Error& error, const ipc::Usage& usage = {}, std::size_t bytes = 0);

  // By the client's own ids.
  const std::unordered_map<std::uint64_t, CallId>& open_calls() const { return open_; }

 private:
  void on_frame(const ipc::Frame& frame) override;
  void on_violation(const ipc::ProtocolViolation& violation) override;
  void on_end(std::string_view reason) override;
  void on_sent() override;

  void handle(const ipc::Frame& frame);
  void greet(const ipc::ClientHello& hello);
  bool over_limits() const;
  void closed(std::uint64_t client_id, std::size_t bytes);

  const ClientId id_;
  Owner& owner_;
  std::string name_;
  bool greeted_ = false;
  std::unordered_map<std::uint64_t, CallId> open_;  // by the client's own id
  std::size_t held_bytes_ = 0;                      // what is kept for open calls
};

}  // namespace holdfast::supervisor
