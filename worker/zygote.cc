#include "worker/zygote.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "ipc/pidfd.h"
#include "ipc/shared_page.h"
#include "ipc/worker_status.h"
#include "sandbox/namespaces.h"
#include "sandbox/privileges.h"
#include "sandbox/process_state.h"
#include "worker/last_words.h"
#include "worker/page_allocator.h"
#include "worker/warm_up.h"
#include "worker/worker.h"

namespace holdfast::worker {
namespace {

// On top of a module's memory limit: V8's young generation and code, the stack, what the worker itself needs, and room
// for V8 to notice that the limit is reached.
constexpr std::uint64_t kMemoryHeadroom = std::uint64_t{96} << 20;

// Besides, V8 reserves address space that it never touches: for WebAssembly's memories, and a little elsewhere.
constexpr std::uint64_t kAddressSpaceHeadroom = kMaxReservedBytes + kMemoryHeadroom + (std::uint64_t{16} << 20);

// V8 ends its stack at 900 kB; below that come its own code and the handlers of signals.
constexpr std::uint64_t kStackBytes = std::uint64_t{8} << 20;

[[noreturn]] void say_and_exit(int control, std::string reason) {
  ipc::OutputBuffer out;
  encode(out, ipc::ZygoteReply(ipc::ZygoteFailed{std::move(reason)}));
  // Should even this fail, the supervisor sees the socket close.
  (void)ipc::send_packet(control, out.data(), {});
  ::_exit(1);
}

void require(int control, const sandbox::SetupResult& result) {
  if (!result) say_and_exit(control, result.error().layer + ": " + result.error().message);
}

template <typename T>
T require(int control, tl::expected<T, sandbox::SetupError> result) {
  if (!result) say_and_exit(control, result.error().layer + ": " + result.error().message);
  return std::move(*result);
}

std::string failed(const char* call) { return std::string(call) + ": " + std::strerror(errno); }

class UniqueMapping {
 public:
  explicit UniqueMapping(void* address) : address_(address) {}
  ~UniqueMapping() { if (address_ != MAP_FAILED) ::munmap(address_, ipc::kSharedPageBytes); }
  UniqueMapping(const UniqueMapping&) = delete;
  UniqueMapping& operator=(const UniqueMapping&) = delete;
  void* get() const { return address_; }

 private:
  void* address_;
};

class Zygote {
 public:
  Zygote(int control, Engine& engine, sandbox::ResourceLimits limits, sandbox::SeccompProgram filter);

  // Until the supervisor closes its end.
  void serve();

 private:
  void reply(const ipc::ZygoteReply& message, std::span<const int> fds = {});
  bool serve_request();
  struct Child {
    pid_t pid;
    UniqueFd socket;  // the supervisor's end
    UniqueFd page;
  };
  tl::expected<Child, std::string> spawn();
  tl::expected<void, std::string> fork_worker(std::uint64_t worker);
  void try_lock();
  void reap();
  [[noreturn]] void become_worker(int socket, void* page);

