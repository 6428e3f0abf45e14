// The supervisor: ties clients, modules, the scheduler and the workers together, and keeps the one promise that matters
// most: each call that was accepted gets exactly one answer. One thread; everything runs on its event loop.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "supervisor/client_session.h"
#include "supervisor/code_from_strings.h"
#include "supervisor/ids.h"
#include "supervisor/log_budget.h"
#include "supervisor/module_source.h"
#include "supervisor/scheduler.h"
#include "supervisor/turn.h"
#include "supervisor/workers.h"

namespace holdfast::supervisor {

struct SupervisorOptions {
  SchedulerOptions scheduler;
  WorkersOptions workers;
  std::chrono::nanoseconds default_timeout{};
  std::chrono::nanoseconds longest_timeout = std::chrono::hours(24);
  std::chrono::nanoseconds shutdown_grace{};
  std::size_t max_clients = 10'000;
  std::chrono::nanoseconds clock_resolution = std::chrono::microseconds(100);
  CodeFromStringsPermission code_from_strings;
};

class Supervisor final : public ClientSession::Owner, public Workers::Owner {
 public:
  // `sources` and `broker` must outlive the supervisor. `finished` is called once, when nothing is left to do: with no
  // text after begin_shutdown(), else with the reason for which the supervisor cannot work.
  Supervisor(boost::asio::io_context& io, const SupervisorOptions& options, const ModuleSources& sources,
             Broker& broker, std::function<void(std::string)> finished);
  ~Supervisor() override;

  // Starts the zygote. `ready` is called once when the first one is up.
  void start(std::function<void()> ready);

  // Serves a connected client, unless there are max_clients already: then it is told so and cut off. `left` is called
  // when it is gone.
  void add_client(Connection::Socket socket, std::function<void()> left = nullptr);

  // Answers all open calls `unavailable` and finishes at once, with this reason.
  void end(std::string reason);

  // New calls are answered `unavailable` from now on; those that are open have the grace time to finish, the rest is
  // then answered `unavailable` too. A second call does the latter at once.
  void begin_shutdown();

 private:
  // How far a worker had come: its stretches at the last look, and its answers, with the CPU time that it had used when
  // the last of them came.
  struct LateLook {
    std::uint64_t stretches = 0;
    std::uint64_t answers = 0;
    std::chrono::steady_clock::duration cpu_time{};
  };
  struct Call {
    ClientSession* client;  // null: it left; nobody waits for the answer
    std::uint64_t client_id;
    ModuleId module;
    std::string function;
    std::string payload;
    ipc::Encoding encoding;
    ipc::ArgumentStyle arguments;
    LateLook late_look;  // when its worker was last found late to give the call up
    unsigned times_late = 0;
    std::size_t held_bytes() const { return function.size() + payload.size(); }
  };
  struct Client {
    std::shared_ptr<ClientSession> session;
    std::function<void()> left;
  };

  void client_called(ClientSession& client, const ipc::CallRequest& request) override;
  void client_cancelled(ClientSession& client, CallId call) override;
  ipc::WorkerList list_workers() override;
  ipc::Stats stats() override;
  void loader_registered(ClientSession& client, std::uint64_t id, std::chrono::nanoseconds timeout) override;
  void source_given(ClientSession& client, std::uint64_t id, const ipc::SourceOutcome& outcome) override;
  void client_left(ClientSession& client) override;

  void zygote_ready() override;
  void zygote_replaced() override;
  void zygote_failed(const std::string& reason, bool fatal) override;
  void worker_forked(WorkerId worker) override;
  void worker_fork_failed(WorkerId worker, const std::string& reason) override;
  void worker_loaded(WorkerId worker) override;
  void worker_load_failed(WorkerId worker, ipc::Error error) override;
  bool worker_answered(WorkerId worker, ipc::AnswerView answer) override;
  void worker_logged(WorkerId worker, const ipc::LogLine& line) override;
  void worker_is_worn_out(WorkerId worker) override;
  void worker_stopping(WorkerId worker) override;
  void worker_ended(WorkerId worker, const WorkerEnd& end) override;

  tl::expected<ModuleId, ipc::Error> find_module(const ipc::CallRequest& request);
  // The name of a worker's module, for messages; "standby" if it has none.
  std::string module_of(WorkerId worker) const;

  // Answers the call and forgets it.
  template <typename Outcome>
  void finish(CallId call, const Outcome& outcome);
  void abandon(CallId call);

  void carry_out();
  void carry_out(const ForkWorker& decision);
  void carry_out(const LoadModule& decision);
  void carry_out(const DispatchCall& decision);
  void carry_out(const KillWorker& decision);
  void carry_out(const CallOverdue& decision);
  void carry_out(const CancelOverdue& decision);
  void carry_out(const RefuseCall& decision);

  bool everything_is_sent() const;
  void cut_off_the_silent(TimePoint now);
  void end_of_turn();
  void on_timer();
  void arm_timer();
  void finish_shutdown();
  void stop(std::string reason);

  boost::asio::io_context& io_;
  const SupervisorOptions options_;
  const Limits limits_;
  const ModuleSources& sources_;
  std::function<void(std::string)> finished_;
  std::function<void()> ready_;

  Turn turn_;
  Scheduler scheduler_;
  Workers workers_;
  Decisions decisions_;  // made, not carried out yet
  bool carrying_out_ = false;

  std::unordered_map<ClientSession*, Client> clients_;
  std::uint64_t last_client_ = 0;
  // Those that have not said hello, and by when they must.
  std::deque<std::pair<TimePoint, std::weak_ptr<ClientSession>>> newcomers_;
  std::unordered_map<CallId, Call> calls_;
  std::uint64_t last_call_ = 0;
  std::size_t held_bytes_ = 0;  // of all calls

  // Modules that were found once. Bounded by the files that the operator's directory ever had.
  std::map<ModuleName, ModuleId> module_ids_;
  std::vector<const ModuleName*> module_names_;          // by id, less one
  std::unordered_map<ModuleId, LogBudget> log_budgets_;  // a module that crashes has no more than one that lives

  boost::asio::steady_timer timer_;
  std::optional<TimePoint> timer_at_;  // when the timer fires; it is never set later, only found to be early
  std::optional<TimePoint> shutdown_at_;
  bool stopped_ = false;
};

}  // namespace holdfast::supervisor
