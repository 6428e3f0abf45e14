#include "tests/adversarial/accept_gate.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <iterator>

#include "ipc/packet.h"

namespace holdfast::test {
namespace {

UniqueFd install() {
  sock_filter instructions[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_accept, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_accept4, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter = {std::size(instructions), instructions};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return UniqueFd();
  return UniqueFd(
      static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter)));
}

constexpr std::byte kAny{0};

}  // namespace

AcceptGate::AcceptGate() {
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  ours_.reset(ends[0]);
  theirs_.reset(ends[1]);
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  stop_reader_.reset(ends[0]);
  stop_writer_.reset(ends[1]);
  thread_ = std::thread([this] { serve(); });
}

AcceptGate::~AcceptGate() {
  stop_writer_.reset();
  thread_.join();
}

std::function<bool()> AcceptGate::installer() const {
  return [this] {
    const UniqueFd notifications = install();
    return notifications && ipc::send_with_descriptor(theirs_, {&kAny, 1}, notifications).has_value();
  };
}

// Waits until the descriptor is readable; false if the gate is no longer needed.
bool AcceptGate::wait_for(const UniqueFd& descriptor) const {
  std::array<pollfd, 2> wanted = {{{descriptor.get(), POLLIN, 0}, {stop_reader_.get(), POLLIN, 0}}};
  ::poll(wanted.data(), wanted.size(), -1);
  return wanted[1].revents == 0 && (wanted[0].revents & POLLIN) != 0;
}

void AcceptGate::serve() {
  std::array<std::byte, 1> byte;
  if (!wait_for(ours_)) return;
  auto packet = ipc::receive_with_descriptors(ours_, byte);
  if (!packet || packet->fds.empty()) return;
  const UniqueFd notifications = std::move(packet->fds.front());
  while (wait_for(notifications)) {
    seccomp_notif notification = {};
    if (::ioctl(notifications.get(), SECCOMP_IOCTL_NOTIF_RECV, &notification) != 0) continue;
    if (!is_open_) {
      holds_one_ = true;
      continue;
    }
    seccomp_notif_resp response = {};
    response.id = notification.id;
    response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    ::ioctl(notifications.get(), SECCOMP_IOCTL_NOTIF_SEND, &response);
  }
}

}  // namespace holdfast::test
