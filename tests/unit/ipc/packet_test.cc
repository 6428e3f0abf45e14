#include "ipc/packet.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "ipc/client_messages.h"
#include "ipc/worker_messages.h"

namespace holdfast::ipc {
namespace {

struct Pair {
  UniqueFd near;
  UniqueFd far;
};

Pair packet_sockets() {
  int fds[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

std::size_t open_fds() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

// Sends without send_packet(), as a peer that ignores its limits.
void send_raw(int socket, std::size_t bytes, std::size_t fd_count, int fd) {
  std::string data(bytes, 'x');
  iovec piece = {data.data(), data.size()};
  std::vector<char> control(CMSG_SPACE(fd_count * sizeof(int)));
  msghdr message = {};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  if (fd_count > 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
    const std::vector<int> fds(fd_count, fd);
    std::memcpy(CMSG_DATA(header), fds.data(), fd_count * sizeof(int));
  }
  REQUIRE(::sendmsg(socket, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes));
}

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST_CASE("a packet arrives with its bytes and without descriptors when none were sent") {
  auto [near, far] = packet_sockets();
  REQUIRE(send_packet(near, bytes_of("first"), {}));
  REQUIRE(send_packet(near, bytes_of("second packet"), {}));
  std::array<std::byte, 64> buffer;
  const auto first = receive_packet(far, buffer);
  REQUIRE(first);
  CHECK(first->bytes == 5);
  CHECK(std::memcmp(buffer.data(), "first", 5) == 0);
  CHECK(first->fds.empty());
  CHECK(receive_packet(far, buffer)->bytes == 13);
}

TEST_CASE("descriptors arrive in order, name the same files, and are closed on exec") {
  auto [near, far] = packet_sockets();
  const UniqueFd files[] = {UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)),
                            UniqueFd(::open("/dev/zero", O_RDONLY | O_CLOEXEC)),
                            UniqueFd(::open("/proc/self", O_PATH | O_CLOEXEC))};
  const BorrowedFd sent[] = {files[0], files[1], files[2]};
  REQUIRE(send_packet(near, bytes_of("x"), sent));
  std::array<std::byte, 64> buffer;
  const auto packet = receive_packet(far, buffer);
  REQUIRE(packet);
  REQUIRE(packet->fds.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    struct stat ours = {};
    struct stat theirs = {};
    REQUIRE(::fstat(sent[i].get(), &ours) == 0);
    REQUIRE(::fstat(packet->fds[i].get(), &theirs) == 0);
    CHECK(ours.st_ino == theirs.st_ino);
    CHECK(ours.st_dev == theirs.st_dev);
    CHECK(packet->fds[i].get() != sent[i].get());
    CHECK((::fcntl(packet->fds[i].get(), F_GETFD) & FD_CLOEXEC) != 0);
  }
}

TEST_CASE("descriptors that were sent stay the sender's, and received ones are closed with their packet") {
  auto [near, far] = packet_sockets();
  const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const std::size_t before = open_fds();
  const BorrowedFd sent[] = {file, file, file};
  for (int i = 0; i < 100; ++i) {
    REQUIRE(send_packet(near, bytes_of("x"), sent));
    std::array<std::byte, 64> buffer;
    REQUIRE(receive_packet(far, buffer)->fds.size() == 3);
  }
  CHECK(open_fds() == before);
}

TEST_CASE("a packet with too many descriptors comes without any, and none of them stays open") {
  const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  for (std::size_t fd_count : {5, 6, 7, 32, 253}) {
    CAPTURE(fd_count);
    auto [near, far] = packet_sockets();
    const std::size_t before = open_fds();
    send_raw(near.get(), 1, fd_count, file.get());
    std::array<std::byte, 64> buffer;
    const auto packet = receive_packet(far, buffer);
    REQUIRE(packet);
    CHECK(packet->bytes == 1);
    CHECK(packet->fds.empty());
    CHECK(open_fds() == before);
  }
}

TEST_CASE("more descriptors than a packet may have are not sent") {
  auto [near, far] = packet_sockets();
  const BorrowedFd sent[] = {BorrowedFd(0), BorrowedFd(0), BorrowedFd(0), BorrowedFd(0), BorrowedFd(0)};
  const auto result = send_packet(near, bytes_of("x"), sent);
  REQUIRE_FALSE(result);
  CHECK(result.error() == std::errc::argument_list_too_long);
  std::array<std::byte, 64> buffer;
  const auto packet = receive_packet(far, buffer);
  REQUIRE_FALSE(packet);
  CHECK(packet.error() == std::errc::resource_unavailable_try_again);
}

TEST_CASE("a packet that does not fit is refused, its descriptors are closed, and the next one arrives") {
  auto [near, far] = packet_sockets();
  const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const std::size_t before = open_fds();
  send_raw(near.get(), 65, 3, file.get());
  send_raw(near.get(), 64, 1, file.get());
  std::array<std::byte, 64> buffer;
  {
    const auto too_long = receive_packet(far, buffer);
    REQUIRE_FALSE(too_long);
    CHECK(too_long.error() == std::errc::message_size);
  }
  CHECK(open_fds() == before);
  const auto fits = receive_packet(far, buffer);
  REQUIRE(fits);
  CHECK(fits->bytes == 64);
  CHECK(fits->fds.size() == 1);
}

TEST_CASE("a packet is decoded if it is one whole frame, and refused if it is anything else") {
  OutputBuffer out;
  encode(out, ForkRequest{7});
  const std::string frame(as_text(out.data()));
  const auto decoded = decode_packet(as_bytes(frame), decode_zygote_request);
  REQUIRE(decoded);
  CHECK(decoded->worker == 7);
  const std::string longest(kMaxPacketBytes, '\0');
  for (const std::string& packet : {std::string(), frame.substr(0, 4), frame.substr(0, frame.size() - 1), frame + frame,
                                    frame + "x", longest, longest + "x", std::string(1 << 20, 'x')}) {
    CAPTURE(packet.size());
    CHECK_FALSE(decode_packet(as_bytes(packet), decode_zygote_request));
  }
}

TEST_CASE("a peer that closed its end is told by a packet of no bytes") {
  auto [near, far] = packet_sockets();
  near.reset();
  std::array<std::byte, 64> buffer;
  const auto packet = receive_packet(far, buffer);
  REQUIRE(packet);
  CHECK(packet->bytes == 0);
  CHECK(packet->fds.empty());
}

TEST_CASE("a packet to a peer that closed its end is an error, not a signal") {
  auto [near, far] = packet_sockets();
  far.reset();
  const auto result = send_packet(near, bytes_of("x"), {});
  REQUIRE_FALSE(result);
  CHECK(result.error() == std::errc::broken_pipe);
}

}  // namespace
}  // namespace holdfast::ipc
