#include "supervisor/zygote_process.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <cstring>

#include "ipc/packet.h"

namespace holdfast::supervisor {
namespace {

namespace asio = boost::asio;

}  // namespace

struct ZygoteProcess::State : std::enable_shared_from_this<State> {
  State(asio::io_context& io, ZygoteProcess& its_process, Owner& its_owner)
      : control(io), process(&its_process), owner(&its_owner) {}

  asio::posix::stream_descriptor control;
  UniqueFd leash;
  ZygoteProcess* const process;
  Owner* owner;  // null once it is to hear nothing more
  std::string last_words;

  void die(std::string reason) {
    if (owner == nullptr) return;
    if (!last_words.empty()) reason = last_words;
    std::exchange(owner, nullptr)->zygote_died(*process, std::move(reason));
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
      if (auto* failed = std::get_if<ipc::ZygoteFailed>(&*reply)) {
        last_words = std::move(failed->reason);
      } else {
        owner->zygote_said(*process, std::move(*reply), std::move(packet->fds));
      }
    }
  }
};

ZygoteProcess::ZygoteProcess(asio::io_context& io, Broker& broker, std::optional<std::uint64_t> single_worker,
                             Owner& owner)
    : state_(std::make_shared<State>(io, *this, owner)) {
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
  state_->leash = broker.start_zygote(theirs, single_worker);
  if (!state_->leash) {
    fail_later("the broker cannot be asked to start one");
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
  state_->leash.reset();
}

void ZygoteProcess::request_fork(std::uint64_t worker) {
  if (!state_->control.is_open()) return;
  ipc::OutputBuffer out;
  encode(out, ipc::ForkRequest{worker});
  // A zygote that is gone is heard of by receive(); one that has 200 requests unread is stuck, which its owner notices.
  (void)ipc::send_packet(state_->control.native_handle(), out.data(), {});
}

}  // namespace holdfast::supervisor
