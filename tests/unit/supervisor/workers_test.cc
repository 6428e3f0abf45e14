// The supervisor's view of worker processes, without a real program: the test plays the zygote and the worker.
#include "supervisor/workers/workers.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ipc/base/pidfd.h"
#include "ipc/shared_page.h"
#include "ipc/worker_messages.h"
#include "ipc/worker_status.h"
#include "supervisor/net/event_loop.h"

namespace holdfast::supervisor {
namespace {

constexpr WorkerId kWorker{1};

// A process that has ended but keeps its pid, so signals to it do nothing.
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

// Counts the workers that are reported as prepared, and keeps the report of one that has ended.
struct HeardOfWorkers final : WorkerEvents, ZygoteEvents {
  void zygote_ready() override {}
  void zygote_replaced() override {}
  void zygote_failed(const std::string&, ZygoteFailure) override {}
  void worker_forked(WorkerId) override {}
  void worker_prepared(WorkerId) override { ++prepared; }
  void worker_fork_failed(WorkerId, const std::string&) override {}
  void worker_loaded(WorkerId) override {}
  void worker_load_failed(WorkerId, const ipc::Error&) override {}
  bool worker_answered(WorkerId, CallId, const ipc::ResultView&, Workers::Clock::duration) override { return true; }
  bool worker_answered(WorkerId, CallId, const ipc::Error&, Workers::Clock::duration) override { return true; }
  bool worker_streamed(WorkerId, CallId, const ipc::ResultView&) override { return false; }
  void worker_ran(WorkerId, CallId, const Caller&, Workers::Clock::duration) override {}
  void worker_logged(WorkerId, const ipc::LogLine&) override {}
  void worker_used(WorkerId, Workers::Clock::duration) override {}
  void worker_is_worn_out(WorkerId) override {}
  void memory_is_short(std::uint64_t) override {}
  void memory_is_enough() override {}
  void worker_stopping(WorkerId, CallId, const std::optional<Caller>&) override {}
  void worker_ended(WorkerId, const WorkerEnd& end) override { ended = end; }

  int prepared = 0;
  std::optional<WorkerEnd> ended;
};

// One worker with a direct line, beginning with its fork.
struct Scene {
  Scene() {
    REQUIRE(broker.has_value());
    // Like the supervisor, asks for the next wakeup at the end of each turn.
    turn.set_last([&] { wakeup = workers.next_wakeup(); });
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    socket = UniqueFd(ends[0]);
    UniqueFd page_file = sealed_page();
    void* const memory = ::mmap(nullptr, ipc::kSharedPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, page_file.get(), 0);
    REQUIRE(memory != MAP_FAILED);
    page = static_cast<ipc::SharedPage*>(memory);
    std::vector<UniqueFd> fds;
    fds.push_back(process.pidfd());
    fds.emplace_back(ends[1]);
    fds.push_back(std::move(page_file));
    fds.emplace_back(::open("/dev/null", O_RDWR | O_CLOEXEC));  // the line
    workers.fork(kWorker);
    zygote.worker_forked(kWorker, std::move(fds));
    run_ready(io, turn);
  }
  ~Scene() { ::munmap(page, ipc::kSharedPageBytes); }
  Scene(const Scene&) = delete;
  Scene& operator=(const Scene&) = delete;

  // Sends a message as the worker.
  template <typename Message>
  void say(const Message& message) {
    ipc::OutputBuffer out;
    encode(out, message);
    REQUIRE(::write(socket.get(), out.data().data(), out.data().size()) > 0);
    run_ready(io, turn);
  }
  // Sets what the worker's page says it runs.
  void run(std::uint64_t number) {
    page->running = number;
    ++page->stretch_count;
  }
  void load() {
    say(ipc::WorkerReady{});
    workers.load(kWorker, {.module = "m", .version = "v1"},
                 {.stretch = std::chrono::hours(1), .memory_bytes = 1 << 30});
    run(ipc::SharedPage::kLoading);
    say(ipc::Loaded{});
    run(ipc::SharedPage::kNothing);
  }
  WorkerEnd end() {
    zygote.worker_exited(kWorker, 0, {});
    socket = UniqueFd();
    run_ready(io, turn);
    REQUIRE(heard.ended.has_value());
    return *heard.ended;
  }

