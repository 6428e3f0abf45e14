#include "supervisor/zygote_process.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/process/args.hpp>
#include <boost/process/child.hpp>
#include <boost/process/env.hpp>
#include <boost/process/environment.hpp>
#include <boost/process/exe.hpp>
#include <boost/process/handles.hpp>
#include <boost/process/io.hpp>
#include <boost/process/posix.hpp>
#include <cerrno>
#include <cstring>

#include "ipc/packet.h"
#include "ipc/pidfd.h"

namespace holdfast::supervisor {
namespace {

namespace asio = boost::asio;
namespace process = boost::process;

// The control socket's number in the zygote.
constexpr int kControlFd = 3;

// What the launcher has to end when it is told to; a millisecond is what it takes.
constexpr int kEndPatienceMillis = 1000;

}  // namespace

struct ZygoteProcess::State : std::enable_shared_from_this<State> {
  State(asio::io_context& io, Owner& its_owner) : control(io), owner(&its_owner) {}

  asio::posix::stream_descriptor control;
  process::child child;
  Owner* owner;  // null once it is to hear nothing more

  void die(std::string reason) {
    if (owner == nullptr) return;
    // Its last words may lie behind an error in sending to it.
    Owner* hearer = std::exchange(owner, nullptr);
    hearer->zygote_died(std::move(reason));
  }

  void listen() {
    control.async_wait(asio::posix::stream_descriptor::wait_read,
                       [self = shared_from_this()](const boost::system::error_code& error) {
                         if (!error) self->receive();
                       });
  }

  void receive() {
    while (owner != nullptr) {
      std::array<std::byte, ipc::kMaxPacketBytes> buffer;
      auto packet = ipc::receive_packet(control.native_handle(), buffer);
      if (!packet && packet.error() == std::errc::resource_unavailable_try_again) return listen();
      if (!packet) return die(fmt::format("its control socket failed: {}", packet.error().message()));
      if (packet->bytes == 0) return die("it ended");
      auto reply = ipc::decode_packet(std::span(buffer).first(packet->bytes), ipc::decode_zygote_reply);
      if (!reply) return die(fmt::format("it broke the protocol: {}", reply.error().message));
      owner->zygote_said(std::move(*reply), std::move(packet->fds));
    }
  }
};

ZygoteProcess::ZygoteProcess(asio::io_context& io, const std::filesystem::path& program, std::uint64_t memory_bytes,
                             Owner& owner)
    : state_(std::make_shared<State>(io, owner)) {
  const auto fail_later = [&](std::string reason) {
    asio::post(io, [state = state_, reason = std::move(reason)]() mutable { state->die(std::move(reason)); });
  };
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    fail_later(fmt::format("socketpair: {}", std::strerror(errno)));
    return;
  }
  UniqueFd ours(ends[0]);
  const UniqueFd theirs(ends[1]);
  if (::access(program.c_str(), X_OK) != 0) {  // Boost.Process does not tell
    fail_later(fmt::format("cannot start {}: {}", program.string(), std::strerror(errno)));
    return;
  }
  std::error_code error;
  state_->child = process::child(process::exe = program.string(),
                                 process::args = {fmt::format("--control-fd={}", kControlFd),
                                                  fmt::format("--memory={}", memory_bytes)},
                                 process::env = process::environment(), process::std_in < process::null,
                                 process::std_out > process::null, process::limit_handles,
                                 process::posix::fd.bind(kControlFd, theirs.get()), error);
  if (error) {
    fail_later(fmt::format("cannot start {}: {}", program.string(), error.message()));
    return;
  }
  state_->control.assign(ours.release());
  state_->control.non_blocking(true);
  state_->listen();
}

ZygoteProcess::~ZygoteProcess() {
  state_->owner = nullptr;
  boost::system::error_code ignored;
  state_->control.close(ignored);
  if (!state_->child.valid()) return;
  // The launcher kills the zygote, reaps it, and ends; unless somebody has stopped it.
  const pid_t launcher = state_->child.id();
  const UniqueFd ended = open_pidfd(launcher);
  ::kill(launcher, SIGTERM);
  ::kill(launcher, SIGCONT);
  pollfd wanted = {ended.get(), POLLIN, 0};
  if (::poll(&wanted, 1, kEndPatienceMillis) != 1) ::kill(launcher, SIGKILL);
  std::error_code also_ignored;
  state_->child.wait(also_ignored);
}

void ZygoteProcess::request_fork(std::uint64_t worker) {
  if (!state_->control.is_open()) return;
  ipc::OutputBuffer out;
  encode(out, ipc::ForkRequest{worker});
  // A zygote that is gone is heard of by receive(); one that has 200 requests unread is stuck, which its owner notices.
  (void)ipc::send_packet(state_->control.native_handle(), out.data(), {});
}

}  // namespace holdfast::supervisor
