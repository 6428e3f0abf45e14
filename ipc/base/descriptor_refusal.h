// Unix sockets that take no descriptors (unix(7), SCM_RIGHTS). If a peer sends a descriptor that is never received,
// the kernel closes the descriptor in the process that reads or closes the socket. The sender decides how long that
// close takes: a TCP socket with SO_LINGER can make it wait for years, and a large memfd has to be freed.
#pragma once

#include <cstddef>
#include <span>
#include <system_error>
#include <tl/expected.hpp>

namespace holdfast::ipc {

// Has the peer's sendmsg(2) fail with EPERM from now on if it carries descriptors. Connections to a listening socket
// inherit this from their beginning, including those that wait for accept(2). Descriptors that have already arrived
// stay. False if the kernel does not offer this (it is older than Linux 6.16).
[[nodiscard]] bool refuse_descriptors(int socket);

// Whether unread data on a stream socket carries descriptors. Reads nothing, but calls take_urgent_bytes_in_line().
[[nodiscard]] bool holds_descriptors(int socket);

// Has out-of-band bytes (MSG_OOB) arrive in line with the others. Otherwise the kernel would drop such a byte, with a
// descriptor that it carries, when the bytes around it are read.
void take_urgent_bytes_in_line(int socket);

// Receives from a stream socket whose peer can send descriptors; call take_urgent_bytes_in_line() for the socket
// first. Returns the number of bytes, 0 at the stream's end. Bytes that carry descriptors, and all that follows them,
// stay in the socket and are an error (operation_not_permitted). Never blocks.
[[nodiscard]] tl::expected<std::size_t, std::error_code> receive_without_descriptors(int socket,
                                                                                     std::span<std::byte> buffer);

}  // namespace holdfast::ipc
