#include "worker/process/zygote.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unordered_map>

#include "ipc/base/pidfd.h"
#include "ipc/base/process_signals.h"
#include "ipc/base/unique_fd.h"
#include "ipc/packet.h"
#include "ipc/worker_messages.h"
#include "ipc/worker_status.h"
#include "sandbox/hardening.h"
#include "sandbox/namespaces.h"
#include "sandbox/privileges.h"
#include "sandbox/process_state.h"
#include "worker/plain/broken.h"
#include "worker/process/code_pages.h"
#include "worker/process/lock_down.h"
#include "worker/process/oom_score.h"
#include "worker/process/priority.h"
#include "worker/process/unused_libraries.h"
#include "worker/process/zygote_start.h"
#include "worker/v8/fatal_report.h"
#include "worker/v8/native_memory.h"
#include "worker/v8/page_allocator.h"
#include "worker/v8/warm_up.h"

namespace holdfast::worker {
namespace {

// On top of a module's memory limit: V8's young generation and code, the stack, what the worker itself needs, and
// room for V8 to notice that the limit is reached.
constexpr std::uint64_t kMemoryHeadroom = std::uint64_t{96} << 20;

// V8 also reserves address space that it never touches: for WebAssembly's memories, and a little elsewhere.
constexpr std::uint64_t kAddressSpaceHeadroom = kMemoryHeadroom + (std::uint64_t{16} << 20);

// V8 limits its stack to 900 kB. Below that come its own code and signal handlers.
constexpr std::uint64_t kStackBytes = std::uint64_t{8} << 20;

void send(BorrowedFd control, const ipc::ZygoteReply& message, std::span<const BorrowedFd> fds = {}) {
  ipc::OutputBuffer out;
  encode(out, message);
  if (!ipc::send_packet(control, out.data(), fds)) ::_exit(0);  // the supervisor is gone
}

[[noreturn]] void say_and_exit(BorrowedFd control, std::string reason, int status = 1) {
  // If even this fails, the supervisor sees the socket close.
  send(control, ipc::ZygoteFailed{std::move(reason)});
  ::_exit(status);
}

// For what fails where no control socket is at hand.
BorrowedFd control_of_process;

void say_broken(std::string_view expected) {
  say_and_exit(control_of_process, "broken invariant: expected that " + std::string(expected));
}

std::string failure_of(const char* call) { return std::string(call) + ": " + std::strerror(errno); }

class Zygote {
 public:
  Zygote(UniqueFd control, Engine& engine, const Lockdown& lockdown, const OomScore& oom_score);

  // Serves until the supervisor closes its end.
  void serve();

 private:
  struct Child {
    pid_t pid;
    WorkerChannel channel;
  };
  bool serve_request();
  tl::expected<Child, std::string> spawn();
  tl::expected<void, std::string> fork_worker(std::uint64_t worker);
  void try_lock();
  void reap();

