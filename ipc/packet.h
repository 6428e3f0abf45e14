// Packets with file descriptors attached, over a SOCK_SEQPACKET Unix socket (unix(7), SCM_RIGHTS): the control line
// between the supervisor and its zygote. One packet carries one frame.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <system_error>
#include <tl/expected.hpp>
#include <vector>

#include "ipc/frame.h"
#include "ipc/unique_fd.h"

namespace holdfast::ipc {

// The control line's messages are tiny; a reason for a failure is the longest.
constexpr std::size_t kMaxPacketBytes = 8192;
constexpr std::size_t kMaxPacketFds = 3;

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
