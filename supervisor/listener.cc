#include "supervisor/listener.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "ipc/descriptor_refusal.h"

namespace holdfast::supervisor {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Protocol = asio::local::stream_protocol;

// While descriptors are exhausted, accepting is tried again after this.
constexpr std::chrono::milliseconds kAcceptRetry{50};

std::string failed(const std::string& what, const std::string& path) {
  return fmt::format("cannot {} {}: {}", what, path, std::strerror(errno));
}

// The lock beside the socket. The file that was locked may have been removed by a supervisor that left in between:
// then the lock says nothing, and is taken again on the file that is there now.
tl::expected<UniqueFd, std::string> take_lock(const std::string& socket_path) {
  const std::string path = socket_path + ".lock";
  for (;;) {
    UniqueFd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!lock) return tl::unexpected(failed("open", path));
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return tl::unexpected(failed("lock", path));
      return tl::unexpected(
          fmt::format("another supervisor serves {} already; stop it first, or choose another "
                      "--socket",
                      socket_path));
    }
    struct stat locked, present;
    if (::fstat(lock.get(), &locked) == 0 && ::stat(path.c_str(), &present) == 0 && locked.st_ino == present.st_ino) {
      return lock;
    }
  }
}

// Makes `path` free for bind(2). Under the lock.
tl::expected<void, std::string> clear_path(asio::io_context& io, const std::string& path) {
  struct stat present;
  if (::lstat(path.c_str(), &present) != 0) return {};
  if (!S_ISSOCK(present.st_mode)) {
    return tl::unexpected(fmt::format("{} exists and is not a socket; remove it, or choose another --socket", path));
  }
  Protocol::socket probe(io);
  error_code error;
  probe.connect(Protocol::endpoint(path), error);
  if (!error) {
    return tl::unexpected(
        fmt::format("another program serves {} already; stop it first, or choose another --socket", path));
  }
  spdlog::info("{} was left by a supervisor that is gone; taking it over", path);
  ::unlink(path.c_str());
  return {};
}

}  // namespace

Listener::Listener(asio::io_context& io, std::string path, UniqueFd lock)
    : acceptor_(io), retry_(io), path_(std::move(path)), lock_(std::move(lock)) {}

tl::expected<std::unique_ptr<Listener>, std::string> Listener::open(asio::io_context& io, const std::string& path,
                                                                    mode_t mode) {
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return tl::unexpected(fmt::format("the socket's path {} has {} bytes; at most {} are possible", path, path.size(),
                                      sizeof(sockaddr_un::sun_path) - 1));
  }
  const auto directory = std::filesystem::path(path).parent_path();
  if (!directory.empty() && ::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return tl::unexpected(failed("make the directory", directory));
  }
  auto lock = take_lock(path);
  if (!lock) return tl::unexpected(lock.error());
  // Owned from here on, so that an error below removes the lock file too.
  std::unique_ptr<Listener> listener(new Listener(io, path, std::move(*lock)));
  if (auto cleared = clear_path(io, path); !cleared) return tl::unexpected(cleared.error());

  error_code error;
  listener->acceptor_.open(Protocol(), error);
  if (!error) listener->refuses_descriptors_ = ipc::refuse_descriptors(listener->acceptor_.native_handle());
  // The file must never be there with more rights than it is to have.
  const mode_t mask = ::umask(0777);
  if (!error) listener->acceptor_.bind(Protocol::endpoint(path), error);
  ::umask(mask);
  struct stat made;
  if (!error && ::lstat(path.c_str(), &made) == 0) listener->inode_ = made.st_ino;
  if (!error && ::chmod(path.c_str(), mode) != 0) return tl::unexpected(failed("set the mode of", path));
  if (!error) listener->acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (error) return tl::unexpected(fmt::format("cannot listen on {}: {}", path, error.message()));
  return listener;
}

Listener::~Listener() { stop(); }

void Listener::stop() {
  if (std::exchange(stopped_, true)) return;
  error_code ignored;
  retry_.cancel();
  acceptor_.close(ignored);
  if (remove_) {
    remove_();
  } else {
    remove_files();
  }
  lock_.reset();
}

void Listener::remove_files() const {
  struct stat present;
  if (inode_ != 0 && ::lstat(path_.c_str(), &present) == 0 && present.st_ino == inode_) ::unlink(path_.c_str());
  ::unlink((path_ + ".lock").c_str());
}

void Listener::start(std::function<void(Socket)> accepted) {
  accepted_ = std::move(accepted);
  accept();
}

void Listener::accept() {
  acceptor_.async_accept([this](const error_code& error, Socket socket) {
    if (stopped_ || error == asio::error::operation_aborted) return;
    if (!error) {
      accepted_(std::move(socket));
      return accept();
    }
    // Out of descriptors or memory: clients wait in the kernel's queue until some are free.
    spdlog::warn("cannot accept a client: {}; trying again", error.message());
    retry_.expires_after(kAcceptRetry);
    retry_.async_wait([this](const error_code& cancelled) {
      if (!cancelled && !stopped_) accept();
    });
  });
}

}  // namespace holdfast::supervisor
