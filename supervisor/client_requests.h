// What clients ask for, as their sessions report it.
#pragma once

#include <chrono>
#include <cstdint>

#include "ipc/client_messages.h"
#include "supervisor/scheduler/ids.h"

namespace holdfast::supervisor {

class ClientSession;

// How a call on a direct line is late, by its client.
enum class LineCallLateness {
  unanswered,    // it has no answer, and its deadline has passed
  not_given_up,  // it was cancelled, and its worker does not give it up
};

// Is told what the clients of sessions ask for, and decides what that means. A session has checked the protocol before
// it calls. All references and views are valid only during the call.
class ClientRequests {
 public:
  virtual ~ClientRequests() = default;
  // A new call. The session has not noted it: the callee either answers it at once or calls ClientSession::opened().
  virtual void client_called(ClientSession& client, const ipc::CallRequest& call) = 0;
  virtual void client_cancelled(ClientSession& client, CallId call) = 0;
  // The client has taken this many bytes of an open call's stream.
  virtual void client_granted(CallId call, std::uint64_t bytes) = 0;
  // The client wants a direct line. The session has not noted it: the callee either calls refuse_line() at once, or
  // opened() and later refuse_line() or open_line().
  virtual void line_wanted(ClientSession& client, const ipc::OpenLineRequest& request) = 0;
  // The client reports that this call on its open line is late. `call` may be any number.
  virtual void line_call_overdue(CallId line, std::uint64_t call, LineCallLateness lateness) = 0;
  // The client wants the list of workers. The callee answers by show_workers(), now or later; until then the session
  // does not read.
  virtual void workers_wanted(ClientSession& client, std::uint64_t id) = 0;
  // The client wants statistics. The callee answers by show_stats(), now or later; until then the session does not
  // read.
  virtual void stats_wanted(ClientSession& client, std::uint64_t id) = 0;
  // The client offers to load modules. `timeout` is the longest that it wants to take for each; 0: as long as the
  // supervisor allows. The callee answers by answer_registration().
  virtual void loader_registered(ClientSession& client, std::uint64_t id, std::chrono::nanoseconds timeout) = 0;
  // The client's reply to a want_source() that was not given up; called once for each. Code has at most
  // ModuleSources::kMaxSourceBytes; its file name is not empty. File name and reason are clean UTF-8.
  virtual void source_given(ClientSession& client, std::uint64_t id, const ipc::SourceOutcome& outcome) = 0;
  // The client wants to read what modules log. The callee shows it the lines that there are, calls follow_logs() if
  // the client wants further ones, and answers by answer_subscription().
  virtual void logs_wanted(ClientSession& client, const ipc::SubscribeLogsRequest& request) = 0;
  // The client left or was disconnected. Its open calls are still in open_calls().
  virtual void client_left(ClientSession& client) = 0;
};

}  // namespace holdfast::supervisor
