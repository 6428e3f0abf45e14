// The supervisor ties clients, modules, the scheduler and the workers together, and keeps the one promise that matters
// most: each accepted call gets exactly one answer. Single-threaded: everything runs on its event loop.
//
// The invariant
//   Each call that the scheduler has accepted is in `calls_` until the scheduler forgets it. While the call's `client`
//   is set, the client waits for an answer. answer() gives the answer and clears `client` (for direct lines,
//   refuse_or_end_line() and end_line()); a client that leaves clears it, too. So there is no second answer. A call
//   leaves `calls_` only through forget(), and each path to forget() answers first if `client` is set. So there is no
//   call without an answer.
//
// What is done here, in groups. They stay together because each of them ends calls.
//   clients and calls   what clients ask for, which calls give way to others, answers  supervisor.cc
//   direct lines        a line is one long call; the calls on it are not seen here     supervisor_lines.cc
//   decisions           carries out what the scheduler decides                         supervisor_decisions.cc
//   workers' events     answers, streams, failures and ends of workers                 supervisor_workers.cc
//   time and the end    the end of a turn, the alarm, shutting down                    supervisor.cc
// What has a duty of its own knows nothing of the supervisor: Clients (who is connected), ModuleCode (where code comes
// from), ModuleLogs (what modules log), Views (lists and statistics), Crowds (who waits in full queues).
//
// Each event handler reports to the scheduler, which adds to `decisions_`, and calls carry_out() before it returns.
#pragma once

#include <boost/asio/io_context.hpp>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "supervisor/alarm.h"
#include "supervisor/call_answers.h"
#include "supervisor/client_session.h"
#include "supervisor/clients.h"
#include "supervisor/module_code.h"
#include "supervisor/module_logs.h"
#include "supervisor/modules/module_source.h"
#include "supervisor/modules/modules.h"
#include "supervisor/net/client_accounts.h"
#include "supervisor/net/turn.h"
#include "supervisor/open_call.h"
#include "supervisor/scheduler/ids.h"
#include "supervisor/scheduler/scheduler.h"
#include "supervisor/settings/allowed_users.h"
#include "supervisor/settings/code_from_strings.h"
#include "supervisor/settings/settings.h"
#include "supervisor/shares/crowds.h"
#include "supervisor/views.h"
#include "supervisor/workers/workers.h"

namespace holdfast::supervisor {

// Members that a flag sets have no default here: the command line has it (options.h).
struct SupervisorOptions {
  SchedulerOptions scheduler;
  WorkersOptions workers;
  Settings settings;  // the modules' settings
  std::chrono::nanoseconds longest_timeout{};
  std::chrono::nanoseconds shutdown_grace{};
  std::size_t max_clients = 0;
  std::uint64_t client_memory_bytes = 0;
  std::chrono::nanoseconds clock_resolution{};
  CodeFromStringsPermission code_from_strings;
  AllowedUsers loaders;
  AllowedUsers log_readers;
  std::chrono::nanoseconds loader_timeout{};
  // How much memory all standbys together may take; 0: no limit.
  std::uint64_t standby_memory_bytes = 0;
  // Clients may have direct lines to workers. WorkersOptions::direct_line must have the same value.
  bool direct_line = false;
  // Closes the file descriptors that clients send; null where clients cannot send any. Must outlive the supervisor.
  Closer* closer = nullptr;
  // How long a worker busy-polls its line for the next call before it sleeps, on machines where that pays; 0: never.
  std::chrono::nanoseconds busy_poll{0};
};

// A worker's total CPU time at some moment.
struct UseLook {
  TimePoint at{};
  Duration cpu_time{};
};

class Supervisor final : public ClientRequests, public WorkerEvents, public ZygoteEvents, public CallAnswers {
 public:
  // `sources` and `broker` must outlive the supervisor. `finished` is called once, when nothing is left to do: with an
  // empty text after begin_shutdown(), else with the reason why the supervisor cannot go on.
  Supervisor(boost::asio::io_context& io, const SupervisorOptions& options, const ModuleSources& sources,
             Broker& broker, std::function<void(std::string)> finished);
  ~Supervisor() override;

  // Starts the zygote and the workers that the settings keep warm. `ready` is called once, when the first zygote is up.
  void start(std::function<void()> ready);

