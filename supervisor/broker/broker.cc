#include "supervisor/broker/broker.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <type_traits>

#include "ipc/packet.h"
#include "supervisor/broker/broker_process.h"
#include "supervisor/broker/file_text.h"

namespace holdfast::supervisor {
namespace {

// The broker answers in well under a millisecond, or in some milliseconds if it counts many mappings. The supervisor
// serves no client while it waits, so a file system that hangs becomes the caller's error.
constexpr int kAnswerPatienceMillis = 1000;

// For the zygotes to end.
constexpr int kEndPatienceMillis = 2000;

}  // namespace

tl::expected<std::unique_ptr<Broker>, std::string> Broker::start(Duties duties) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return tl::unexpected(fmt::format("socketpair: {}", std::strerror(errno)));
  }
  UniqueFd ours(ends[0]);
  const UniqueFd theirs(ends[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return tl::unexpected(fmt::format("fork: {}", std::strerror(errno)));
  if (pid == 0) run_broker(duties, theirs.get());
  return std::unique_ptr<Broker>(new Broker(std::move(ours), pid));
}

Broker::~Broker() {
  ::shutdown(socket_.get(), SHUT_WR);
  if (happens(POLLRDHUP, kEndPatienceMillis)) ::waitpid(pid_, nullptr, 0);
}

// An answer that has arrived; nothing: there is none, or the broker is gone.
std::optional<ipc::Packet> Broker::receive(BrokerAnswer& answer) {
  if (!happens(POLLIN, 0)) return std::nullopt;
  auto packet = ipc::receive_packet(socket_, std::as_writable_bytes(std::span(&answer, 1)));
  if (!packet || packet->bytes != sizeof answer) return std::nullopt;
  return std::move(*packet);
}

// False: none of these `events` (poll(2)) in time. A signal, such as the one to end, does not cut the wait short.
bool Broker::happens(short events, int millis) const {
  pollfd wanted = {socket_.get(), events, 0};
  int found;
  do {
    found = ::poll(&wanted, 1, millis);
  } while (found < 0 && errno == EINTR);
  return found == 1;
}

// Sends the request and waits for the answer. Nothing: the broker is gone, or does not answer in time.
std::optional<ipc::Packet> Broker::ask(BrokerRequest& request, std::span<const BorrowedFd> fds, BrokerAnswer& answer) {
  if (!drop_late_answers() || late_answers_ > 0) return std::nullopt;
  request.serial = ++last_serial_;
  if (!ipc::send_packet(socket_, std::as_bytes(std::span(&request, 1)), fds)) return std::nullopt;
  if (!happens(POLLIN, kAnswerPatienceMillis)) {
    ++late_answers_;
    return std::nullopt;
  }
  auto packet = receive(answer);
  if (packet && answer.serial != request.serial) return std::nullopt;
  return packet;
}

bool Broker::drop_late_answers() {
  BrokerAnswer dropped;
  while (receive(dropped)) {
    if (late_answers_ > 0) --late_answers_;
  }
  char byte;
  return ::recv(socket_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0;
}

tl::expected<UniqueFd, int> Broker::ask_for_file(BrokerRequest& request) {
  return ask_for_module_file(request).map([](ModuleFile&& opened) { return std::move(opened.file); });
}

tl::expected<ModuleFile, int> Broker::ask_for_module_file(BrokerRequest& request) {
  BrokerAnswer answer;
  auto packet = ask(request, {}, answer);
  if (!packet) return tl::unexpected(late_answers_ > 0 ? EAGAIN : EPIPE);
  if (answer.error != 0) return tl::unexpected(answer.error);
  // One ending, but no file: no descriptor was left to receive it.
  if (packet->fds.empty() && std::popcount(answer.endings) < 2) return tl::unexpected(EMFILE);
  return ModuleFile{packet->fds.empty() ? UniqueFd() : std::move(packet->fds.front()), answer.endings};
}

UniqueFd Broker::start_zygote(const UniqueFd& control, std::optional<std::uint64_t> single_worker) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return UniqueFd();
  UniqueFd ours(ends[0]);
  const UniqueFd theirs(ends[1]);
  BrokerRequest request{BrokerRequest::Kind::start_zygote};
  request.single = single_worker.has_value();
  request.single_worker = single_worker.value_or(0);
  const auto bytes = std::as_bytes(std::span(&request, 1));
  if (!ipc::send_packet(socket_, bytes, std::array{BorrowedFd(control), BorrowedFd(theirs)})) return UniqueFd();
  return ours;
}

tl::expected<ModuleFile, int> Broker::open_module(const ipc::ModuleName& name) {
  BrokerRequest request{BrokerRequest::Kind::open_module};
  if (!request.set_name(name)) return tl::unexpected(ENOENT);
  return ask_for_module_file(request);
}

tl::expected<UniqueFd, int> Broker::open_settings() {
  BrokerRequest request{BrokerRequest::Kind::open_settings};
  return ask_for_file(request);
}

tl::expected<WatchedPlaces, int> Broker::watch_modules() {
  constexpr std::uint64_t kMostBytes = std::uint64_t{16} << 20;
  BrokerRequest request{BrokerRequest::Kind::watch_modules};
  BrokerAnswer answer;
  auto packet = ask(request, {}, answer);
  if (!packet) return tl::unexpected(late_answers_ > 0 ? EAGAIN : EPIPE);
  if (answer.error != 0) return tl::unexpected(answer.error);
  if (packet->fds.size() != 2) return tl::unexpected(EMFILE);
  const auto text = file_text(packet->fds[1], kMostBytes);
  if (!text) return tl::unexpected(EIO);
  return watched_places(*text, std::move(packet->fds[0]));
}

Broker::ProcessInfo Broker::look_at(const UniqueFd& pidfd) {
  BrokerRequest request{BrokerRequest::Kind::look_at};
  BrokerAnswer answer;
  auto packet = ask(request, std::array{BorrowedFd(pidfd)}, answer);
  if (!packet || packet->fds.size() != 2) return {};
  return {answer.pid, std::move(packet->fds[0]), std::move(packet->fds[1])};
}

UniqueFd Broker::open_memory(const UniqueFd& pidfd) {
  BrokerRequest request{BrokerRequest::Kind::open_memory};
  BrokerAnswer answer;
  auto packet = ask(request, std::array{BorrowedFd(pidfd)}, answer);
  return packet && !packet->fds.empty() ? std::move(packet->fds.front()) : UniqueFd();
}

std::optional<std::uint32_t> Broker::count_mappings(const UniqueFd& pidfd) {
  BrokerRequest request{BrokerRequest::Kind::count_mappings};
  BrokerAnswer answer;
  if (!ask(request, std::array{BorrowedFd(pidfd)}, answer) || answer.error != 0) return std::nullopt;
  return answer.mappings;
}

void Broker::remove_socket() {
  BrokerRequest request{BrokerRequest::Kind::remove_socket};
  BrokerAnswer answer;
  (void)ask(request, {}, answer);
}

}  // namespace holdfast::supervisor
