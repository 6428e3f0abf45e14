// Closes sockets that may hold descriptors, for kernels on which clients can send some (ipc/base/descriptor_refusal.h).
// Processes of the closer's own do that, because they may block: even close(2) of a process's own copy of a
// descriptor can block (it flushes a file of FUSE). A socket is passed on unread, so that what was sent through it
// never becomes a descriptor of the supervisor.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <tl/expected.hpp>

#include "ipc/base/unique_fd.h"

namespace holdfast::supervisor {

class Closer {
 public:
  // Forks the closer's process, which locks itself up (sandbox::closer_policy()). Call while the process has one
  // thread and its rights. `gone` is called when the closer's process is found to have ended; from then on sockets
  // are closed in this process. The error says which call failed.
  static tl::expected<std::unique_ptr<Closer>, std::string> start(boost::asio::io_context& io,
                                                                  std::function<void()> gone);

  // Ends the process; does not wait for it.
  ~Closer();
  Closer(const Closer&) = delete;
  Closer& operator=(const Closer&) = delete;

  // Closes the Unix socket. Its peer can send no more when this returns. Never blocks: a socket for which the closer
  // has no room yet is kept, unread, and passed on later.
  void close(UniqueFd socket);

  // While this many sockets are kept, no further client may be accepted. A client can leave a socket behind that the
  // closer blocks on, and then connect again; without this limit the supervisor would run out of descriptors.
  static constexpr std::size_t kMostWaiting = 64;
  bool may_accept_clients() const { return waiting_.size() < kMostWaiting; }

 private:
  // How many sockets were passed on and then closed in the supervisor. Shared with the closer's process, which must
  // have the last descriptor of each: it keeps what it took until the supervisor has closed its own.
  using Count = std::atomic<std::uint64_t>;

  Closer(boost::asio::io_context& io, std::function<void()> gone, UniqueFd socket, Count* closed);
  bool pass_on(UniqueFd& socket);
  void retry_later();

  UniqueFd socket_;  // to the process; none: the process has ended
  Count* const closed_;
  std::uint64_t passed_on_ = 0;
  std::deque<UniqueFd> waiting_;  // at most kMostWaiting, and one more for each client that was accepted before
  boost::asio::steady_timer retry_;
  std::function<void()> gone_;
};

}  // namespace holdfast::supervisor
