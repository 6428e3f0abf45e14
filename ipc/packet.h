// File descriptors on their way over Unix sockets (unix(7), SCM_RIGHTS). Between the supervisor and its zygote: packets
// on a SOCK_SEQPACKET socket, of which each carries one frame. To a client: with a byte of its stream.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <system_error>
#include <tl/expected.hpp>
#include <vector>

#include "ipc/frame.h"
#include "ipc/base/unique_fd.h"

namespace holdfast::ipc {

// The control line's messages are tiny; a reason for a failure is the longest.
constexpr std::size_t kMaxPacketBytes = 8192;
constexpr std::size_t kMaxPacketFds = 4;

struct Packet {
  std::size_t bytes = 0;  // 0: the peer closed its end
  std::vector<UniqueFd> fds;
};

// Sends one packet. The descriptors stay the caller's. Blocks if the socket does.
tl::expected<void, std::error_code> send_packet(int socket, std::span<const std::byte> data, std::span<const int> fds);

// Receives one packet into `buffer`. Received descriptors are close-on-exec. A packet that does not fit is an error
// (message_size). One whose descriptors could not all be received, because there were more than kMaxPacketFds or the
// process may have no more, comes without any. Blocks if the socket does.
tl::expected<Packet, std::error_code> receive_packet(int socket, std::span<std::byte> buffer);

// On a stream socket: sends some of `data`, which is not empty, with the descriptor attached to its first byte; how
// much it was. Never blocks. The descriptor stays the caller's.
tl::expected<std::size_t, std::error_code> send_with_descriptor(int socket, std::span<const std::byte> data,
                                                                const UniqueFd& descriptor);

// On a stream socket: receives what is there, and the descriptors that came along, close-on-exec; `bytes` is 0 at the
// stream's end. Those that could not all be received make it an error (EMFILE). Never blocks.
tl::expected<Packet, std::error_code> receive_with_descriptors(int socket, std::span<std::byte> buffer);

// Decodes the one frame that a received packet must be, with one of the decode functions of the message headers.
// The result must not point into it.
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
