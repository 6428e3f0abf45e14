// Unix sockets that take no descriptors (unix(7), SCM_RIGHTS). A descriptor that a peer sends and nobody receives is
// closed by the kernel in the process that reads or closes the socket. That close lasts as long as the sender wants: a
// TCP socket with SO_LINGER waits for years, a large memfd has to be freed.
#pragma once

#include <cstddef>
#include <span>
#include <system_error>
#include <tl/expected.hpp>

#include <cstddef>
#include <span>
#include <system_error>
#include <tl/expected.hpp>

namespace holdfast::ipc {

// From now on the peer's sendmsg(2) fails with EPERM if it carries descriptors. Connections to a listening socket have
// this from their beginning, also those that wait for accept(2). What has arrived before stays. False: the kernel does
// not offer it, because it is older than Linux 6.16.
[[nodiscard]] bool refuse_descriptors(int socket);

// Whether descriptors are among what has arrived on a stream socket and was not read. Reads nothing, but has urgent
// bytes taken in line.
[[nodiscard]] bool holds_descriptors(int socket);

// Has bytes that are sent out of band (MSG_OOB) arrive in line with the others. Else the kernel would drop such a byte,
// and a descriptor that it carries, when the others are read.
void take_urgent_bytes_in_line(int socket);

// On a stream socket for which that was said, and whose peer can send descriptors: receives what is there, but nothing
// that descriptors came with. Such bytes, and what follows them, stay where they are, and are an error
// (operation_not_permitted). 0: the stream's end. Never blocks.
[[nodiscard]] tl::expected<std::size_t, std::error_code> receive_without_descriptors(int socket,
                                                                                     std::span<std::byte> buffer);

}  // namespace holdfast::ipc
