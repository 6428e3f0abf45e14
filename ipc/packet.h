// Passing file descriptors over Unix sockets (unix(7), SCM_RIGHTS). Between the supervisor and its zygote, they
// travel with packets on a SOCK_SEQPACKET socket, one frame in each packet. To a client, they travel with a byte of
// its stream.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <system_error>
#include <tl/expected.hpp>
#include <vector>

#include "ipc/base/unique_fd.h"
#include "ipc/frame.h"

namespace holdfast::ipc {

// The messages between supervisor and zygote are tiny; the reason for a failure is the longest.
constexpr std::size_t kMaxPacketBytes = 8192;
constexpr std::size_t kMaxPacketFds = 4;

struct Packet {
  std::size_t bytes = 0;  // 0: the peer closed its end
  std::vector<UniqueFd> fds;
};

// Sends one packet. The descriptors stay the caller's. Blocks if the socket does.
tl::expected<void, std::error_code> send_packet(BorrowedFd socket, std::span<const std::byte> data,
                                                std::span<const BorrowedFd> fds);

// Receives one packet into `buffer`. Received descriptors are close-on-exec. A packet that does not fit is an error
// (message_size). If not all descriptors could be received, because there were more than kMaxPacketFds or the process
// is at its limit, the packet comes without any. Blocks if the socket does.
tl::expected<Packet, std::error_code> receive_packet(BorrowedFd socket, std::span<std::byte> buffer);

// Sends some of `data`, which must not be empty, on a stream socket, with the descriptor attached to its first byte.
// Returns the number of bytes sent. Never blocks. The descriptor stays the caller's.
tl::expected<std::size_t, std::error_code> send_with_descriptor(BorrowedFd socket, std::span<const std::byte> data,
                                                                BorrowedFd descriptor);

// Receives what has arrived on a stream socket, and the descriptors that came with it, close-on-exec. `bytes` is 0 at
// the stream's end. It is an error (EMFILE) if not all descriptors could be received. Never blocks.
tl::expected<Packet, std::error_code> receive_with_descriptors(BorrowedFd socket, std::span<std::byte> buffer);

// Decodes a received packet, which must be exactly one frame, with a decode function of the message headers. The
// result must not point into the packet.
template <typename Decode>
auto decode_packet(std::span<const std::byte> packet, Decode decode) -> decltype(decode(std::declval<const Frame&>())) {
  if (packet.size() > kMaxPacketBytes) return tl::unexpected(ProtocolViolation{"a packet that is too long"});
  FrameReader reader(FrameLimits{.max_bytes = kMaxPacketBytes});
  const auto space = reader.prepare();
  std::copy(packet.begin(), packet.end(), space.begin());
  reader.commit(packet.size());
  const auto frame = reader.next();
  if (!frame) return tl::unexpected(frame.error());
  if (!frame->has_value() || reader.buffered_bytes() != 0) {
    return tl::unexpected(ProtocolViolation{"a packet that is not one frame"});
  }
  return decode(**frame);
}

}  // namespace holdfast::ipc