  // Serves a connected client. If its place (one of max_clients, of which one user gets three quarters at most) is
  // taken and no connection can give way, the client is told so and disconnected, and `left` is not called. Else `left`
  // is called when the client is gone.
  void add_client(Connection::Socket socket, std::function<void()> left = nullptr);

  // Answers all open calls `unavailable` and finishes at once, with this reason.
  void end(std::string reason);

  // Gives the modules these settings from now on. Replaces the workers whose limits change, without dropping a call. If
  // a module would get more memory than the workers were made for, changes nothing and returns the reason.
  std::optional<std::string> apply(Settings settings);

  // To be called when these files, of modules or not, have changed; the second function when any file may have changed.
  // A module whose content differs is loaded anew; its workers finish the calls that they have.
  void module_files_changed(const std::set<std::string>& files);
  void all_module_files_may_have_changed();
  // Before a call is handled, `watch` is asked whether the file of the call's module has just changed. Must outlive the
  // supervisor's last call.
  void watch_files_by(ModuleWatch& watch) { code_.watch_files_by(watch); }

  // From now on answers new calls `unavailable`. Open calls have the grace time to finish; those left then are answered
  // `unavailable` too. A second call of begin_shutdown() answers them at once.
  void begin_shutdown();

  bool has_open_calls() const { return scheduler_.open_calls() > 0; }

  // For the event loop, which ends each turn.
  Turn& turn() { return turn_; }

 private:
  using Call = OpenCall;

  // --- clients (supervisor.cc)
  void client_called(ClientSession& client, const ipc::CallRequest& request) override;
  void client_cancelled(ClientSession& client, CallId call) override;
  void client_granted(CallId call, std::uint64_t bytes) override;
  Call& open_call(ClientSession& client, std::uint64_t client_id, const ArrivedCall& arrived, KnownModule& module,
                  std::size_t bytes, TimePoint now);
  void pass_grants_on(CallId id, Call& call);
  void workers_wanted(ClientSession& client, std::uint64_t id) override { views_.show_workers(client, id); }
  void stats_wanted(ClientSession& client, std::uint64_t id) override { views_.show_stats(client, id); }
  void loader_registered(ClientSession& client, std::uint64_t id, std::chrono::nanoseconds timeout) override;
  void source_given(ClientSession& client, std::uint64_t id, const ipc::SourceOutcome& outcome) override;
  void logs_wanted(ClientSession& client, const ipc::SubscribeLogsRequest& request) override {
    logs_.subscribe(client, request);
  }
  void client_left(ClientSession& client) override;
  tl::expected<KnownModule*, ipc::Error> find_module(std::string_view module, std::string_view version);
  // Makes room for a call of this size if memory for open calls is short: other calls of the client's user, or calls of
  // users that hold more, give way. False: no room can be made.
  bool make_room_for(const ClientSession& client, std::size_t bytes);
  bool give_way(CallId call, const ClientSession& newcomer);
  // Whether, in the queue that was full, a call of a user or client with more calls in it gave way to this client's
  // call.
  bool make_room_in_queue(const RefuseCall& refused, const ClientSession& client, CallId call,
                          const KnownModule& module);
  void answer(Call& call, const ipc::ResultView& result);
  void answer(Call& call, const ipc::Error& error);
  void note_attempts(const std::vector<CallId>& calls);
  void finish(CallId call, const ipc::Error& error) override;
  void forget(CallId call);
  void abandon(CallId call, ipc::CancelReason reason);

  // --- direct lines (supervisor_lines.cc)
  void line_wanted(ClientSession& client, const ipc::OpenLineRequest& request) override;
  void line_call_overdue(CallId line, std::uint64_t call, LineCallLateness lateness) override;
  void dispatch_line(WorkerId worker, CallId id, Call& call);
  void open_lines(WorkerId worker);
  void open_line(WorkerId worker, CallId id, Call& call);
  void refuse_or_end_line(Call& call, const ipc::Error& error);
  void give_up_line(CallId id, Call& call);
  // `error`: with which the worker ended the line; null: it ended it with a result.
  void line_answered(WorkerId worker, CallId id, Call& call, const ipc::Error* error);
  void end_line(CallId id, Call& call, const WorkerEnd& end, const Limits& limits, const std::string& guilty_function);
  void count_lines();
  void close_line(Call& call);
  void close_lines_of_withdrawn_workers();
  void look_at_lines(TimePoint now);

