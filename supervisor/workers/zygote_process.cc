#include "supervisor/workers/zygote_process.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "ipc/packet.h"

namespace holdfast::supervisor {
namespace {

namespace asio = boost::asio;

// From the end of a program to the broker's word on it.
constexpr std::chrono::milliseconds kWordPatience{1000};

}  // namespace

struct ZygoteProcess::State : std::enable_shared_from_this<State> {
  State(asio::io_context& io, ZygoteProcess& its_process, ZygoteProcessEvents& its_events)
      : control(io), liveness_pipe(io), word_timeout(io), process(&its_process), events(&its_events) {}

  asio::posix::stream_descriptor control;
  asio::posix::stream_descriptor liveness_pipe;
  asio::steady_timer word_timeout;
  ZygoteProcess* const process;
  ZygoteProcessEvents* events;  // null once it must hear nothing more
  bool has_spoken = false;      // on its control socket
  std::string fatal_report;

  void die(std::string reason) {
    if (events == nullptr) return;
    if (!fatal_report.empty()) reason = fatal_report;
    std::exchange(events, nullptr)->zygote_died(*process, std::move(reason));
  }

  void listen() {
    control.async_wait(asio::posix::stream_descriptor::wait_read,
                       [self = shared_from_this()](const boost::system::error_code& error) {
                         if (!error) self->receive();
                       });
  }

  void receive() {
    while (events != nullptr) {
      std::array<std::byte, ipc::kMaxPacketBytes> buffer;
      auto packet = ipc::receive_packet(BorrowedFd(control.native_handle()), buffer);
      if (!packet && packet.error() == std::errc::resource_unavailable_try_again) return listen();
      if (!packet) return die(fmt::format("its control socket failed: {}", packet.error().message()));
      if (packet->bytes == 0) return end();
      auto reply = ipc::decode_packet(std::span(buffer).first(packet->bytes), ipc::decode_zygote_reply);
      if (!reply) return die(fmt::format("it broke the protocol: {}", reply.error().message));
      if (auto* failed = std::get_if<ipc::ZygoteFailed>(&*reply)) {
        fatal_report = std::move(failed->reason);
      } else {
        has_spoken = true;
        events->zygote_said(*process, std::move(*reply), std::move(packet->fds));
      }
    }
  }

  // If a program never came up, the broker knows more about it: its exit status, and what it printed.
  void end() {
    if (has_spoken || !fatal_report.empty()) return die("it ended");
    liveness_pipe.async_wait(asio::posix::stream_descriptor::wait_read,
                             [self = shared_from_this()](const boost::system::error_code& error) {
                               if (!error) self->die(self->word_of_broker());
                             });
    word_timeout.expires_after(kWordPatience);
    word_timeout.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      if (!error) self->die("its program closed the control socket but has not ended");
    });
  }

  std::string word_of_broker() {
    std::array<char, ipc::kMaxPacketBytes> buffer;
    const ssize_t count = ::recv(liveness_pipe.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    const std::string_view text(buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    const std::size_t nul = text.find('\0');
    if (nul == text.npos) return "it ended";
    return fmt::format("{}; {}", text.substr(0, nul), text.substr(nul + 1));
  }
};

ZygoteProcess::ZygoteProcess(asio::io_context& io, Broker& broker, std::optional<std::uint64_t> single_worker,
                             ZygoteProcessEvents& events)
    : state_(std::make_shared<State>(io, *this, events)) {
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
  UniqueFd liveness_pipe = broker.start_zygote(theirs, single_worker);
  if (!liveness_pipe) {
    fail_later("the broker could not be asked to start it");
    return;
  }
  state_->liveness_pipe.assign(liveness_pipe.release());
  state_->control.assign(ours.release());
  state_->control.non_blocking(true);
  state_->listen();
}

ZygoteProcess::~ZygoteProcess() {
  state_->events = nullptr;
  boost::system::error_code ignored;
  state_->control.close(ignored);
  state_->liveness_pipe.close(ignored);
  state_->word_timeout.cancel();
}

void ZygoteProcess::request_fork(std::uint64_t worker) {
  if (!state_->control.is_open()) return;
  ipc::OutputBuffer out;
  encode(out, ipc::ForkRequest{worker});
  // receive() notices a zygote that is gone. One that has 200 unread requests is stuck, which Zygotes notices.
  (void)ipc::send_packet(BorrowedFd(state_->control.native_handle()), out.data(), {});
}

}  // namespace holdfast::supervisor
