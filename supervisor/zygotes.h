// Where workers come from. Keeps a zygote up and asks it for workers; replaces it by another when it has forked often
// enough or lived long enough, so that what one worker learns of the address layout and the hash seed that all children
// of a zygote share is soon worth nothing. The workers of a zygote that was replaced live on under it, and it ends with
// the last of them. With isolation by exec there are no zygotes: each worker is a program started for it.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "supervisor/ids.h"
#include "supervisor/zygote_process.h"

namespace holdfast::supervisor {

enum class Isolation {
  fork,  // a worker shares clean pages, address layout and hash seed with its siblings
  exec,  // it shares nothing, and takes longer to start and more memory
};

struct ZygotesOptions {
  Isolation isolation = Isolation::fork;
  // After so many workers that were given a module, or at this age if there was one, a zygote is replaced.
  std::size_t max_forks = 1000;
  std::chrono::steady_clock::duration max_age = std::chrono::minutes(10);
};

class Zygotes final : public ZygoteProcess::Owner {
 public:
  using Clock = std::chrono::steady_clock;

  // What comes of it. For each worker asked for: worker_forked() and later worker_exited() or worker_orphaned(), or
  // worker_fork_failed().
  class Owner {
   public:
    virtual ~Owner() = default;
    // Workers can be had, for the first time or again.
    virtual void zygote_ready() = 0;
    // Another zygote has taken over; workers from now on are unlike those before.
    virtual void zygote_replaced() = 0;
    // One died or could not be started; another try follows by itself. `fatal`: none ever was up, so there is no use.
    virtual void zygote_failed(const std::string& reason, bool fatal) = 0;
    virtual void worker_forked(WorkerId worker, std::vector<UniqueFd> fds) = 0;
    virtual void worker_fork_failed(WorkerId worker, const std::string& reason) = 0;
    // `cpu_time` is that of its whole life.
    virtual void worker_exited(WorkerId worker, int wait_status, Clock::duration cpu_time) = 0;
    // Its zygote is gone, and it is dead or about to be; how it ended will not be told.
    virtual void worker_orphaned(WorkerId worker) = 0;
  };

  Zygotes(boost::asio::io_context& io, Broker& broker, const ZygotesOptions& options, Owner& owner);
  ~Zygotes() override;

  // Starts the first zygote. With isolation by exec it only shows whether workers can be locked on this host.
  void start();

  void request(WorkerId worker);
  // The worker is given a module: what it learns of its zygote, it can tell.
  void in_use(WorkerId worker);

  // To be called at or after next_wakeup().
  void tick(Clock::time_point now);
  std::optional<Clock::time_point> next_wakeup() const;

 private:
  struct Generation {
    std::unique_ptr<ZygoteProcess> process;
    std::optional<WorkerId> single;  // isolation by exec: the one worker
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
  Broker& broker_;
  const ZygotesOptions options_;
  Owner& owner_;
  const std::size_t max_starts_under_way_;
  Generations generations_;
  Generation* current_ = nullptr;    // the zygote that is asked now; null while none is up, and with isolation by exec
  Generation* successor_ = nullptr;  // starting, to become the current one
  std::deque<WorkerId> waiting_;     // not asked for yet
  bool was_ready_ = false;           // some zygote came up, ever
  std::optional<Clock::time_point> start_at_;  // when the next zygote is to be started
  std::chrono::milliseconds start_delay_{0};
};

}  // namespace holdfast::supervisor