  boost::asio::io_context io;
  Turn turn;
  const tl::expected<std::unique_ptr<Broker>, std::string> broker = Broker::start({});
  const Zombie process;
  HeardOfWorkers heard;
  Workers workers{io, turn, **broker, {.direct_line = true}, heard, heard};
  ForkEvents& zygote = workers;
  std::optional<Workers::Clock::time_point> wakeup;
  UniqueFd socket;
  ipc::SharedPage* page = nullptr;
};

TEST_CASE("a paused worker is read again at the named time even if nothing else happens") {
  Scene scene;
  REQUIRE_FALSE(scene.wakeup.has_value());
  const auto until = Workers::Clock::now() + std::chrono::hours(1);
  scene.workers.hold(kWorker, until);
  scene.say(ipc::WorkerReady{});
  CHECK(scene.wakeup == until);
  scene.workers.tick(until - std::chrono::nanoseconds(1));
  run_ready(scene.io, scene.turn);
  CHECK(scene.heard.prepared == 0);
  scene.workers.tick(until);
  run_ready(scene.io, scene.turn);
  CHECK(scene.heard.prepared == 1);
}

constexpr Caller kFirst{UserId{1}, ClientId{1}, FunctionId{5}};
constexpr Caller kSecond{UserId{2}, ClientId{2}, FunctionId{5}};

// The calls' numbers on the worker, which gets them in this order.
constexpr std::uint64_t kFirstNumber = ipc::SharedPage::number_of(1, 0);
constexpr std::uint64_t kSecondNumber = ipc::SharedPage::number_of(2, 1);

TEST_CASE("the fatal report of a stopped worker counts if it is about the stretch for which it was stopped") {
  Scene scene;
  scene.load();
  scene.workers.call(kWorker, {.id = 100, .function = "f"}, kFirst);
  scene.workers.call(kWorker, {.id = 200, .function = "f"}, kSecond);
  scene.run(kFirstNumber);
  scene.workers.stop(kWorker, EndCause::deadline_exceeded, CallId{100}, scene.workers.process(kWorker)->stretch());

  SUBCASE("a function of the second's was at work in a stretch of the first's") {
    scene.say(ipc::Stopped{ipc::StopReason::soft_stop, kSecondNumber, "at second", ""});
    const WorkerEnd end = scene.end();
    CHECK(end.guilty == CallId{200});
    CHECK(end.seen_caller == kFirst);
    CHECK(end.said_caller == kSecond);
    CHECK(end.stack == "at second");
  }
  SUBCASE("the second call has begun and met what the worker is stopped by") {
    scene.run(kSecondNumber);
    SUBCASE("") {}
    SUBCASE("and the first was answered") {
      ipc::OutputBuffer answer;
      ipc::encode_worker_result(answer, kFirstNumber, {ipc::as_bytes("1"), ipc::Encoding::json});
      REQUIRE(::write(scene.socket.get(), answer.data().data(), answer.data().size()) > 0);
      run_ready(scene.io, scene.turn);
    }
    scene.say(ipc::Stopped{ipc::StopReason::soft_stop, kSecondNumber, "at second", "while second"});
    const WorkerEnd end = scene.end();
    CHECK(end.guilty == CallId{100});
    CHECK(end.seen_caller == kFirst);
    CHECK_FALSE(end.said_caller.has_value());
    CHECK(end.stack == "");
    CHECK(end.detail == ipc::kBetweenStretches);
  }
}

// The worker goes on between the look at its page and the stop.
TEST_CASE("a worker is stopped for what was found on its page, whatever it does by then") {
  Scene scene;
  scene.load();
  scene.workers.call(kWorker, {.id = 100, .function = "f"}, kFirst);
  scene.workers.call(kWorker, {.id = 200, .function = "f"}, kSecond);
  for (const std::uint64_t number : {kFirstNumber, kSecondNumber}) {
    ipc::OutputBuffer answer;
    ipc::encode_worker_result(answer, number, {ipc::as_bytes("1"), ipc::Encoding::json});
    REQUIRE(::write(scene.socket.get(), answer.data().data(), answer.data().size()) > 0);
    run_ready(scene.io, scene.turn);
  }
  scene.run(kFirstNumber);
  const StretchView found = scene.workers.process(kWorker)->stretch();
  CHECK(found.running == ipc::SharedPage::kBackground);
  scene.run(kSecondNumber);
  scene.workers.stop(kWorker, EndCause::cpu_exceeded, CallId{found.running}, found);
  scene.say(ipc::Stopped{ipc::StopReason::soft_stop, kSecondNumber, "at second", ""});
  const WorkerEnd end = scene.end();
  CHECK(end.seen_caller == kFirst);
  CHECK_FALSE(end.said_caller.has_value());
}

TEST_CASE("no caller is blamed for what runs when a worker is killed for no call") {
  Scene scene;
  scene.load();
  scene.workers.call(kWorker, {.id = 100, .function = "f"}, kFirst);
  ipc::OutputBuffer answer;
  ipc::encode_worker_result(answer, kFirstNumber, {ipc::as_bytes("1"), ipc::Encoding::json});
  REQUIRE(::write(scene.socket.get(), answer.data().data(), answer.data().size()) > 0);
  run_ready(scene.io, scene.turn);
  scene.run(kFirstNumber);  // what the call left behind
  scene.workers.kill(kWorker, EndCause::ignored_cancel);
  CHECK_FALSE(scene.end().seen_caller.has_value());
}

TEST_CASE("further requests for a line do not change its owner") {
  constexpr std::uint64_t kOnLine = ipc::SharedPage::kLineBit | 1;
  Scene scene;
  scene.load();
  for (const std::uint64_t call : {100, 200}) scene.workers.open_line(kWorker, {.call = call});
  const WorkerProcess& process = *scene.workers.process(kWorker);
  CHECK_FALSE(process.caller_of(kOnLine).has_value());
  CHECK(scene.workers.take_line(kWorker, CallId{100}, kFirst));
  CHECK_FALSE(scene.workers.take_line(kWorker, CallId{200}, kSecond));
  CHECK(process.caller_of(kOnLine) == kFirst);
  scene.end();
}

TEST_CASE("a kill for a call on a line is blamed on the client of the line whatever the worker does then") {
  Scene scene;
  scene.load();
  scene.workers.call(kWorker, {.id = 100, .function = "f"}, kSecond);
  scene.workers.open_line(kWorker, {.call = 200});
  REQUIRE(scene.workers.take_line(kWorker, CallId{200}, kFirst));
  ipc::OutputBuffer answer;
  ipc::encode_worker_result(answer, kFirstNumber, {ipc::as_bytes("1"), ipc::Encoding::json});
  REQUIRE(::write(scene.socket.get(), answer.data().data(), answer.data().size()) > 0);
  run_ready(scene.io, scene.turn);
  scene.run(kFirstNumber);  // what the second client's call left behind
  scene.workers.kill(kWorker, EndCause::ignored_cancel, "", CallId{200});
  CHECK(scene.end().seen_caller == kFirst);
}

}  // namespace
}  // namespace holdfast::supervisor
