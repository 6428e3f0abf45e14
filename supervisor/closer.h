// For kernels on which clients can send descriptors (ipc/descriptor_refusal.h): closes sockets that may hold some, in
// processes of its own, which may block. A socket is passed on unread, so that what was sent through it never becomes a
// descriptor of the supervisor's: already close(2) of one's own copy can block (a file of FUSE is flushed).
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

#include "ipc/unique_fd.h"

namespace holdfast::supervisor {

class Closer {
 public:
  // Forks the closer's process, which locks itself up (sandbox::closer_policy()). Call while the process has one thread
  // and its rights. `gone` is called if it has ended; sockets are then closed here. The error says which call failed.
  static tl::expected<std::unique_ptr<Closer>, std::string> start(boost::asio::io_context& io,
                                                                  std::function<void()> gone);

  // Ends the process; does not wait for it.
  ~Closer();
  Closer(const Closer&) = delete;
  Closer& operator=(const Closer&) = delete;

  // Has the Unix socket closed. Its peer can send no more when this returns. Never blocks: what the closer has no room
  // for yet is kept, unread, and passed on later.
  void close(UniqueFd socket);

  // So many sockets may be kept before no further client is to be accepted. A client can leave one behind that its
  // process blocks on, and then come again; so the supervisor would run out of descriptors.
  static constexpr std::size_t kMostWaiting = 64;
  bool may_accept_clients() const { return waiting_.size() < kMostWaiting; }

 private:
  // How many sockets were passed on and have been closed here. Shared with the process, which must have the last
  // descriptor of each: it keeps what it took until the supervisor has closed its own.
  using Count = std::atomic<std::uint64_t>;

  Closer(boost::asio::io_context& io, std::function<void()> gone, UniqueFd socket, Count* closed);
  bool pass_on(UniqueFd& socket);
  void retry_later();

  UniqueFd socket_;  // to the process; none: it has ended
  Count* const closed_;
  std::uint64_t passed_on_ = 0;
  std::deque<UniqueFd> waiting_;  // at most kMostWaiting and one for each client that was accepted before
  boost::asio::steady_timer retry_;
  std::function<void()> gone_;
};

}  // namespace holdfast::supervisor
