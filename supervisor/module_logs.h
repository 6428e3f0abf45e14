// What modules log: how much of it is accepted, who may read it, and who reads it.
//
// A module logs within its budget (LogBudget); lines beyond it are dropped. Accepted lines go to the supervisor's log,
// to the clients that follow logs, to the client of the call that logged them if it asked for that, and into a ring of
// the last lines for clients that ask later. Whoever should have had a dropped line is told how many were dropped: the
// log and its readers once a second for each module, a call's client at its next line or its answer.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "ipc/client_messages.h"
#include "ipc/worker_messages.h"
#include "supervisor/client_permission.h"
#include "supervisor/client_session.h"
#include "supervisor/log/module_log.h"
#include "supervisor/modules/modules.h"
#include "supervisor/net/turn.h"
#include "supervisor/scheduler/ids.h"
#include "supervisor/settings/allowed_users.h"

namespace holdfast::supervisor {

// An open call whose client reads what the call logs.
struct CallReader {
  ClientSession& client;
  std::uint64_t client_id;  // the client's own id for the call
  std::uint64_t& dropped;   // lines that the client should have had and has not been told of
};

// Not thread-safe. Clients, modules and calls must exist during the calls that name them. A client that follows logs
// must be reported by client_left() before it is gone.
class ModuleLogs {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // Even dropping takes time from others: for this long, nothing is to be read from a worker that floods the log.
  static constexpr std::chrono::milliseconds kFloodPause{10};
  // How long after a module's line was dropped its dropped lines are reported.
  static constexpr std::chrono::seconds kDroppedPause{1};

  // `readers` may read logs. `turn` and `modules` must outlive the object.
  ModuleLogs(const AllowedUsers& readers, Turn& turn, Modules& modules)
      : permission_(readers, "read modules' logs", "--allow-logs"), turn_(turn), modules_(modules) {}

  // --- who reads

  bool may_be_read_by(const ClientSession& client) const { return permission_.covers(client); }
  // The error for a client that may not read logs, which is logged; nullopt: the client may.
  std::optional<ipc::Error> refusal_for(const ClientSession& client) { return permission_.refusal_for(client); }
  // Answers a client that wants to read logs; see ClientRequests::logs_wanted().
  void subscribe(ClientSession& client, const ipc::SubscribeLogsRequest& request);
  void client_left(ClientSession& client);
  // From now on no client is shown lines that the log gets.
  void forget_readers() { readers_.clear(); }

  // --- lines from workers

  enum class Ruling {
    accepted,  // the line must be given to publish()
    dropped,
    flood,  // the line is dropped, and nothing must be read from its worker for kFloodPause
  };
  // Decides about a line of `module` and charges it to the module's budget. Counts the lines that the worker reports as
  // dropped, which may be any number. `call`: the open call that logged the line, if its client reads that.
  Ruling rule_on(KnownModule& module, const ipc::LogLine& line, const std::optional<CallReader>& call, TimePoint now);
  // Shows an accepted line to all who read it. `request_id` is empty if no call logged it.
  void publish(const KnownModule& module, const ipc::LogLine& line, std::string request_id,
               const std::optional<CallReader>& call);

  // --- dropped lines

  // To be called before the call is answered.
  void tell_of_dropped(const KnownModule& module, const CallReader& call) {
    if (call.dropped > 0) tell_client_of_dropped(module, call);
  }
  // Reports the module's dropped lines now, for example because its worker has ended.
  void tell_of_dropped(KnownModule& module);
  // Reports dropped lines. Call at or after next_wakeup().
  void tick(TimePoint now);
  std::optional<TimePoint> next_wakeup() const;

 private:
  void show(const ipc::LogRecord& record);
  void tell_client_of_dropped(const KnownModule& module, const CallReader& call);
  void lines_were_dropped(KnownModule& module, TimePoint now);

  ClientPermission permission_;
  Turn& turn_;
  Modules& modules_;
  ModuleLog last_lines_;
  std::set<ClientSession*> readers_;  // clients that follow logs
  // Modules with dropped lines, and when to report these. A module is in it while dropped_is_to_be_told is set.
  std::deque<std::pair<TimePoint, ModuleId>> to_tell_;
};

}  // namespace holdfast::supervisor