  // --- workers (supervisor_workers.cc)
  void zygote_ready() override;
  void zygote_replaced() override;
  void zygote_failed(const std::string& reason, ZygoteFailure failure) override;
  void worker_forked(WorkerId worker) override;
  void worker_fork_failed(WorkerId worker, const std::string& reason) override;
  void worker_prepared(WorkerId worker) override;
  void worker_loaded(WorkerId worker) override;
  void worker_load_failed(WorkerId worker, const ipc::Error& error) override;
  bool worker_answered(WorkerId worker, CallId call, const ipc::ResultView& result, Duration run) override;
  bool worker_answered(WorkerId worker, CallId call, const ipc::Error& error, Duration run) override;
  // Ends what a call that is answered holds. The worker claims to have worked on it for `run`.
  void end_answered(WorkerId worker, CallId id, const Call& call, Duration run, TimePoint now);
  bool worker_streamed(WorkerId worker, CallId call, const ipc::ResultView& value) override;
  void worker_logged(WorkerId worker, const ipc::LogLine& line) override;
  void worker_ran(WorkerId worker, CallId call, const Caller& caller, Duration time) override;
  void worker_used(WorkerId worker, Duration cpu_time) override;
  void worker_is_worn_out(WorkerId worker) override;
  void memory_is_short(std::uint64_t bytes) override;
  void memory_is_enough() override;
  void worker_stopping(WorkerId worker, CallId suspect, const std::optional<Caller>& left_by) override;
  void worker_ended(WorkerId worker, const WorkerEnd& end) override;
  // Null if the worker has no module.
  KnownModule* module_of(WorkerId worker);
  // The name of the worker's module, for messages; "standby" if the worker has none.
  std::string module_name_of(WorkerId worker);

  // --- decisions (supervisor_decisions.cc)
  void carry_out();
  void carry_out(const ForkWorker& decision);
  void carry_out(const FetchSource& decision);
  void carry_out(const LoadModule& decision);
  void carry_out(const DispatchCall& decision);
  void carry_out(const LookAtProgress& decision);
  void carry_out(const TakeCallsBack& decision);
  bool may_leave_unsent(WorkerId worker);
  void carry_out(const DrainWorker& decision);
  void carry_out(const DrainOverdue& decision);
  void carry_out(const KillWorker& decision);
  void carry_out(const CallOverdue& decision);
  void carry_out(const CancelOverdue& decision);
  bool is_stuck(Call& call, WorkerId worker);

  // --- time (supervisor.cc)
  void end_of_turn();
  void on_alarm();
  void set_alarm();
  void stop(std::string reason);

  const SupervisorOptions options_;
  Settings settings_;
  std::function<void(std::string)> finished_;
  std::function<void()> ready_;

  Turn turn_;
  Scheduler scheduler_;
  Workers workers_;
  // Decisions that are made and not yet carried out. Each event handler carries them out before it returns, because the
  // next event may be the end of a worker that they are about.
  Decisions decisions_;
  bool carrying_out_ = false;

  const std::shared_ptr<ClientAccounts> accounts_;
  // When to look for clients and workers that send part of a frame, and for clients that read nothing.
  std::optional<TimePoint> look_for_stalled_at_;
  Clients clients_;
  std::unordered_map<CallId, Call> calls_;
  std::uint64_t last_call_ = 0;
  Crowds crowds_;
  std::set<WorkerId> left_unsent_;  // workers that may still be sent parts of calls that were taken back
  std::unordered_map<WorkerId, UseLook> drain_looks_;  // workers that drain, and some that drained
  std::set<CallId> lines_;                             // open lines
  std::uint64_t withdrawals_seen_ = 0;
  std::optional<TimePoint> look_at_lines_at_;  // to close idle lines

  Modules modules_;
  ModuleCode code_;
  bool standbys_measured_ = false;
  ModuleLogs logs_;
  Views views_;

  Alarm alarm_;
  // When to release the memory of large frames that have left.
  std::optional<TimePoint> release_memory_at_;
  std::optional<TimePoint> shutdown_at_;
  bool stopped_ = false;
};

}  // namespace holdfast::supervisor