  const UniqueFd control_;
  UniqueFd child_signals_;
  Engine& engine_;
  const Lockdown& lockdown_;
  const OomScore& oom_score_;
  const pid_t pid_ = ::getpid();
  std::unordered_map<pid_t, std::uint64_t> workers_;
};

Zygote::Zygote(UniqueFd control, Engine& engine, const Lockdown& lockdown, const OomScore& oom_score)
    : control_(std::move(control)), engine_(engine), lockdown_(lockdown), oom_score_(oom_score) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  child_signals_.reset(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!child_signals_) say_and_exit(control_, failure_of("signalfd"));
}

void Zygote::serve() {
  try_lock();
  send(control_, ipc::ZygoteReady{});
  std::array<pollfd, 2> wanted = {{{control_.get(), POLLIN, 0}, {child_signals_.get(), POLLIN, 0}}};
  for (;;) {
    if (::poll(wanted.data(), wanted.size(), -1) < 0) {
      if (errno == EINTR) continue;
      say_and_exit(control_, failure_of("poll"));
    }
    if (wanted[1].revents != 0) {
      signalfd_siginfo drained;
      while (::read(child_signals_.get(), &drained, sizeof drained) > 0) {
      }
      reap();
    }
    if (wanted[0].revents != 0 && !serve_request()) return;
  }
}

bool Zygote::serve_request() {
  alignas(ipc::Word) std::array<std::byte, ipc::kMaxPacketBytes> buffer;
  const auto packet = ipc::receive_packet(control_, buffer);
  if (packet && packet->bytes == 0) return false;  // the supervisor closed its end, or is gone
  const auto expect_request = [&](const std::string& received) {
    say_and_exit(control_, "expected that a packet is a request: " + received, ipc::kProtocolBrokenStatus);
  };
  if (!packet) expect_request(packet.error().message());
  const auto request = ipc::decode_packet(std::span(buffer).first(packet->bytes), ipc::decode_zygote_request);
  if (!request) expect_request(request.error().message);
  if (auto forked = fork_worker(request->worker); !forked) {
    send(control_, ipc::WorkerForkFailed{request->worker, forked.error()});
  }
  return true;
}

tl::expected<Zygote::Child, std::string> Zygote::spawn() {
  auto channel = WorkerChannel::open(lockdown_.sockets);
  if (!channel) return tl::unexpected(channel.error());
  // A worker has no /proc, so it inherits its score.
  oom_score_.set(OomScore::kOfWorker);
  const pid_t pid = ::fork();
  if (pid != 0) oom_score_.set(OomScore::kOfZygote);
  if (pid < 0) return tl::unexpected(failure_of("fork"));
  if (pid == 0) become_worker(engine_, lockdown_, *channel, pid_);
  channel->drop_ours();
  return Child{pid, std::move(*channel)};
}

tl::expected<void, std::string> Zygote::fork_worker(std::uint64_t worker) {
  auto child = spawn();
  if (!child) return tl::unexpected(child.error());
  workers_.emplace(child->pid, worker);
  const UniqueFd process = open_pidfd(child->pid);
  if (!process) {
    const std::string reason = failure_of("pidfd_open");
    ::kill(child->pid, SIGKILL);
    return tl::unexpected(reason);
  }
  send(control_, ipc::WorkerForked{worker}, child->channel.descriptors_of(process));
  return {};
}

// Forks a worker and makes it end at once: a layer that cannot be set up shows now, and not at the first call.
void Zygote::try_lock() {
  auto child = spawn();
  if (!child) say_and_exit(control_, child.error());
  ::shutdown(child->channel.theirs.get(), SHUT_WR);
  int status = 0;
  while (::waitpid(child->pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  std::string reason = "a worker cannot be locked down";
  ipc::FrameReader in;
  const auto space = in.prepare();
  const ssize_t count = ::recv(child->channel.theirs.get(), space.data(), space.size(), MSG_DONTWAIT);
  if (count > 0) in.commit(static_cast<std::size_t>(count));
  if (const auto frame = in.next(); frame && frame->has_value()) {
    const auto message = ipc::decode_worker_message(**frame);
    const auto* stopped = message ? std::get_if<ipc::Stopped>(&*message) : nullptr;
    if (stopped != nullptr) reason += ": " + std::string(stopped->detail);
  }
  say_and_exit(control_, reason);
}

void Zygote::reap() {
  int status;
  pid_t pid;
  rusage usage;
  while ((pid = ::wait4(-1, &status, WNOHANG, &usage)) > 0) {
    const auto found = workers_.find(pid);
    if (found == workers_.end()) continue;
    send(control_, ipc::WorkerExited{found->second, status, cpu_time(usage)});
    workers_.erase(found);
  }
}

// Discards what V8 prints before it ends the process, without a system call.
void swallow_output() {
  cookie_io_functions_t functions{};
  functions.write = [](void*, const char*, std::size_t size) { return static_cast<ssize_t>(size); };
  for (FILE** stream : {&stdout, &stderr}) {
    FILE* nowhere = ::fopencookie(nullptr, "w", functions);
    if (nowhere == nullptr) continue;
    std::setvbuf(nowhere, nullptr, _IONBF, 0);
    *stream = nowhere;
  }
}

[[noreturn]] void become_single_worker(BorrowedFd control, std::uint64_t worker, Engine& engine,
                                       const Lockdown& lockdown) {
  auto channel = WorkerChannel::open(lockdown.sockets);
  const UniqueFd self = open_pidfd(::getpid());
  if (!channel) say_and_exit(control, channel.error());
  if (!self) say_and_exit(control, failure_of("pidfd_open"));
  send(control, ipc::WorkerForked{worker}, channel->descriptors_of(self));
  become_worker(engine, lockdown, *channel, ::getppid());
}

}  // namespace

std::chrono::nanoseconds cpu_time(const rusage& usage) {
  const auto of = [](const timeval& time) {
    return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

void give_up(const ZygoteOptions& options, const std::string& reason) {
  say_and_exit(BorrowedFd(options.control_fd), reason);
}

void require(const ZygoteOptions& options, const sandbox::SetupResult& result) {
  if (result || options.allow_missing.contains(result.error().layer)) return;
  say_and_exit(BorrowedFd(options.control_fd), result.error().layer + ": " + result.error().message);
}

// --- the start -----------------------------------------------------------------------------------------------------

namespace {

template <typename Value>
Value value_of(const ZygoteOptions& options, tl::expected<Value, sandbox::SetupError> result) {
  if (!result) give_up(options, result.error().layer + ": " + result.error().message);
  return *std::move(result);
}

void require_offered(const ZygoteOptions& options, const tl::expected<sandbox::Offered, sandbox::SetupError>& result) {
  if (!result) require(options, tl::unexpected(result.error()));
}

}  // namespace

ZygoteStart::ZygoteStart(const ZygoteOptions& options) : options_(options) {
  const auto closed = sandbox::close_all_descriptors_except(options_.control_fd);
  if (closed) options_.control_fd = sandbox::kKeptDescriptor;
  require(options_, closed);
  control_of_process = BorrowedFd(options_.control_fd);
  tell_broken_by(say_broken);
  sandbox::clear_environment();
  ::setenv("TZ", "UTC", 1);  // no module learns the host's time zone
  swallow_output();
  require(options_, sandbox::new_session());
  lower_priority_of_session();
  require(options_, sandbox::reset_signals());
  // The first process of a pid namespace ignores them anyway; where namespaces are missing it does not.
  for (int signal : ipc::kSupervisorsSignals) ::signal(signal, SIG_IGN);
  require(options_, sandbox::die_with_parent(SIGKILL));
  oom_score_.emplace().set(options_.single_worker ? OomScore::kOfWorker : OomScore::kOfZygote);
}

// V8 and ICU read files of the host when they start; nothing does after seal_root().
EngineOptions ZygoteStart::engine_options() const {
  return {.memory_bytes = options_.memory_bytes, .jitless = options_.profile == sandbox::Profile::strict};
}

void ZygoteStart::seal_off(Engine& engine) {
  warm_up(engine);
  // A single worker is not forked from this process; it is this process.
  if (!options_.single_worker) prefault_code_pages([&] { make_first_call(engine); });
  engine.settle_heap();
  lockdown_.allow_missing = options_.allow_missing;
  if (options_.direct_line) lockdown_.sockets = WorkerSockets::with_direct_line;
  lockdown_.limits.stack_bytes = kStackBytes;
  lockdown_.limits.cpu_time = options_.cpu_time;
  lockdown_.limits.data_bytes =
      value_of(options_, sandbox::data_bytes_in_use()) + options_.memory_bytes + kMemoryHeadroom;
  lockdown_.limits.address_space_bytes =
      value_of(options_, sandbox::address_space_bytes_in_use()) + options_.memory_bytes + kAddressSpaceHeadroom;
  // Without executable memory there is no WebAssembly.
  if (options_.profile == sandbox::Profile::jit) lockdown_.limits.address_space_bytes += kMaxReservedBytes;
  require_offered(options_, sandbox::seal_code());
  if (options_.restrict_speculation) require_offered(options_, sandbox::restrict_speculation());
  require(options_, sandbox::seal_root());
  require(options_, sandbox::drop_privileges());
}

void ZygoteStart::serve(Engine& engine, tl::expected<sandbox::SeccompProgram, sandbox::SetupError> filter) {
  lockdown_.filter = value_of(options_, std::move(filter));
  leave_unused_libraries_behind();
  prepare_fatal_report(engine);
  give_back_free_pages();  // so that of the blocks used up next only the edges are resident
  use_up_free_blocks();
  const BorrowedFd control(options_.control_fd);
  if (options_.single_worker) become_single_worker(control, *options_.single_worker, engine, lockdown_);
  Zygote(UniqueFd(control.get()), engine, lockdown_, *oom_score_).serve();
  ::_exit(0);
}

void run_zygote(const ZygoteOptions& options) {
  ZygoteStart start(options);
  Engine engine(start.engine_options());
  start.seal_off(engine);
  start.serve(engine, sandbox::compile(sandbox::policy(options.profile)));
}

}  // namespace holdfast::worker
