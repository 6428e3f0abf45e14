// Where workers come from. Keeps a zygote up and asks it for workers. All children of a zygote share its address
// layout and its hash seed. So a zygote is replaced when it has forked often enough or lived long enough, and what a
// worker learns of the two is soon worth nothing. The workers of a replaced zygote live on, and the zygote ends with
// the last of them. With isolation by exec there are no zygotes: each worker is a program of its own.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "supervisor/net/turn.h"
#include "supervisor/scheduler/ids.h"
#include "supervisor/workers/zygote_process.h"

namespace holdfast::supervisor {

enum class Isolation {
  fork,  // a worker shares clean pages, address layout and hash seed with its siblings
  exec,  // a worker shares nothing with others, but takes longer to start, and more memory
};

struct ZygotesOptions {
  Isolation isolation = Isolation::fork;
  // A zygote is replaced after max_forks of its workers were given a module, or at max_age if at least one was.
  std::size_t max_forks = 1000;
  std::chrono::steady_clock::duration max_age = std::chrono::minutes(10);
};

enum class ZygoteFailure {
  passing,  // another try follows by itself
  final,    // no zygote ever came up: another try follows, but will not help
};

// Whether workers can be had.
class ZygoteEvents {
 public:
  virtual ~ZygoteEvents() = default;
  // Workers can be had, for the first time or again.
  virtual void zygote_ready() = 0;
  // Another zygote has taken over; new workers have another address layout and hash seed.
  virtual void zygote_replaced() = 0;
  // A zygote died or could not be started.
  virtual void zygote_failed(const std::string& reason, ZygoteFailure failure) = 0;
};

// What comes of requests. For each requested worker: worker_forked() and later worker_exited() or worker_orphaned(), or
// worker_fork_failed().
class ForkEvents {
 public:
  virtual ~ForkEvents() = default;
  virtual void worker_forked(WorkerId worker, std::vector<UniqueFd> fds) = 0;
  virtual void worker_fork_failed(WorkerId worker, const std::string& reason) = 0;
  // `cpu_time` is that of the worker's whole life.
  virtual void worker_exited(WorkerId worker, int wait_status, std::chrono::steady_clock::duration cpu_time) = 0;
  // The worker's zygote is gone, and the worker is dead or about to be. How it ended will not be told.
  virtual void worker_orphaned(WorkerId worker) = 0;
};

class Zygotes final : public ZygoteProcessEvents {
 public:
  using Clock = std::chrono::steady_clock;

  // `turn`, `broker`, `events` and `forks` must outlive the object. A turn in which next_wakeup() becomes earlier ends.
  Zygotes(boost::asio::io_context& io, Turn& turn, Broker& broker, const ZygotesOptions& options, ZygoteEvents& events,
          ForkEvents& forks);
  ~Zygotes() override;

  // Starts the first zygote. With isolation by exec, this zygote only shows whether workers can be locked down on
  // this host.
  void start();

  void request(WorkerId worker);
  // The worker is given a module. From now on, the module can tell others what it learns of the zygote.
  void in_use(WorkerId worker);

  // How often another zygote has taken over from one that still ran. What was measured at a worker before holds for
  // later workers as long as this stays the same.
  std::uint64_t replacements() const { return replacements_; }

  // Call at or after next_wakeup().
  void tick(Clock::time_point now);
  std::optional<Clock::time_point> next_wakeup() const;

 private:
  struct Generation {
    std::unique_ptr<ZygoteProcess> process;
    std::optional<WorkerId> single;  // its only worker, with isolation by exec
    bool ready = false;
    Clock::time_point ready_at;
    std::size_t used = 0;                    // workers that were given a module
    std::unordered_set<WorkerId> asked_for;  // forks under way
    std::unordered_set<WorkerId> workers;
    Clock::time_point progress_at;
  };
  using Generations = std::list<Generation>;

  void zygote_said(ZygoteProcess& zygote, ipc::ZygoteReply reply, std::vector<UniqueFd> fds) override;
  void zygote_died(ZygoteProcess& zygote, std::string reason) override;

  Generations::iterator generation_of(const ZygoteProcess& zygote);
  void became_ready(Generations::iterator generation);
  void died(Generations::iterator generation, const std::string& reason);
  void start_generation(std::optional<WorkerId> single);
  void retry_later();
  void serve_requests();
  void replace_if_due(Clock::time_point now);
  void end_if_done(Generations::iterator generation);
  static std::optional<Clock::time_point> stuck_at(const Generation& generation);

  boost::asio::io_context& io_;
  Turn& turn_;
  Broker& broker_;
  const ZygotesOptions options_;
  ZygoteEvents& events_;
  ForkEvents& forks_;
  const std::size_t max_starts_under_way_;
  Generations generations_;
  Generation* current_ = nullptr;    // gets the requests; null while none is up, and with isolation by exec
  Generation* successor_ = nullptr;  // starting; becomes the current one
  std::uint64_t replacements_ = 0;
  std::deque<WorkerId> waiting_;               // not requested from a zygote yet
  bool was_ready_ = false;                     // a zygote has come up at some time
  std::optional<Clock::time_point> start_at_;  // when to start the next zygote
  std::chrono::milliseconds start_delay_{0};
};

}  // namespace holdfast::supervisor
