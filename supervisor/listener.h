// The supervisor's Unix socket: made so that no two supervisors serve it, and gone when its owner is.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>
#include <sys/types.h>
#include <tl/expected.hpp>

#include "ipc/unique_fd.h"

namespace holdfast::supervisor {

class Listener {
 public:
  using Socket = boost::asio::local::stream_protocol::socket;

  // Listens on `path` with the file mode `mode`; makes the directory (0700) if it is missing. A socket file that a
  // dead supervisor left is replaced; a path that is being served, or that is no socket, is refused. Who may connect
  // is who may write to the socket file (unix(7)). Errors are whole sentences.
  static tl::expected<std::unique_ptr<Listener>, std::string> open(boost::asio::io_context& io, const std::string& path,
                                                                   mode_t mode);

  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // Whether the kernel keeps clients from sending descriptors (ipc/descriptor_refusal.h).
  bool refuses_descriptors() const { return refuses_descriptors_; }

  // Hands each new connection to `accepted`, until stop().
  void start(std::function<void(Socket)> accepted);

  // Stops listening and removes the files. The object must live on until the event loop has run what is under way.
  void stop();

  // Removes the socket file, if it is still this listener's, and the lock's. For a process that may do so in the place
  // of this one, see remove_by().
  void remove_files() const;
  // From now on stop() has the files removed by `remove`.
  void remove_by(std::function<void()> remove) { remove_ = std::move(remove); }

 private:
  Listener(boost::asio::io_context& io, std::string path, UniqueFd lock);

  void accept();

  boost::asio::local::stream_protocol::acceptor acceptor_;
  boost::asio::steady_timer retry_;
  const std::string path_;
  // PATH.lock, locked for as long as the path is served (flock(2)): asking whether somebody listens and taking the
  // path over would else be two steps, between which another could do the same.
  UniqueFd lock_;
  bool stopped_ = false;
  bool refuses_descriptors_ = false;
  ino_t inode_ = 0;  // of the socket file that this listener made
  std::function<void(Socket)> accepted_;
  std::function<void()> remove_;  // none: remove_files()
};

}  // namespace holdfast::supervisor