  const UniqueFd control_;
  UniqueFd child_signals_;
  Engine& engine_;
  const sandbox::ResourceLimits limits_;
  const sandbox::SeccompProgram filter_;
  std::unordered_map<pid_t, std::uint64_t> workers_;
};

Zygote::Zygote(int control, Engine& engine, sandbox::ResourceLimits limits, sandbox::SeccompProgram filter)
    : control_(control), engine_(engine), limits_(limits), filter_(std::move(filter)) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  child_signals_.reset(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!child_signals_) say_and_exit(control, failed("signalfd"));
}

void Zygote::serve() {
  try_lock();
  reply(ipc::ZygoteReady{});
  std::array<pollfd, 2> wanted = {{{control_.get(), POLLIN, 0}, {child_signals_.get(), POLLIN, 0}}};
  for (;;) {
    if (::poll(wanted.data(), wanted.size(), -1) < 0) {
      if (errno == EINTR) continue;
      say_and_exit(control_.get(), failed("poll"));
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

void Zygote::reply(const ipc::ZygoteReply& message, std::span<const int> fds) {
  ipc::OutputBuffer out;
  encode(out, message);
  if (!ipc::send_packet(control_.get(), out.data(), fds)) ::_exit(0);  // the supervisor is gone
}

bool Zygote::serve_request() {
  alignas(ipc::Word) std::array<std::byte, ipc::kMaxPacketBytes> buffer;
  const auto packet = ipc::receive_packet(control_.get(), buffer);
  if (!packet || packet->bytes == 0) return false;
  const auto request = ipc::decode_packet(std::span(buffer).first(packet->bytes), ipc::decode_zygote_request);
  if (!request) return false;  // the supervisor does not break the protocol
  if (auto forked = fork_worker(request->worker); !forked) {
    reply(ipc::WorkerForkFailed{request->worker, forked.error()});
  }
  return true;
}

tl::expected<Zygote::Child, std::string> Zygote::spawn() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return tl::unexpected(failed("socketpair"));
  UniqueFd theirs(ends[0]), ours(ends[1]);
  UniqueFd memory(::memfd_create("holdfast-page", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory) return tl::unexpected(failed("memfd_create"));
  // Sealed, so that no end can shrink the page under the other's feet.
  if (::ftruncate(memory.get(), ipc::kSharedPageBytes) != 0 ||
      ::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return tl::unexpected(failed("sealing a memfd"));
  }
  const UniqueMapping page(
      ::mmap(nullptr, ipc::kSharedPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0));
  if (page.get() == MAP_FAILED) return tl::unexpected(failed("mmap"));

  const pid_t pid = ::fork();
  if (pid < 0) return tl::unexpected(failed("fork"));
  if (pid == 0) become_worker(ours.get(), page.get());
  return Child{pid, std::move(theirs), std::move(memory)};
}

tl::expected<void, std::string> Zygote::fork_worker(std::uint64_t worker) {
  const auto child = spawn();
  if (!child) return tl::unexpected(child.error());
  workers_.emplace(child->pid, worker);
  const UniqueFd process = open_pidfd(child->pid);
  if (!process) {
    const std::string reason = failed("pidfd_open");
    ::kill(child->pid, SIGKILL);
    return tl::unexpected(reason);
  }
  reply(ipc::WorkerForked{worker}, std::array{process.get(), child->socket.get(), child->page.get()});
  return {};
}

// Forks a worker that is told at once to end: a layer that cannot be set up shows now, and not at somebody's call.
void Zygote::try_lock() {
  const auto child = spawn();
  if (!child) say_and_exit(control_.get(), child.error());
  ::shutdown(child->socket.get(), SHUT_WR);
  int status = 0;
  while (::waitpid(child->pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  std::string reason = "a worker cannot be locked down";
  ipc::FrameReader in;
  const auto space = in.prepare();
  const ssize_t count = ::recv(child->socket.get(), space.data(), space.size(), MSG_DONTWAIT);
  if (count > 0) in.commit(static_cast<std::size_t>(count));
  if (const auto frame = in.next(); frame && frame->has_value()) {
    const auto message = ipc::decode_worker_message(**frame);
    const auto* stopped = message ? std::get_if<ipc::Stopped>(&*message) : nullptr;
    if (stopped != nullptr) reason += ": " + std::string(stopped->detail);
  }
  say_and_exit(control_.get(), reason);
}

void Zygote::reap() {
  int status;
  pid_t pid;
  while ((pid = ::waitpid(-1, &status, WNOHANG)) > 0) {
    const auto found = workers_.find(pid);
    if (found == workers_.end()) continue;
    reply(ipc::WorkerExited{found->second, status});
    workers_.erase(found);
  }
}

// The child's side of the fork. Everything that needs a right is done before the filter, which is the last step: from
// there on, the process can compute and talk to its socket.
void Zygote::become_worker(int socket, void* page_memory) {
  const auto lock = [&socket](const sandbox::SetupResult& result) {
    if (result) return;
    Outbox outbox(socket);
    const std::string reason = result.error().layer + ": " + result.error().message;
    encode(outbox.buffer(), ipc::Stopped{ipc::StopReason::fatal, 0, "", reason});
    outbox.send_all();
    ::_exit(ipc::kLockFailedStatus);
  };
  lock(sandbox::close_all_descriptors_except(socket));
  socket = sandbox::kKeptDescriptor;
  lock(sandbox::reset_signals());
  lock(sandbox::die_with_parent(SIGKILL));
  if (::getppid() != 1) ::_exit(0);  // the zygote died before that took effect
  lock(sandbox::apply_limits(limits_));

  engine_.reseed();
  auto& page = *static_cast<ipc::SharedPage*>(page_memory);
  static Worker worker(engine_, socket, page);
  install_last_words(engine_, worker.outbox(), page);
  lock(sandbox::load(filter_));
  worker.run();
}

// Pid 1 of the new pid namespace.
[[noreturn]] void zygote_main(const ZygoteOptions& options) {
  const int control = sandbox::kKeptDescriptor;
  if (auto closed = sandbox::close_all_descriptors_except(options.control_fd); !closed) {
    say_and_exit(options.control_fd, closed.error().layer + ": " + closed.error().message);
  }
  // What V8 prints on its way to an end goes to closed descriptors, without a look at what they are (fstat(2)).
  std::setvbuf(stdout, nullptr, _IONBF, 0);
  require(control, sandbox::new_session());
  require(control, sandbox::reset_signals());
  require(control, sandbox::die_with_parent(SIGKILL));

  // V8 and ICU read files of the host when they start; nothing does after seal_root().
  Engine engine({.memory_bytes = options.memory_bytes, .extend_context = options.extend_context});
  warm_up(engine);
  const std::uint64_t data_in_use = require(control, sandbox::data_bytes_in_use());
  const std::uint64_t address_space_in_use = require(control, sandbox::address_space_bytes_in_use());
  require(control, sandbox::seal_root());
  require(control, sandbox::drop_privileges());
  sandbox::ResourceLimits limits;
  limits.stack_bytes = kStackBytes;
  limits.data_bytes = data_in_use + options.memory_bytes + kMemoryHeadroom;
  limits.address_space_bytes = address_space_in_use + options.memory_bytes + kAddressSpaceHeadroom;
  auto filter = require(control, sandbox::compile(sandbox::Profile::jit));

  Zygote zygote(control, engine, limits, std::move(filter));
  zygote.serve();
  ::_exit(0);
}

// The launcher: nothing to it but the zygote's end. When it is told to end, by the supervisor or by the kernel because the
// supervisor is gone, it brings that about, so that nobody else is left to reap the zygote.
int wait_for_zygote(pid_t zygote, const sigset_t& signals) {
  for (;;) {
    int status = 0;
    const pid_t ended = ::waitpid(zygote, &status, WNOHANG);
    if (ended == zygote) return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (::sigwaitinfo(&signals, nullptr) == SIGTERM) ::kill(zygote, SIGKILL);
  }
}

}  // namespace

int run_zygote(const ZygoteOptions& options) {
  // Out of the supervisor's session: what a terminal sends to its foreground is for the supervisor to act on.
  require(options.control_fd, sandbox::new_session());
  ::signal(SIGCHLD, SIG_DFL);  // ignored, it would leave nothing to wait for
  sandbox::clear_environment();
  ::setenv("TZ", "UTC", 1);  // no module learns where the host stands
  require(options.control_fd, sandbox::enter_namespaces());
  require(options.control_fd, sandbox::die_with_parent(SIGTERM));
  // Held back from here on, so that none can come before wait_for_zygote() waits for it.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  const pid_t zygote = ::fork();
  if (zygote < 0) say_and_exit(options.control_fd, failed("fork"));
  if (zygote == 0) zygote_main(options);
  ::close_range(0, ~0U, 0);
  return wait_for_zygote(zygote, signals);
}

}  // namespace holdfast::worker
