#include "supervisor/broker.h"

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
#include "supervisor/broker_process.h"

namespace holdfast::supervisor {
namespace {

// What the broker does is done in well under a millisecond; a file system that hangs is for the caller to hear of.
constexpr int kAnswerPatienceMillis = 5000;

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
  pollfd wanted = {socket_.get(), POLLRDHUP, 0};
  if (::poll(&wanted, 1, kEndPatienceMillis) == 1) ::waitpid(pid_, nullptr, 0);
}

// Nothing: the broker is gone, or does not answer.
std::optional<ipc::Packet> Broker::ask(const BrokerRequest& request, std::span<const int> fds, BrokerAnswer& answer) {
  if (!ipc::send_packet(socket_.get(), std::as_bytes(std::span(&request, 1)), fds)) return std::nullopt;
  // The event loop, which waits for the broker's end, has set the socket to be non-blocking.
  pollfd wanted = {socket_.get(), POLLIN, 0};
  if (::poll(&wanted, 1, kAnswerPatienceMillis) != 1) return std::nullopt;
  auto packet = ipc::receive_packet(socket_.get(), std::as_writable_bytes(std::span(&answer, 1)));
  if (!packet || packet->bytes != sizeof answer) return std::nullopt;
  return std::move(*packet);
}

tl::expected<UniqueFd, int> Broker::ask_for_file(const BrokerRequest& request) {
  BrokerAnswer answer;
  auto packet = ask(request, {}, answer);
  if (!packet) return tl::unexpected(EPIPE);
  if (answer.error != 0) return tl::unexpected(answer.error);
  // Without one, there was no descriptor left to take it.
  if (packet->fds.empty()) return tl::unexpected(EMFILE);
  return std::move(packet->fds.front());
}

UniqueFd Broker::start_zygote(const UniqueFd& control, std::optional<std::uint64_t> single_worker) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return UniqueFd();
  UniqueFd ours(ends[0]);
  const UniqueFd theirs(ends[1]);
  BrokerRequest request{BrokerRequest::Kind::start_zygote};
  request.single = single_worker.has_value();
  request.number = single_worker.value_or(0);
  const auto bytes = std::as_bytes(std::span(&request, 1));
  if (!ipc::send_packet(socket_.get(), bytes, std::array{control.get(), theirs.get()})) return UniqueFd();
  return ours;
}

tl::expected<UniqueFd, int> Broker::open_module(const ipc::ModuleName& name) {
  BrokerRequest request{BrokerRequest::Kind::open_module};
  if (!request.set_name(name)) return tl::unexpected(ENOENT);
  return ask_for_file(request);
}

UniqueFd Broker::open_memory(pid_t pid) {
  BrokerRequest request{BrokerRequest::Kind::open_memory};
  request.number = static_cast<std::uint64_t>(pid);
  auto opened = ask_for_file(request);
  return opened ? std::move(*opened) : UniqueFd();
}

Broker::Sight Broker::look_at(const UniqueFd& pidfd) {
  BrokerAnswer answer;
  auto packet = ask(BrokerRequest{BrokerRequest::Kind::look_at}, std::array{pidfd.get()}, answer);
  if (!packet || packet->fds.empty()) return {};
  return {answer.pid, std::move(packet->fds.front())};
}

void Broker::remove_socket() {
  BrokerAnswer answer;
  (void)ask(BrokerRequest{BrokerRequest::Kind::remove_socket}, {}, answer);
}

bool Broker::is_gone() const {
  char byte;
  return ::recv(socket_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

}  // namespace holdfast::supervisor
