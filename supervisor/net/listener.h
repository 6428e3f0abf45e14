// The supervisor's Unix socket. At most one supervisor serves it, and its files are removed when the listener stops.
#pragma once

#include <sys/types.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <tl/expected.hpp>

#include "ipc/base/unique_fd.h"

namespace holdfast::supervisor {

class Listener {
 public:
  using Socket = boost::asio::local::stream_protocol::socket;

  // Listens on `path` with the file mode `mode`; makes the directory (0700) if it is missing. Replaces a socket file
  // that a dead supervisor left. Refuses a path that is being served, or that is not a socket. A client may connect
  // if it may write to the socket file (unix(7)). Files are made and removed in the directory that was opened first,
  // even if its name leads elsewhere later; root refuses a directory in which other users could exchange them. Errors
  // are whole sentences.
  static tl::expected<std::unique_ptr<Listener>, std::string> open(boost::asio::io_context& io, const std::string& path,
                                                                   mode_t mode);

  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // Whether the kernel stops clients from sending descriptors (ipc/base/descriptor_refusal.h).
  bool refuses_descriptors() const { return refuses_descriptors_; }

  // From now on, accepts a client only while `may` returns true. Otherwise the client waits in the kernel's queue,
  // and `may` is asked again a little later.
  void accept_only_if(std::function<bool()> may) { may_accept_ = std::move(may); }

  // Hands each new connection to `accepted`, until stop().
  void start(std::function<void(Socket)> accepted);

  // Stops listening and removes the files. The object must live until the event loop has run the handlers under way.
  void stop();

  // The socket's directory, which remove_files() needs.
  const UniqueFd& directory() const { return directory_; }

  // Removes the socket file and the lock file, each only if it is still this listener's. Another process may do this
  // in place of this one; see remove_by().
  void remove_files() const;
  // From now on, stop() calls `remove` to remove the files.
  void remove_by(std::function<void()> remove) { remove_ = std::move(remove); }
  // From now on, stop() gives `close` the socket, with the clients that were not accepted and what they sent.
  void close_by(std::function<void(UniqueFd)> close) { close_ = std::move(close); }

 private:
  Listener(boost::asio::io_context& io, UniqueFd directory, std::string name, UniqueFd lock);

  tl::expected<void, std::string> bind(const std::string& path, mode_t mode);
  void accept();
  void accept_later(const std::string& reason);

  boost::asio::local::stream_protocol::acceptor acceptor_;
  boost::asio::steady_timer retry_;
  const UniqueFd directory_;
  const std::string name_;  // of the socket, in its directory
  // PATH.lock, locked while the path is served (flock(2)). Without the lock, two supervisors could both find that the
  // path is not served, and both take it over.
  UniqueFd lock_;
  bool stopped_ = false;
  bool refuses_descriptors_ = false;
  std::chrono::steady_clock::time_point warn_again_at_{};  // when to log again that clients cannot be accepted
  ino_t inode_ = 0;                                        // of the socket file that this listener made
  ino_t lock_inode_ = 0;
  std::function<void(Socket)> accepted_;
  std::function<bool()> may_accept_;     // none: always
  std::function<void()> remove_;         // none: remove_files()
  std::function<void(UniqueFd)> close_;  // none: stop() closes the socket
};

}  // namespace holdfast::supervisor
