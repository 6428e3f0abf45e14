// Worker processes as the supervisor holds them, without a program: the test is the zygote, and the worker.
#include "supervisor/workers.h"

#include <chrono>
#include <cstdint>
#include <fcntl.h>
#include <memory>
#include <optional>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "ipc/pidfd.h"
#include "ipc/shared_page.h"
#include "ipc/worker_messages.h"
#include "supervisor/event_loop.h"

namespace holdfast::supervisor {
namespace {

constexpr WorkerId kWorker{1};

// Has ended, and keeps its pid: signals to it do nothing.
class Zombie {
 public:
  Zombie() : pid_(::fork()) {
    if (pid_ == 0) ::_exit(0);
    REQUIRE(pid_ > 0);
  }
  ~Zombie() { ::waitpid(pid_, nullptr, 0); }
  Zombie(const Zombie&) = delete;
  Zombie& operator=(const Zombie&) = delete;

  UniqueFd pidfd() const { return open_pidfd(pid_); }

 private:
  const pid_t pid_;
};

UniqueFd sealed_page() {
  UniqueFd page(::memfd_create("page", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  REQUIRE(::ftruncate(page.get(), ipc::kSharedPageBytes) == 0);
  REQUIRE(::fcntl(page.get(), F_ADD_SEALS, F_SEAL_SHRINK) == 0);
  return page;
}

// Counts how often it hears of a worker that is prepared.
struct OwnerOfWorkers final : Workers::Owner {
  void zygote_ready() override {}
  void zygote_replaced() override {}
  void zygote_failed(const std::string&, bool) override {}
  void worker_forked(WorkerId) override {}
  void worker_prepared(WorkerId) override { ++prepared; }
  void worker_fork_failed(WorkerId, const std::string&) override {}
  void worker_loaded(WorkerId) override {}
  void worker_load_failed(WorkerId, ipc::Error) override {}
  bool worker_answered(WorkerId, ipc::AnswerView) override { return false; }
  bool worker_streamed(WorkerId, const ipc::ChunkView&) override { return false; }
  void worker_ran(WorkerId, const Caller&, Workers::Clock::duration) override {}
  void worker_logged(WorkerId, const ipc::LogLine&) override {}
  void worker_used(WorkerId, Workers::Clock::duration) override {}
  void worker_is_worn_out(WorkerId) override {}
  void memory_is_short(std::uint64_t) override {}
  void memory_is_enough() override {}
  void worker_stopping(WorkerId, CallId, const std::optional<Caller>&) override {}
  void worker_ended(WorkerId, const WorkerEnd&) override {}

  int prepared = 0;
};

TEST_CASE("a worker that is held is read again at the time that was said, though nothing else happens before") {
  boost::asio::io_context io;
  Turn turn;
  const auto broker = Broker::start({});
  REQUIRE(broker.has_value());
  const Zombie process;
  OwnerOfWorkers owner;
  Workers workers(io, turn, **broker, {}, owner);
  // As the supervisor does, which arms its timer when a turn ends.
  std::optional<Workers::Clock::time_point> wakeup;
  turn.set_last([&] { wakeup = workers.next_wakeup(); });

  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
  const UniqueFd worker(ends[0]);
  std::vector<UniqueFd> fds;
  fds.push_back(process.pidfd());
  fds.emplace_back(ends[1]);
  fds.push_back(sealed_page());
  workers.fork(kWorker);
  Zygotes::Owner& zygote = workers;
  zygote.worker_forked(kWorker, std::move(fds));
  run_ready(io, turn);
  REQUIRE_FALSE(wakeup.has_value());

  const auto until = Workers::Clock::now() + std::chrono::hours(1);
  workers.hold(kWorker, until);
  ipc::OutputBuffer message;
  encode(message, ipc::WorkerReady{});
  REQUIRE(::write(worker.get(), message.data().data(), message.data().size()) > 0);
  run_ready(io, turn);
  CHECK(wakeup == until);
  workers.tick(until - std::chrono::nanoseconds(1));
  run_ready(io, turn);
  CHECK(owner.prepared == 0);
  workers.tick(until);
  run_ready(io, turn);
  CHECK(owner.prepared == 1);
}

}  // namespace
}  // namespace holdfast::supervisor
