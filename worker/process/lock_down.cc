#include "worker/process/lock_down.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "ipc/base/descriptor_refusal.h"
#include "ipc/base/process_signals.h"
#include "ipc/worker_messages.h"
#include "ipc/worker_status.h"
#include "sandbox/privileges.h"
#include "sandbox/process_state.h"
#include "worker/channel/line.h"
#include "worker/channel/outbox.h"
#include "worker/plain/broken.h"
#include "worker/process/priority.h"
#include "worker/process/worker.h"
#include "worker/v8/fatal_report.h"

namespace holdfast::worker {
namespace {

tl::unexpected<std::string> failed(const char* call) {
  return tl::unexpected(std::string(call) + ": " + std::strerror(errno));
}

// Refuses descriptors on both ends; none is ever sent on a worker's sockets. On a kernel that does not offer this,
// the supervisor's end is safe all the same, because a worker has no sendmsg(2).
void take_no_descriptors(const int (&ends)[2]) {
  for (int end : ends) (void)ipc::refuse_descriptors(end);
}

}  // namespace

tl::expected<WorkerChannel, std::string> WorkerChannel::open(WorkerSockets sockets) {
  WorkerChannel channel;
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return failed("socketpair");
  channel.theirs.reset(ends[0]);
  channel.ours.reset(ends[1]);
  take_no_descriptors(ends);
  if (sockets == WorkerSockets::with_direct_line) {
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return failed("socketpair");
    channel.their_line.reset(ends[0]);
    channel.our_line.reset(ends[1]);
    take_no_descriptors(ends);
  }
  channel.page_memory.reset(::memfd_create("holdfast-page", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!channel.page_memory) return failed("memfd_create");
  const int memory = channel.page_memory.get();
  // Sealed, so that neither end can shrink the page while the other uses it.
  if (::ftruncate(memory, ipc::kSharedPageBytes) != 0 ||
      ::fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return failed("sealing a memfd");
  }
  void* mapped = ::mmap(nullptr, ipc::kSharedPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  if (mapped == MAP_FAILED) return failed("mmap");
  channel.page_ = static_cast<ipc::SharedPage*>(mapped);
  return channel;
}

WorkerChannel::WorkerChannel(WorkerChannel&& other) noexcept
    : theirs(std::move(other.theirs)),
      ours(std::move(other.ours)),
      their_line(std::move(other.their_line)),
      our_line(std::move(other.our_line)),
      page_memory(std::move(other.page_memory)),
      page_(std::exchange(other.page_, nullptr)) {}

WorkerChannel::~WorkerChannel() {
  if (page_ != nullptr) ::munmap(page_, ipc::kSharedPageBytes);
}

std::vector<BorrowedFd> WorkerChannel::descriptors_of(const UniqueFd& process) const {
  std::vector<BorrowedFd> all = {process, theirs, page_memory};
  if (their_line) all.emplace_back(their_line);
  return all;
}

void WorkerChannel::drop_ours() {
  ours.reset();
  our_line.reset();
}

// Everything that needs a privilege or a system call that the filter refuses comes before the filter, the last step.
void become_worker(Engine& engine, const Lockdown& lockdown, const WorkerChannel& channel, pid_t parent) {
  tell_broken_by(nullptr);  // the zygote's way is not this process's
  BorrowedFd socket = channel.ours;
  const auto lock = [&](const sandbox::SetupResult& result) {
    if (result || lockdown.allow_missing.contains(result.error().layer)) return;
    Outbox outbox(socket);
    const std::string reason = result.error().layer + ": " + result.error().message;
    encode(outbox.buffer(), ipc::Stopped{ipc::StopReason::fatal, 0, "", reason});
    outbox.send_all();
    ::_exit(ipc::kLockFailedStatus);
  };
  std::vector<int> kept = {socket.get()};
  if (channel.our_line) kept.push_back(channel.our_line.get());
  const auto closed = sandbox::close_all_descriptors_except(kept);
  if (closed) socket = BorrowedFd(sandbox::kKeptDescriptor);
  lock(closed);
  lock(sandbox::reset_signals());
  for (int signal : ipc::kSupervisorsSignals) ::signal(signal, SIG_IGN);
  lock(sandbox::die_with_parent(SIGKILL));
  if (::getppid() != parent) ::_exit(0);  // it died before that took effect
  lower_own_priority();
  sandbox::ResourceLimits limits = lockdown.limits;
  limits.descriptors = kept.size();
  lock(sandbox::apply_limits(limits));

  static std::optional<Line> line;
  if (channel.our_line) {
    const BorrowedFd moved(sandbox::kKeptDescriptor + 1);
    line.emplace(closed ? moved : BorrowedFd(channel.our_line), *channel.page());
  }
  Line* const its_line = line ? &*line : nullptr;
  static Worker worker(engine, socket, its_line, *channel.page());
  install_fatal_report(worker.outbox(), its_line, *channel.page());
  engine.reseed();
  lock(sandbox::load(lockdown.filter));
  worker.run();
}

}  // namespace holdfast::worker
