#include "supervisor/net/closer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <new>
#include <span>
#include <utility>

#include "ipc/packet.h"
#include "sandbox/privileges.h"
#include "sandbox/process_state.h"
#include "sandbox/seccomp_policy.h"
#include "supervisor/log/log_output.h"

namespace holdfast::supervisor {
namespace {

constexpr std::chrono::milliseconds kRetry{20};

// --- the process ---------------------------------------------------------------------------------------------------

// How many processes may be ending at a time, with their descriptors still being closed.
constexpr int kMostEnding = 16;
// How many sockets one of them takes along.
constexpr int kMostTaken = 32;

using Count = std::atomic<std::uint64_t>;

// Receives sockets and ends. At the end of a process, the kernel closes its descriptors without waiting for data that
// lingers.
[[noreturn]] void take_along(int socket, const Count& closed) {
  std::uint64_t last = 0;  // number of the last socket that was taken, from 1 on
  for (int taken = 0; taken < kMostTaken; ++taken) {
    std::uint64_t number = 0;
    iovec piece = {&number, sizeof number};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control;
    msghdr message = {};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    if (::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0) break;
    last = number;
  }
  pollfd supervisor = {socket, 0, 0};
  while (closed.load(std::memory_order_acquire) < last && ::poll(&supervisor, 1, 1) <= 0) {
  }
  ::_exit(0);
}

sandbox::SetupResult lock_up() {
  sandbox::Failures failures;
  if (::geteuid() == 0) failures.note(sandbox::become_nobody());
  failures.note(sandbox::drop_privileges());
  failures.note(sandbox::compile(sandbox::closer_policy()).and_then([](const sandbox::SeccompProgram& program) {
    return sandbox::load(program);
  }));
  return std::move(failures).first();
}

[[noreturn]] void run_closer(int socket, const Count& closed) {
  ::prctl(PR_SET_NAME, "holdfast-closer");
  abandon_log();
  ::setsid();
  for (int signal : {SIGTERM, SIGHUP, SIGINT}) ::signal(signal, SIG_IGN);
  ::setpriority(PRIO_PROCESS, 0, 10);  // freeing a large memfd takes CPU time
  if (!sandbox::close_all_descriptors_except(socket)) ::_exit(1);
  socket = sandbox::kKeptDescriptor;
  const std::byte ready{lock_up() ? std::uint8_t{1} : std::uint8_t{0}};
  if (::sendto(socket, &ready, 1, MSG_NOSIGNAL, nullptr, 0) != 1 || ready == std::byte{0}) ::_exit(1);
  int ending = 0;
  for (;;) {
    const auto reap = [&](int flags) {
      while (ending > 0 && ::wait4(-1, nullptr, flags, nullptr) > 0) {
        --ending;
        flags = WNOHANG;
      }
    };
    reap(ending == kMostEnding ? 0 : WNOHANG);
    pollfd wanted = {socket, POLLIN, 0};
    // A timeout, to reap children that have ended: no signal tells of them.
    constexpr int kLookMillis = 1000;
    const int found = ::poll(&wanted, 1, ending > 0 ? kLookMillis : -1);
    if (found < 0 && errno != EINTR) ::_exit(1);
    if (found <= 0) continue;
    // The supervisor is gone. What it has left in the socket is closed with this process.
    if ((wanted.revents & POLLHUP) != 0) ::_exit(0);
    // Because of CLONE_VFORK, this returns when the child begins to end. By then the child has received what it takes
    // along.
    const long child = ::syscall(SYS_clone, CLONE_VFORK | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
    if (child == 0) take_along(socket, closed);
    if (child > 0) ++ending;
    if (child < 0) ::poll(nullptr, 0, static_cast<int>(kRetry.count()));
  }
}

// Waits until the process is locked up. False: it could not be.
bool is_ready(const UniqueFd& socket) {
  std::byte ready{0};
  ssize_t count;
  while ((count = ::recv(socket.get(), &ready, 1, 0)) < 0 && errno == EINTR) {
  }
  return count == 1 && ready == std::byte{1};
}

// For a socket that receives no more: whether it holds nothing that closing it would throw away.
bool is_empty(const UniqueFd& socket) {
  char byte;
  return ::recv(socket.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

}  // namespace

// --- the supervisor's side -----------------------------------------------------------------------------------------

tl::expected<std::unique_ptr<Closer>, std::string> Closer::start(boost::asio::io_context& io,
                                                                 std::function<void()> gone) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return tl::unexpected(fmt::format("socketpair: {}", std::strerror(errno)));
  }
  UniqueFd ours(ends[0]), theirs(ends[1]);
  void* const page = ::mmap(nullptr, sizeof(Count), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return tl::unexpected(fmt::format("mmap: {}", std::strerror(errno)));
  Count* const closed = new (page) Count(0);
  const pid_t pid = ::fork();
  if (pid < 0) return tl::unexpected(fmt::format("fork: {}", std::strerror(errno)));
  if (pid == 0) run_closer(theirs.get(), *closed);
  theirs.reset();
  if (!is_ready(ours)) return tl::unexpected(std::string("its process cannot lock itself down"));
  ::fcntl(ours.get(), F_SETFL, O_NONBLOCK);
  return std::unique_ptr<Closer>(new Closer(io, std::move(gone), std::move(ours), closed));
}

Closer::Closer(boost::asio::io_context& io, std::function<void()> gone, UniqueFd socket, Count* closed)
    : socket_(std::move(socket)), closed_(closed), retry_(io), gone_(std::move(gone)) {}

// Sockets that still wait are closed at the end of the process, which does not wait for data that lingers.
Closer::~Closer() {
  for (UniqueFd& socket : waiting_) (void)socket.release();
  ::munmap(closed_, sizeof(Count));
}

void Closer::close(UniqueFd socket) {
  ::shutdown(socket.get(), SHUT_RD);
  if (is_empty(socket)) return;
  if (waiting_.empty() && pass_on(socket)) return;
  waiting_.push_back(std::move(socket));
  if (waiting_.size() == 1) retry_later();
}

// False: the closer has no room.
bool Closer::pass_on(UniqueFd& socket) {
  if (!socket_) return true;
  const std::uint64_t number = passed_on_ + 1;
  const auto sent = ipc::send_packet(socket_, std::as_bytes(std::span(&number, 1)), std::array{BorrowedFd(socket)});
  if (sent) {
    socket.reset();
    passed_on_ = number;
    closed_->store(number, std::memory_order_release);
    return true;
  }
  const int error = sent.error().value();
  // ETOOMANYREFS: a limit for what all processes of a user have under way.
  if (error == EAGAIN || error == ENOBUFS || error == ENOMEM || error == ETOOMANYREFS) return false;
  socket_.reset();
  gone_();
  return true;
}

void Closer::retry_later() {
  retry_.expires_after(kRetry);
  retry_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    while (!waiting_.empty() && pass_on(waiting_.front())) waiting_.pop_front();
    if (!waiting_.empty()) retry_later();
  });
}

}  // namespace holdfast::supervisor
